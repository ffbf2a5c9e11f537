"""The same question to many devices, at one pace, and who answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from manifestgen.cloud import Hub
from manifestgen.errors import InputError, ManifestgenError, OfflineError, UnconfirmedError
from manifestgen.rows.pace import Pace, Stopped
from manifestgen.rows.rows import open_rows

_T = TypeVar("_T")

_WORKERS: Final = 32


@dataclass(frozen=True)
class Reply(Generic[_T]):
    """The outcome for one device.

    Attributes:
        value: the answer; None after an error.
        error: why there is none.
    """

    device: str
    value: _T | None = None
    error: ManifestgenError | None = None

    @property
    def word(self) -> str:
        """`answered`, `offline`, `no answer` or `failed`."""
        if self.error is None:
            return "answered"
        if isinstance(self.error, OfflineError):
            return "offline"
        return "no answer" if isinstance(self.error, UnconfirmedError) else "failed"


def devices_of(path: Path) -> tuple[str, ...]:
    """The devices in a file of rows, in its order. Raises InputError for a row without a device."""
    with closing(open_rows(path)) as rows:
        found = []
        for row in rows:
            if row.problem:
                raise InputError(row.problem, where=f"{path}:{row.line}", fix=row.fix)
            found.append(row.device)
    if not found:
        raise InputError("it has no rows", where=str(path), fix="add a row for each device")
    return tuple(found)


def devices_matching(hub: Hub, condition: str) -> tuple[str, ...]:
    """The edge devices that a target condition matches, by ID. Raises InputError if there are none."""
    query = "SELECT deviceId FROM devices WHERE capabilities.iotEdge = true"
    text = query if condition.strip() == "*" else f"{query} AND ({condition})"
    found = sorted(str(row["deviceId"]) for row in hub.query(text, deviceId=str))
    if not found:
        fix = "correct the condition; 'manifestgen device list' shows the hub's edge devices"
        raise InputError("no edge device matches", where=f"--target-condition {condition!r}", fix=fix)
    return tuple(found)


def each(devices: Sequence[str], work: Callable[[str], _T], rate: float) -> Iterator[Reply[_T]]:
    """Do something with each of many devices, some at a time; the replies in the devices' order.

    Args:
        work: with a device; its errors are replies.
        rate: how many to begin a second.
    """
    pace = Pace(rate)

    def one(device: str) -> Reply[Any]:
        try:
            pace.turn()
            return Reply(device, work(device))
        except ManifestgenError as error:
            return Reply(device, error=error)

    pool = ThreadPoolExecutor(min(_WORKERS, max(1, len(devices))))
    try:
        yield from pool.map(one, devices)
    except Stopped:
        return
    finally:
        # Ctrl-C waits for no device that does not answer.
        pace.stop()
        pool.shutdown(wait=False, cancel_futures=True)
