"""Snapshots of what an automatic deployment was before each replacement, on this machine; what `rollback` goes back to.

They lie where those of devices do, and hold passwords as they do: files and folders are for their owner only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final
from urllib.parse import quote

from manifestgen.cloud import Configuration
from manifestgen.deployments.deployment import Deployment, of_configuration
from manifestgen.errors import InputError
from manifestgen.files import OWNER_ONLY, write_atomic
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest

#: Snapshots of one deployment that are kept; the oldest go first.
KEPT: Final = 20

_FORMAT: Final = 1


@dataclass(frozen=True)
class Former:
    """What a deployment was at a time.

    Attributes:
        taken: when, in UTC.
    """

    hub: str
    taken: datetime
    deployment: Deployment
    path: Path


def keep(hub: str, deployment: Deployment, root: Path) -> None:
    """Keep a deployment, unless the latest snapshot is of the same; the oldest beyond `KEPT` are dropped.

    Args:
        root: from `history.state_folder`.

    Raises:
        InputError: the folder cannot be written to. Whoever wants to replace it must not go on then.
    """
    known = formers(hub, deployment.name, root)
    if known and known[0].deployment == deployment:
        return
    folder = _folder(hub, deployment.name, root)
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
    now = datetime.now(timezone.utc)
    data = {
        "format": _FORMAT,
        "hub": hub,
        "deployment": deployment.name,
        "id": deployment.id,
        "taken": now.isoformat(),
        "condition": deployment.condition,
        "priority": deployment.priority,
        "labels": dict(deployment.labels),
        "metrics": dict(deployment.metrics),
        "content": deployment.content,
    }
    write_atomic(folder / f"{now.strftime('%Y%m%dT%H%M%S.%fZ')}.json", dump(data), OWNER_ONLY)
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)


def formers(hub: str, name: str, root: Path) -> list[Former]:
    """A deployment's snapshots, the latest first; files that are none are passed over."""
    found = [_read(path) for path in sorted(_folder(hub, name, root).glob("*.json"), reverse=True)]
    return [former for former in found if former is not None]


def find(hub: str, name: str, root: Path, number: int | None, current: Configuration | None) -> Former:
    """The snapshot to go back to.

    Args:
        number: 1 for the latest; None for the latest that differs from what it is now.
        current: what devices follow now.

    Raises:
        InputError: there is no such snapshot.
    """
    known = formers(hub, name, root)
    if number is None:
        now = of_configuration(current) if current is not None else None
        other = next((former for former in known if former.deployment != now), None)
        what = "there is no snapshot to go back to on this machine"
    else:
        other = known[number - 1] if 1 <= number <= len(known) else None
        what = f"there is no snapshot {number}, only {len(known)}" if known else "there is no snapshot to go back to"
    if other is None:
        raise InputError(
            what, where=f"deployment {name!r}", fix=f"see 'manifestgen history --deployment {name}' for those there are"
        )
    return other


def _folder(hub: str, name: str, root: Path) -> Path:
    # Ids may have characters that file systems do not take.
    return root / "deployments" / quote(hub, safe="") / quote(name, safe="")


def _read(path: Path) -> Former | None:
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != _FORMAT:
            return None
        Manifest.of(data["content"])
        deployment = Deployment(
            data["deployment"], data["content"], data["condition"], data["priority"], data["labels"], data["metrics"]
        )
        return Former(data["hub"], datetime.fromisoformat(data["taken"]), deployment, path)
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
