"""A device's progress towards its desired modules, read from its twins by the runtime's own rules.

Sources, all in Azure/iotedge: edge-agent `Agent.cs` (when `lastDesiredVersion` moves), `DeploymentStatusCode.cs` (the
codes), `doc/reported_states_during_deployment.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final

from manifestgen.cloud import Twin
from manifestgen.compare.normal import normal
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import as_mapping
from manifestgen.manifest.section import DESIRED


class State(Enum):
    """The state of a module or of the whole rollout."""

    WAITING = "waiting"
    HEALTHY = "healthy"
    FAILING = "failing"  # the agent will try again
    FAILED = "failed"  # it will not get better by itself
    REFUSED = "refused"


@dataclass(frozen=True)
class ModuleStatus:
    """A module as desired and as reported.

    Attributes:
        words: what it is doing, such as `running`, `pulling`, `backoff, exit code 1, restarted 2 times`.
        note: the agent's own `statusDescription`; the sandbox's says there what it only simulates, and why.
        restarts: how often the agent has restarted it.
        started, exited: when it did so last, by the device's clock in the agent's words; empty if it never did.
        exit_code: of the last time that it ended; None if the agent does not say.
        digest: of the image that it runs, as the agent reports it.
    """

    name: str
    state: State
    words: str
    desired_image: str
    reported_image: str = ""
    note: str = ""
    restarts: int = 0
    # Fields that change with each restart are not news.
    started: str = field(default="", compare=False)
    exited: str = field(default="", compare=False)
    exit_code: int | None = field(default=None, compare=False)
    digest: str = field(default="", compare=False)

    @property
    def simulated(self) -> bool:
        """Whether it only reports that it runs: a module of the sandbox whose files the sandbox does not have."""
        return self.note.partition(":")[0] == "simulated"


@dataclass(frozen=True)
class Rollout:
    """A device's progress towards its desired modules.

    Attributes:
        code, description: of the agent's `lastDesiredStatus`.
        reason: in one sentence, why it is not healthy; empty if it is.
        fix: what to do about it, where known.
        since: when the hub took what the device should run, by the hub's clock; None if it does not say.
    """

    state: State
    desired_version: int
    reported_version: int | None
    code: int | None
    description: str
    modules: tuple[ModuleStatus, ...] = ()
    reason: str = ""
    fix: str = ""
    since: datetime | None = None


def with_logs(rollout: Rollout) -> tuple[str, ...]:
    """The modules whose logs say why a rollout fails: those that were started and do not run."""
    bad = (State.FAILING, State.FAILED)
    return tuple(module.name for module in rollout.modules if module.state in bad and module.reported_image)


def assess(agent: Twin, hub: Twin | None = None, device: str = "ID") -> Rollout:
    """Read a device's progress from the twins of `$edgeAgent` and `$edgeHub`.

    An agent that cannot read a configuration reports 400, 412 or 417 and keeps its *previous* `lastDesiredVersion`; one
    that understood it but cannot carry it out reports 500 with the new version; its other modules keep running.

    Args:
        device: its ID, for the advice.
    """
    reported = agent.reported
    version = _number(reported.get("lastDesiredVersion"))
    status = as_mapping(reported.get("lastDesiredStatus"))
    code, description = _number(status.get("code")), _text(status.get("description"))
    seen = version == agent.desired_version
    modules = tuple(_modules(agent, seen=seen))

    def rollout(state: State, reason: str = "", fix: str = "") -> Rollout:
        known = (agent.desired_version, version, code, description, modules)
        return Rollout(state, *known, reason, fix, agent.desired_at)

    # 417 is said of the nothing that it had before, unless nothing was set now too.
    if code in _REFUSALS and not seen and not (code == _EMPTY and agent.desired):
        said = f"{code} {description.rstrip('.') or _REFUSALS[code]}"
        if not _is_stale(agent):
            return rollout(State.REFUSED, f"the device rejected it: {said}", _REFUSAL_FIXES[code])
        if agent.connected:
            # It reports only what differs: a second refusal in the same words leaves the first one's time as it is.
            reason = f"the device rejected what was set before ({said}), and has reported nothing else since"
            return rollout(State.FAILING, reason, _REFUSAL_FIXES[code])
    if not seen:
        return rollout(State.WAITING, _not_seen(agent, version))
    hub_status = as_mapping(hub.reported.get("lastDesiredStatus")) if hub else {}
    if hub and hub.reported.get("lastDesiredVersion") == hub.desired_version and hub_status.get("code") == 400:
        words = f"edgeHub rejected its properties: {(_text(hub_status.get('description')) or '400').rstrip('.')}"
        return rollout(State.REFUSED, words, "run 'manifestgen check' on the manifest; edgeHub keeps its old routes")
    if code == 500:
        reason, fix, final = explain(description)
        return rollout(State.FAILED if final else State.FAILING, reason, fix)
    broken = [module for module in modules if module.state is State.FAILED]
    if broken:
        return rollout(State.FAILED, f"module {broken[0].name!r} is {broken[0].words}", _logs(device, broken[0].name))
    waiting = [module for module in modules if module.state is not State.HEALTHY]
    if waiting:
        state = State.FAILING if any(module.state is State.FAILING for module in waiting) else State.WAITING
        return rollout(state, f"module {waiting[0].name!r} is {waiting[0].words}", _logs(device, waiting[0].name))
    if code != 200:
        return rollout(
            State.WAITING, "edgeAgent is working on it" if code is None else f"edgeAgent reports {code} {description}"
        )
    return rollout(State.HEALTHY)


_EMPTY: Final = 417
_REFUSALS: Mapping[Any, str] = {
    400: "the configuration's format is invalid",
    412: "its schema version is not supported",
    _EMPTY: "the configuration is empty",
}
_REFUSAL_FIXES: Mapping[Any, str] = {
    400: "run 'manifestgen check' on the manifest: the device does not report which field is invalid",
    412: "use schemaVersion 1.1, or update the runtime on the device",
    _EMPTY: "set modules on the device",
}


def _is_stale(agent: Twin) -> bool:
    """Whether the refusal was reported before the desired properties changed, so that it is about earlier ones."""
    reported_at = agent.reported_at.get("lastDesiredStatus")
    return reported_at is not None and agent.desired_at is not None and reported_at < agent.desired_at


def _not_seen(agent: Twin, version: int | None) -> str:
    if not agent.connected:
        return "the device is offline; it gets its modules when it connects"
    if version is None:
        return "edgeAgent has not reported anything yet"
    if version < 0:
        return f"edgeAgent has not seen version {agent.desired_version} yet, and had none before"
    return f"edgeAgent has not seen version {agent.desired_version} yet, it is at {version}"


def _modules(agent: Twin, *, seen: bool) -> list[ModuleStatus]:
    """The modules that must run: edgeHub and the user's; edgeAgent runs if it reports."""
    result = []
    # The agent reports one spelling, however the desired value is spelt.
    entries = normal(Manifest.of_twins({"$edgeAgent": agent.desired})).entries
    desired = entries["$edgeAgent"][DESIRED]
    for section in ("systemModules", "modules"):
        reported = as_mapping(agent.reported.get(section))
        for name, module in as_mapping(desired.get(section)).items():
            if isinstance(module, Mapping):
                result.append(_module(name, module, as_mapping(reported.get(name)), seen=seen))
    return result


