"""The runner's settings: variables `RUNNER_…`, overridden by desired properties of the same names in camelCase.

One table says everything about a setting. A variable that cannot be used ends the runner; a desired property that
cannot be used is rejected, and the reported properties say why.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .errors import SettingsError
from .log import LEVELS, logger

AT_LEAST_ONCE = "at-least-once"
AT_MOST_ONCE = "at-most-once"

_PREFIX = "RUNNER_"


@dataclass(frozen=True)
class Batch:
    """How many inputs `run` gets at once, and how long the first of them waits for the others."""

    max: int
    wait_ms: int


@dataclass(frozen=True)
class Listen:
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Settings:
    """All settings of the runner; see docs/runner.md. Those that a desired property may change come first."""

    inputs: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({"amlInput": None}))
    output: str = "amlOutput"
    error_output: str = "errors"
    delivery: str | None = None
    batch: Batch | None = None
    split_lists: bool = False
    max_errors: int = 100
    run_timeout: float = 600
    log_level: str = "info"
    report_interval: float = 60
    token_ttl: float = 3600
    sample_every: int = 0

    samples: str = ""
    samples_max_mb: float = 64
    queue: int = 100
    http: Listen | None = None
    metrics: Listen | None = None
    transport: str = "tcp"
    port: int = 0
    forward: str = ""
    forward_body: str = "plain"
    forward_input: str = "input"
    forward_timeout: float = 60
    model_name: str = ""
    model_version: str = ""

    @property
    def at_least_once(self) -> bool:
        """Whether an input is acknowledged only after its results are. Batches imply that it is not."""
        return self.batch is None and self.delivery != AT_MOST_ONCE

    def output_of(self, name: str) -> str | None:
        """The output for an input; None if the input is not one of ours."""
        if name in self.inputs:
            return self.inputs[name] or self.output
        if "*" in self.inputs:
            return self.inputs["*"] or self.output
        return None


class _Unusable(Exception):
    """A value that a setting cannot have; the text says what it should be."""


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 128 or any(c in value for c in "/+#"):
        raise _Unusable("a name of up to 128 characters without '/', '+' and '#'")
    return value


def _optional_name(value: Any) -> str:
    return "" if value == "" else _name(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unusable("a string")
    return value


def _one_of(*words: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> str:
        if value not in words:
            raise _Unusable("one of " + ", ".join(words))
        return str(value)

    return parse


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unusable("true or false")
    return value


def _whole(least: int, most: int) -> Callable[[Any], Any]:
    def parse(value: Any) -> int:
        # A double is how a hub may hand out what was given as a whole number.
        if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            raise _Unusable("a whole number")
        if not least <= value <= most:
            raise _Unusable(f"a whole number from {least} to {most}")
        return int(value)

    return parse


def _number(least: float, most: float) -> Callable[[Any], Any]:
    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _Unusable("a number")
        if not least <= value <= most:
            raise _Unusable(f"a number from {least:g} to {most:g}")
        return float(value)

    return parse


def _inputs(value: Any) -> Mapping[str, str | None]:
    """`a,b=outB`, or an object {"a": null, "b": "outB"}."""
    what = "inputs as 'a,b' or with their outputs as 'a=x,b=y'"
    if isinstance(value, str):
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        found = {_name(name.strip()): _name(output.strip()) if sign else None for name, sign, output in pairs}
    elif isinstance(value, dict):
        found = {_name(name): _name(output) if output else None for name, output in value.items()}
    else:
        raise _Unusable(what)
    if not found:
        raise _Unusable(what)
    return MappingProxyType(found)


def _batch(value: Any) -> Batch | None:
    what = 'an object {"max": 1 to 1000, "wait_ms": 0 to 60000}'
    if not isinstance(value, dict) or set(value) != {"max", "wait_ms"}:
        raise _Unusable(what)
    try:
        return Batch(_whole(1, 1000)(value["max"]), _whole(0, 60_000)(value["wait_ms"]))
    except _Unusable:
        raise _Unusable(what) from None


def _listen(value: Any) -> Listen:
    host, _, port = str(value).rpartition(":")
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise _Unusable("PORT or HOST:PORT")
    return Listen(host or "127.0.0.1", int(port))


def _log_level(value: Any) -> str:
    level = str(value).lower()
    # Words that IoT Edge's own RuntimeLogLevel takes.
    level = {"fatal": "critical", "warn": "warning", "information": "info", "verbose": "debug"}.get(level, level)
    if level not in LEVELS:
        raise _Unusable("one of " + ", ".join(LEVELS))
    return level


def _url(value: Any) -> str:
    text = _text(value)
    if text and not text.startswith(("http://", "https://")):
        raise _Unusable("a URL that begins with http:// or https://")
    return text


@dataclass(frozen=True)
class _Setting:
    """How a setting's value is read.

    Attributes:
        parse: makes the value of what JSON gives; raises `_Unusable`.
        live: whether a desired property may change it while the runner runs.
        plain: whether a variable's text is the value itself; else it is read as JSON first.
    """

    parse: Callable[[Any], Any]
    live: bool
    plain: bool


def _live(parse: Callable[[Any], Any], *, plain: bool = False) -> _Setting:
    return _Setting(parse, live=True, plain=plain)


def _at_start(parse: Callable[[Any], Any], *, plain: bool = False) -> _Setting:
    return _Setting(parse, live=False, plain=plain)


SETTINGS: Mapping[str, _Setting] = MappingProxyType(
    {
        "inputs": _live(_inputs, plain=True),
        "output": _live(_name, plain=True),
        "error_output": _live(_optional_name, plain=True),
        "delivery": _live(_one_of(AT_LEAST_ONCE, AT_MOST_ONCE), plain=True),
        "batch": _live(_batch),
        "split_lists": _live(_switch),
        "max_errors": _live(_whole(0, 1_000_000)),
        "run_timeout": _live(_number(0, 86_400)),
        "log_level": _live(_log_level, plain=True),
        "report_interval": _live(_number(5, 86_400)),
        "token_ttl": _live(_number(10, 7 * 86_400)),
        "sample_every": _live(_whole(0, 1_000_000)),
        "samples": _at_start(_text, plain=True),
        "samples_max_mb": _at_start(_number(0.1, 1_000_000)),
        "queue": _at_start(_whole(1, 10_000)),
        "http": _at_start(_listen, plain=True),
        "metrics": _at_start(_listen, plain=True),
        "transport": _at_start(_one_of("tcp", "websocket"), plain=True),
        "port": _at_start(_whole(1, 65535)),
        "forward": _at_start(_url, plain=True),
        "forward_body": _at_start(_one_of("plain", "mlflow", "kserve"), plain=True),
        "forward_input": _at_start(_name, plain=True),
        "forward_timeout": _at_start(_number(0.1, 3600)),
        "model_name": _at_start(_text, plain=True),
        "model_version": _at_start(_text, plain=True),
    }
)


def property_name(name: str) -> str:
    """The desired property of a setting: max_errors is maxErrors."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def variable(name: str) -> str:
    """The variable of a setting: max_errors is RUNNER_MAX_ERRORS."""
    return _PREFIX + name.upper()


