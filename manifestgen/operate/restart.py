"""Restarts a module, and waits until edgeAgent reports that it runs again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from manifestgen.cloud import Hub
from manifestgen.errors import FoundError, OfflineError, UnconfirmedError
from manifestgen.manifest.reading import as_mapping
from manifestgen.operate.agent import RESPONSE_SECONDS, agent_twin, ask, message_of, refused
from manifestgen.target import Patience, rounds

#: A container gets ten seconds to end before it is killed, and edgeAgent reports every five.
PATIENCE: Final = Patience(timeout=120.0, first=0.5, longest=5.0)
_OWN_SECONDS: Final = 5


@dataclass(frozen=True)
class Restarted:
    """A module that runs again.

    Attributes:
        started: when, by the device's clock, in edgeAgent's words.
        seconds: from the request until it was reported.
    """

    module: str
    started: str
    seconds: float


def restart(
    hub: Hub, device_id: str, module: str, patience: Patience = PATIENCE, step: Callable[[str], None] = lambda _: None
) -> Restarted:
    """Restart a module of a device, edgeAgent itself included.

    Args:
        step: called with what was done, while it is waited for.

    Raises:
        FoundError: edgeAgent has no such module, it does not run, or it does not come to run again.
        CloudError: see `agent.ask`.
    """
    begun = patience.clock()
    before = _reported(hub, device_id)
    if module not in before:
        names = ", ".join(sorted(before)) or "no modules"
        raise FoundError(
            f"edgeAgent reports no module {module!r}",
            where=_where(device_id),
            fix=f"name a module that it has: {names}",
        )
    try:
        # edgeAgent never answers its own restart.
        seconds = _OWN_SECONDS if module == "edgeAgent" else RESPONSE_SECONDS
        answer = ask(hub, device_id, "RestartModule", {"id": module}, seconds=seconds)
    except UnconfirmedError:
        # It may have been restarted all the same.
        step("no answer: looking whether it was restarted")
    else:
        if answer.status != 200:
            raise _rejected(device_id, module, answer.status, message_of(answer)) or refused(
                device_id, "RestartModule", answer
            )
        step("edgeAgent restarts it")
    now: Mapping[str, Any] = {}
    for _ in rounds(patience):
        try:
            now = _reported(hub, device_id).get(module, {})
        except OfflineError:
            continue
        if _status(now) == "running" and now.get("lastStartTimeUtc") != before[module].get("lastStartTimeUtc"):
            return Restarted(module, str(now.get("lastStartTimeUtc") or ""), patience.clock() - begun)
    if now.get("lastStartTimeUtc") == before[module].get("lastStartTimeUtc"):
        what = f"edgeAgent has not reported a restart of {module!r} after {patience.clock() - begun:.0f} s"
    else:
        what = f"{module!r} does not run after its restart: {_status(now)}, exit code {now.get('exitCode')}"
    raise FoundError(
        what, where=_where(device_id), fix=f"see why with 'manifestgen logs --device {device_id} {module}'"
    )


def _rejected(device_id: str, module: str, status: int, said: str) -> FoundError | None:
    if status != 500 or not said:
        return None
    look = f"see what it does with 'manifestgen status --device {device_id}'"
    return FoundError(f"edgeAgent does not restart {module!r}: {said}", where=_where(device_id), fix=look)


def _reported(hub: Hub, device_id: str) -> dict[str, Mapping[str, Any]]:
    """The state of each module, as edgeAgent reports it."""
    twin = agent_twin(hub, device_id)
    sections = (as_mapping(twin.reported.get(name)) for name in ("systemModules", "modules"))
    return {name: as_mapping(module) for section in sections for name, module in section.items()}


def _status(module: Mapping[str, Any]) -> str:
    return str(module.get("runtimeStatus") or "").lower()


def _where(device_id: str) -> str:
    return f"device {device_id!r}"
