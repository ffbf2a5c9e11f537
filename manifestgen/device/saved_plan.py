"""A saved plan: hashes of what was reviewed, so exactly that is applied later, or nothing. It holds no secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from manifestgen.device.plan import Plan
from manifestgen.errors import InputError
from manifestgen.files import PUBLIC, is_special, read_bytes, write_atomic

#: The key that marks a saved plan, and the version of its format.
MARK = "manifestgen_plan"
_FORMAT = 1


class SavedPlan(Struct, frozen=True):
    """The inputs of a plan.

    Attributes:
        file: the manifest, absolute.
        merge: whether it was merged with what the device had.
        content: hex SHA-256 of what would be sent.
        state: hex SHA-256 of what the device had.
        version: the hub's version of what the device had.
    """

    hub: str
    device: str
    file: str
    merge: bool
    content: str
    state: str
    version: int


def fingerprint(content: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a manifest's content, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def save(plan: Plan, file: Path, path: Path, changes: Any, *, merge: bool = False) -> None:
    """Write a plan.

    Args:
        file: the manifest it was made from.
        path: where to write it.
        changes: what would change, for readers of the file; see `report.changes.data`.
        merge: whether the manifest was merged with what the device had.

    Raises:
        InputError: the file cannot be written.
    """
    saved = SavedPlan(
        plan.hub,
        plan.device,
        str(file.absolute()),
        merge,
        fingerprint(plan.manifest.content),
        fingerprint(plan.before.content),
        plan.version,
    )
    data = {MARK: _FORMAT, **msgspec.structs.asdict(saved), "changes": changes}
    write_atomic(path, json.dumps(data, indent=2) + "\n", PUBLIC)


def read(data: Any, where: str) -> SavedPlan | None:
    """The saved plan in JSON data; None if the data is not a saved plan.

    Raises:
        InputError: it is a saved plan of a format that is not known, or damaged.
    """
    if not isinstance(data, dict) or MARK not in data:
        return None
    fix = "create the plan again with 'manifestgen plan --out'"
    if data[MARK] != _FORMAT:
        raise InputError(f"unknown format {data[MARK]!r} of the saved plan", where=where, fix=fix)
    try:
        return msgspec.convert(data, SavedPlan)
    except msgspec.ValidationError as error:
        raise InputError("the saved plan is damaged", where=where, fix=fix) from error


def saved_in(file: Path, device_id: str | None, *, merge: bool) -> SavedPlan | None:
    """The saved plan in a file; None if the file is anything else, a manifest, or is not there.

    A pipe is none: it can be read only once, as a manifest.

    Args:
        device_id: the device that the plan must be for; None for whichever it names.
        merge: whether the plan must have been made with a merge.

    Raises:
        InputError: it is for another device or was made without a merge, or see `read`.
    """
    if is_special(file):
        return None
    try:
        text = read_bytes(file)
    except OSError:
        return None
    if MARK.encode() not in text:
        return None
    try:
        data = json.loads(text)
    except ValueError:
        return None
    saved = read(data, str(file))
    if saved is not None and device_id not in (None, saved.device):
        what = f"the plan is for device {saved.device!r}, not {device_id!r}"
        raise InputError(what, where=str(file), fix="drop --device, or create a plan for the other device")
    if saved is not None and merge and not saved.merge:
        fix = "drop --merge, or create the plan again with --merge"
        raise InputError("the plan was created without --merge", where=str(file), fix=fix)
    return saved


def confirm_hub(saved: SavedPlan, host: str, where: str) -> None:
    """Raise unless a saved plan is for this hub, before reading the device.

    Raises:
        InputError: it is for another one.
    """
    if host.lower() != saved.hub.lower():
        raise InputError(f"the plan is for hub {saved.hub}, not {host}", where=where, fix=f"add --hub {saved.hub}")


def confirm(saved: SavedPlan, plan: Plan, where: str) -> None:
    """Raise unless a plan created now is the one that was saved.

    Raises:
        InputError: the manifest, the values of its placeholders, or the device's state changed since.
    """
    confirm_hub(saved, plan.hub, where)
    fix = "create the plan again with 'manifestgen plan --out', and review it"
    if plan.version != saved.version or fingerprint(plan.before.content) != saved.state:
        what = f"device {saved.device!r} has changed since the plan was created"
        raise InputError(f"{what}: version {saved.version} is now {plan.version}", where=where, fix=fix)
    if fingerprint(plan.manifest.content) != saved.content:
        raise InputError(f"{saved.file} has changed since the plan was created", where=where, fix=fix)