def _module(name: str, desired: Mapping[str, Any], reported: Mapping[str, Any], *, seen: bool) -> ModuleStatus:
    desired_image = tagged(_text(as_mapping(desired.get("settings")).get("image")))
    reported_image = _text(as_mapping(reported.get("settings")).get("image"))
    # A manifest cannot set edgeAgent's status: it always runs.
    wanted = "running" if name == "edgeAgent" else (_text(desired.get("status")) or "running").lower()
    runtime = _text(reported.get("runtimeStatus")).lower()
    exit_code = _number(reported.get("exitCode"))
    restarts = _number(reported.get("restartCount")) or 0
    note = _text(reported.get("statusDescription"))

    def status(state: State, words: str) -> ModuleStatus:
        return ModuleStatus(
            name,
            state,
            words,
            desired_image,
            reported_image,
            note,
            restarts,
            _text(reported.get("lastStartTimeUtc")),
            _text(reported.get("lastExitTimeUtc")),
            exit_code,
            _text(as_mapping(reported.get("settings")).get("imageHash")),
        )

    if not reported:
        return status(State.WAITING, "pulling" if seen else "not created yet")
    if tagged(reported_image) != desired_image:
        return status(State.WAITING, f"{runtime} with its old image {reported_image!r}" if seen else "not updated yet")
    if runtime == wanted:
        return status(State.HEALTHY, runtime)
    if runtime == "failed":
        return status(State.FAILED, f"failed, exit code {exit_code}{f', {note}' if note else ''}")
    if runtime == "backoff":
        return status(State.FAILING, f"in backoff, exit code {exit_code}, restarted {restarts} times")
    return status(State.WAITING, runtime or "starting")


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def tagged(image: str) -> str:
    """The image as the runtime reports it: with `:latest` if it has neither tag nor digest."""
    # A digest has a colon too.
    return image if not image or ":" in image.rpartition("/")[2] else f"{image}:latest"


