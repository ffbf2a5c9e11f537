"""An image, or a stage of a Dockerfile, and the steps that only set its configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from manifestgen.sandbox.acr_tasks.bases import BaseLayer
from manifestgen.sandbox.acr_tasks.dockerfile import DockerfileError, Step, command, duration, expand_words, pairs
from manifestgen.sandbox.acr_tasks.layer import Layer
from manifestgen.sandbox.acr_tasks.source import Entry

Files = dict[str, Entry]


@dataclass
class Image:
    """An image, or a stage on its way to one.

    Attributes:
        config: the configuration of its containers.
        layers: those of the base image, then new ones.
        history: what made it, as in an image's configuration.
        files: all its files, by their path below `/`.
        command_is_own: whether a CMD of this Dockerfile set its command, which ENTRYPOINT then keeps.
    """

    config: dict[str, Any] = field(default_factory=dict)
    layers: list[BaseLayer | Layer] = field(default_factory=list)
    diff_ids: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    files: Files = field(default_factory=dict)
    command_is_own: bool = False

    @property
    def environ(self) -> dict[str, str]:
        """The variables of ENV."""
        return dict(item.split("=", 1) for item in self.config.get("Env") or ())

    @property
    def short_id(self) -> str:
        """Twelve digits that stand for what it is so far."""
        text = json.dumps([self.config, self.diff_ids, self.history], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def configure(image: Image, step: Step, values: Mapping[str, str]) -> None:
    """Carry out a step that only sets the configuration of the image; others do nothing.

    Args:
        image: whose configuration is changed.
        step: such as ENV or CMD.
        values: what variables stand for.

    Raises:
        DockerfileError: the step is not valid.
    """
    config = image.config
    if step.name == "ENV":
        environment = image.environ
        environment.update(pairs(step, values))
        config["Env"] = [f"{key}={value}" for key, value in environment.items()]
    elif step.name == "LABEL":
        config["Labels"] = {**(config.get("Labels") or {}), **pairs(step, values)}
    elif step.name == "USER":
        config["User"] = expand_words(step.rest, values)
    elif step.name == "CMD":
        config["Cmd"] = command(step)
        image.command_is_own = True
    elif step.name == "ENTRYPOINT":
        config["Entrypoint"] = command(step)
        if not image.command_is_own:
            config.pop("Cmd", None)
    elif step.name == "EXPOSE":
        ports = [one if "/" in one else f"{one}/tcp" for one in expand_words(step.rest, values).split()]
        config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **{port: {} for port in ports}}
    elif step.name == "VOLUME":
        paths = step.array if step.array is not None else expand_words(step.rest, values).split()
        config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}
    elif step.name == "STOPSIGNAL":
        config["StopSignal"] = expand_words(step.rest, values)
    elif step.name == "SHELL":
        if step.array is None:
            raise DockerfileError("dockerfile parse error: SHELL requires the arguments to be in JSON form")
        config["Shell"] = step.array
    elif step.name == "HEALTHCHECK":
        config["Healthcheck"] = _health_check(step)


def _health_check(step: Step) -> dict[str, Any]:
    kind, _, rest = step.rest.partition(" ")
    if kind.upper() == "NONE":
        return {"Test": ["NONE"]}
    if kind.upper() != "CMD" or not rest.strip():
        raise DockerfileError(f"dockerfile parse error: Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    array = replace(step, rest=rest.strip()).array
    found: dict[str, Any] = {"Test": ["CMD", *array] if array is not None else ["CMD-SHELL", rest.strip()]}
    names = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}
    found |= {names[flag]: duration(value) for flag, value in step.flags.items() if flag in names}
    if "retries" in step.flags:
        if not step.flags["retries"].isdecimal():
            raise DockerfileError(f"dockerfile parse error: invalid number of retries {step.flags['retries']!r}")
        found["Retries"] = int(step.flags["retries"])
    return found