_OF_PROPERTY = {property_name(name): name for name in SETTINGS}

RESERVED = frozenset(_OF_PROPERTY)
"""Desired properties that are the runner's own."""

REPORTED = frozenset({"runner", "model", "counts"})
"""What the runner reports about itself, beside what became of desired properties."""


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that variables give.

    Raises:
        SettingsError: a value cannot be used.
    """
    values: dict[str, Any] = {}
    if environ.get("RuntimeLogLevel"):
        try:
            values["log_level"] = _log_level(environ["RuntimeLogLevel"])
        except _Unusable:
            logger.debug("RuntimeLogLevel is not a level")
    for name, setting in SETTINGS.items():
        text = environ.get(variable(name))
        if not text:
            continue
        try:
            values[name] = setting.parse(text if setting.plain else _json(text))
        except _Unusable as error:
            raise SettingsError(f"{variable(name)} is {text!r}: expected {error}") from None
    settings = Settings(**values)
    if settings.batch is not None and settings.delivery == AT_LEAST_ONCE:
        raise SettingsError(
            "RUNNER_BATCH needs at-most-once delivery: remove RUNNER_DELIVERY or set it to at-most-once"
        )
    return settings


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """A warning for each variable that is almost one of ours. Others may begin with RUNNER_, too: CI sets some."""
    known = [variable(name) for name in SETTINGS]
    unknown = [name for name in environ if name.startswith(_PREFIX) and name not in known]
    close = {name: difflib.get_close_matches(name, known, 1, 0.85) for name in unknown}
    return [f"{name} is not a setting: did you mean {match[0]}?" for name, match in close.items() if match]


@dataclass(frozen=True)
class Answer:
    """The outcome of a desired property, as reported by IoT Plug and Play.

    Attributes:
        value: the value that is in effect now.
        code: 200 accepted, 400 rejected, 404 unknown, 405 known but only changed by a variable.
        why: the reason of a rejection.
    """

    value: Any
    code: int
    why: str = ""


def override(start: Settings, desired: Mapping[str, Any]) -> tuple[Settings, dict[str, Answer], dict[str, Any]]:
    """Settings with desired properties applied.

    Args:
        start: what the variables gave; a property that is no longer desired goes back to it.
        desired: all desired properties.

    Returns:
        The settings; an answer for each property that is the runner's own; the other properties.
    """
    values: dict[str, Any] = {}
    rejected: dict[str, tuple[int, str]] = {}
    others = {key: value for key, value in desired.items() if key not in RESERVED}
    for key in desired.keys() & RESERVED:
        name = _OF_PROPERTY[key]
        setting = SETTINGS[name]
        if not setting.live:
            rejected[key] = (405, f"only the variable {variable(name)} sets this, at start")
            continue
        try:
            values[name] = setting.parse(desired[key])
        except _Unusable as error:
            rejected[key] = (400, f"expected {error}")
    settings = replace(start, **values)
    for name in ("batch", "delivery"):
        # Which of the two was asked for last cannot be known; losing no message is the safer one.
        if name in values and settings.batch is not None and settings.delivery == AT_LEAST_ONCE:
            del values[name]
            rejected[name] = (400, "batches need at-most-once delivery")
            settings = replace(start, **values)
    answers = {}
    for key in desired.keys() & RESERVED:
        code, why = rejected.get(key, (200, ""))
        answers[key] = Answer(_plain(getattr(settings, _OF_PROPERTY[key])), code, why)
    return settings, answers, others


def _plain(value: Any) -> Any:
    """A setting's value as JSON."""
    if isinstance(value, Batch):
        return {"max": value.max, "wait_ms": value.wait_ms}
    if isinstance(value, Listen):
        return f"{value.host}:{value.port}"
    if isinstance(value, Mapping):
        return {key: output or "" for key, output in value.items()}
    return value


def _json(text: str) -> Any:
    lower = text.strip().lower()
    if lower in ("true", "false"):
        return lower == "true"
    try:
        return json.loads(text)
    except ValueError:
        return text
