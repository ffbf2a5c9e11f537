"""Has the model on a device score: the direct method `score` of the runner (docs/runner.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from manifestgen.cloud import Hub, MethodResult
from manifestgen.compare.json_data import difference
from manifestgen.device import scoring
from manifestgen.errors import CloudError, FoundError, InputError, NotFoundError, OfflineError, UnconfirmedError
from manifestgen.operate.agent import message_of
from manifestgen.target import Patience, rounds

#: Bytes of JSON that a direct method takes, each way.
MOST_BYTES: Final = 128 * 1024
#: Seconds that a model gets for one input.
SECONDS: Final = 60
#: How long a module that has just started may take until it answers methods.
PATIENCE: Final = Patience(timeout=60.0, first=1.0, longest=5.0)


@dataclass(frozen=True)
class Score:
    """The answer of a model on a device.

    Attributes:
        result: JSON data.
        seconds: from the request to the answer.
    """

    module: str
    result: Any
    seconds: float


@dataclass(frozen=True)
class Smoke:
    """A smoke test: an input, and the answer that is expected.

    Attributes:
        data, expected: JSON data.
        compares: whether an answer is expected; if not, any answer but an error passes.
    """

    data: Any
    expected: Any = None
    compares: bool = False


def require_size(data: Any, where: str) -> None:
    """Raise InputError if an input is larger than a direct method takes."""
    size = len(json.dumps(data).encode())
    if size > MOST_BYTES:
        raise InputError(
            f"the input has {size:,} bytes, and a direct method takes {MOST_BYTES:,}",
            where=where,
            fix="give a smaller input, or send it as a message",
        )


def score(hub: Hub, device_id: str, module: str | None, data: Any, *, seconds: int = SECONDS) -> Score:
    """Score an input on a device.

    Args:
        module: None for the only one, or the only one with a runner.
        data: JSON data.
        seconds: that the model may take, 5 to 300.

    Raises:
        InputError: the module is not given, and there are several.
        FoundError: the model does not score the input.
        CloudError: the device or the module cannot be asked.
    """
    name = module or find_module(hub, device_id)
    where = f"module {name!r} of device {device_id!r}"
    patience = Patience()
    begun = patience.clock()
    try:
        answer = hub.invoke_method(device_id, name, "score", data, response_timeout=seconds)
    except OfflineError as error:
        raise _offline(hub, device_id, name, error) from error
    except UnconfirmedError as error:
        raise CloudError(
            f"the model did not answer: {error.what}",
            where=where,
            fix=f"see what it does with 'manifestgen logs --device {device_id} {name}'",
        ) from error
    except NotFoundError:
        hub.device(device_id)  # raises for one that is unknown
        fix = _modules(hub, device_id)
        raise FoundError(f"it has no module {name!r}", where=f"device {device_id!r}", fix=fix) from None
    _require_scored(answer, device_id, name)
    return Score(name, answer.payload, patience.clock() - begun)


def smoke(hub: Hub, device_id: str, module: str | None, test: Smoke, patience: Patience = PATIENCE) -> Score:
    """Try a model that was just deployed, which may take a moment until it answers.

    Raises:
        FoundError: it does not answer in time, with an error, or not as expected.
    """
    for _ in rounds(patience):
        try:
            found = score(hub, device_id, module, test.data)
        except (InputError, FoundError):
            raise
        except CloudError as error:
            problem = error
        else:
            require_expected(found, test, device_id)
            return found
    raise FoundError(f"the smoke test got no answer: {problem.what}", where=problem.where, fix=problem.fix) from problem


def require_expected(found: Score, test: Smoke, device_id: str) -> None:
    """Raise FoundError if an answer differs from the expected one; numbers may differ by a millionth."""
    place = difference(found.result, test.expected, "") if test.compares else None
    if place is not None:
        at = f" at {place[0]}" if place[0] else ""
        raise FoundError(
            f"the answer differs from the expected one{at}: {place[1]}",
            where=f"module {found.module!r} of device {device_id!r}",
            fix="correct the model or the entry script, or the expected answer",
        )


def find_module(hub: Hub, device_id: str) -> str:
    """The module that scores: the only one, or the only one whose runner reports. Raises FoundError, InputError."""
    names = [name for name in hub.modules(device_id) if not name.startswith("$")]
    if len(names) > 1:
        names = [one.module for one in scoring.scoring(hub, device_id, names)] or names
    where = f"device {device_id!r}"
    if not names:
        fix = f"see what it should run with 'manifestgen status --device {device_id}'"
        raise FoundError("it has no module that could score", where=where, fix=fix)
    if len(names) > 1:
        raise InputError(
            f"several modules could score: {', '.join(sorted(names))}",
            where=where,
            fix="choose one with 'manifestgen score --module'",
        )
    return names[0]


def _require_scored(answer: MethodResult, device_id: str, module: str) -> None:
    if answer.status == 200:
        return
    where, said = f"module {module!r} of device {device_id!r}", message_of(answer) or json.dumps(answer.payload)[:200]
    logs = f"'manifestgen logs --device {device_id} {module}'"
    if answer.status in (404, 501) or "unknown method" in said.lower():
        fix = "build its image with manifestgen, whose runner has this method; see docs/runner.md"
        raise FoundError(f"it has no method 'score': {answer.status} {said}", where=where, fix=fix)
    fix = f"correct the input, or see the module's log with {logs}" if answer.status < 500 else f"see {logs}"
    raise FoundError(f"the model did not score: {answer.status} {said}", where=where, fix=fix)


def _offline(hub: Hub, device_id: str, module: str, error: OfflineError) -> OfflineError:
    """Which is not connected: the device, or the module on it."""
    if not hub.device(device_id).connected:
        return error
    return OfflineError(
        f"the device is connected, but its module {module!r} is not, or it takes no direct methods",
        where=error.where,
        fix=f"see whether it runs with 'manifestgen status --device {device_id}', and its log with "
        f"'manifestgen logs --device {device_id} {module}'",
    )


def _modules(hub: Hub, device_id: str) -> str:
    names = ", ".join(sorted(name for name in hub.modules(device_id) if not name.startswith("$")))
    return (
        f"name a module that it has: {names}"
        if names
        else f"see what it should run with 'manifestgen status --device {device_id}'"
    )
