"""Snapshots of what a device had before each apply, in the user's state folder; what `rollback` goes back to.

A snapshot holds what the hub holds, registry passwords included: files and folders are for their owner only, and no
listing shows their content.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from manifestgen.compare.diff import diff
from manifestgen.errors import InputError
from manifestgen.files import OWNER_ONLY, write_atomic
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest

#: Snapshots of one device that are kept; the oldest go first.
KEPT = 20

_FORMAT = 1
_STAMP = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Snapshot:
    """What a device had at a time.

    Attributes:
        taken: when, in UTC.
        version: of `$edgeAgent`'s desired properties then.
        content: `{"modulesContent": …}`; holds secrets.
    """

    hub: str
    device: str
    taken: datetime
    version: int
    path: Path
    content: Mapping[str, Any] = field(repr=False)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules, those of the system left out."""
        return tuple(module.name for module in Manifest.of(self.content).modules() if not module.system)


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where this user's snapshots are: `MANIFESTGEN_STATE`, else the system's folder for state."""
    import platformdirs

    chosen = (os.environ if environ is None else environ).get("MANIFESTGEN_STATE")
    return Path(chosen) if chosen else Path(platformdirs.user_state_dir("manifestgen", appauthor=False))


def take(
    hub: str, device: str, version: int, content: Mapping[str, Any], root: Path, *, now: datetime | None = None
) -> Path | None:
    """Keep what a device has, and drop the oldest snapshots beyond `KEPT`.

    Args:
        root: from `state_folder`.
        now: the time, in UTC; the clock's if none is given.

    Returns:
        The file; None if the device has nothing yet, which is nothing to go back to.

    Raises:
        InputError: the folder cannot be written to. Whoever wants to apply must not go on then.
    """
    if not content.get("modulesContent"):
        return None
    folder = _folder(hub, device, root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for part in (folder.parent.parent, folder.parent, folder):
            part.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the snapshot cannot be kept: {(error.strerror or str(error)).lower()}",
            where=str(folder),
            fix="make the folder writable, or set MANIFESTGEN_STATE to another one",
        ) from error
    now = now or datetime.now(timezone.utc)
    data = {
        "format": _FORMAT,
        "hub": hub,
        "device": device,
        "taken": now.isoformat(),
        "version": version,
        "content": content,
    }
    path = folder / f"{_after_all_in(folder, now).strftime(_STAMP)}.json"
    write_atomic(path, dump(data), OWNER_ONLY)
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def _after_all_in(folder: Path, now: datetime) -> datetime:
    """The time, or just after the latest snapshot's if the clock was set back since: the names are their order."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        with contextlib.suppress(ValueError):
            latest = datetime.strptime(path.stem, _STAMP).replace(tzinfo=timezone.utc)
            return max(now, latest + timedelta(microseconds=1))
    return now


def snapshots(hub: str, device: str, root: Path) -> list[Snapshot]:
    """A device's snapshots, the latest first; files that are none are passed over."""
    found = [_read(path) for path in sorted(_folder(hub, device, root).glob("*.json"), reverse=True)]
    return [snapshot for snapshot in found if snapshot is not None]


def latest_other(hub: str, device: str, root: Path, content: Mapping[str, Any]) -> Snapshot:
    """A device's latest snapshot that is not what it has now.

    A snapshot of what it has now is there when an apply or rollback was prepared and then failed.

    Raises:
        InputError: there is none.
    """
    for snapshot in snapshots(hub, device, root):
        if diff(content, snapshot.content):
            return snapshot
    raise InputError(
        "there is no snapshot to go back to",
        where=f"device {device!r}",
        fix=f"see 'manifestgen history --device {device}' for those there are",
    )


def find(hub: str, device: str, root: Path, number: int) -> Snapshot:
    """A device's snapshot by its number, 1 for the latest.

    Raises:
        InputError: there is no such snapshot.
    """
    known = snapshots(hub, device, root)
    if 1 <= number <= len(known):
        return known[number - 1]
    what = f"there is no snapshot {number}, only {len(known)}" if known else "there is no snapshot to go back to"
    raise InputError(
        what, where=f"device {device!r}", fix=f"see 'manifestgen history --device {device}' for those there are"
    )


def _folder(hub: str, device: str, root: Path) -> Path:
    # Ids may have characters that file systems do not take.
    return root / "snapshots" / quote(hub, safe="") / quote(device, safe="")


def _read(path: Path) -> Snapshot | None:
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != _FORMAT:
            return None
        taken = datetime.fromisoformat(data["taken"])
        Manifest.of(data["content"])
        return Snapshot(data["hub"], data["device"], taken, int(data["version"]), path, data["content"])
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