# Docker's messages at a pull, create or start, in the order in which they are tried:
# its pattern, what it means, what to do, and whether waiting for the agent's retry is pointless.
_CAUSES: tuple[tuple[re.Pattern[str], str, str, bool], ...] = (
    (
        re.compile(r"unauthorized|authentication required|access denied|denied:", re.IGNORECASE),
        "the registry rejects the credentials",
        "check registryCredentials: the address must equal the image's host exactly, and the password must be valid",
        True,
    ),
    (
        re.compile(
            r"manifest unknown|manifest for .* not found|not found: manifest|repository does not exist|name unknown",
            re.IGNORECASE,
        ),
        "the image does not exist",
        "check the image's repository and tag",
        True,
    ),
    (
        re.compile(r"no matching manifest|exec format error|does not match the specified platform", re.IGNORECASE),
        "the image is not built for the device's platform",
        "build the image for the device's architecture; Azure ML builds for amd64 only",
        True,
    ),
    (
        re.compile(r"port is already allocated|address already in use", re.IGNORECASE),
        "a port that the module publishes is already in use on the device",
        "change HostPort in the module's createOptions, or stop what uses the port",
        False,
    ),
    (
        re.compile(r"invalid reference format|repository name must be lowercase", re.IGNORECASE),
        "the image's name is not valid",
        "run 'manifestgen check' on the manifest",
        True,
    ),
    (
        re.compile(r"no such host|i/o timeout|connection refused|TLS handshake|certificate", re.IGNORECASE),
        "the device cannot reach the registry",
        "check the registry's host name and the device's network",
        False,
    ),
)


def explain(description: str) -> tuple[str, str, bool]:
    """Why edgeAgent failed, from its own text: (what, what to do, whether waiting is pointless)."""
    module = re.search(r"(?:create|update|start|pull)\w* module ([^\s:()]+)", description, re.IGNORECASE)
    about = f"module {module[1]!r}: " if module else ""
    text = " ".join(description.split()).rstrip(".")
    for pattern, words, fix, final in _CAUSES:
        if pattern.search(description):
            return f"{about}{words}; edgeAgent says: {text}", fix, final
    return (
        f"{about}edgeAgent says: {text or 'nothing but code 500'}",
        "see edgeAgent's log on the device: iotedge logs edgeAgent",
        False,
    )


def _logs(device: str, module: str) -> str:
    return f"see the module's log with 'manifestgen logs --device {device} {module}'"
