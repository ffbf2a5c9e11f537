"""Lists the snapshots of a device or of an automatic deployment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from manifestgen.cli._console import Console

if TYPE_CHECKING:
    from manifestgen.state import Taken

_S = TypeVar("_S", bound="Taken")


def show_history(
    kind: str,
    name: str,
    host: str,
    folder: Path,
    snapshots: Sequence[_S],
    row: Callable[[_S], tuple[str, dict[str, Any]]],
    console: Console,
) -> None:
    """List snapshots, newest first, and say where they are.

    Args:
        kind: `device` or `deployment`.
        name: of that one.
        host: of its hub.
        folder: where the snapshots are, or would be.
        row: a snapshot in words, and as JSON data.
    """
    found = [(number, snapshot.taken, *row(snapshot)) for number, snapshot in enumerate(snapshots, start=1)]
    for number, taken, words, _ in found:
        console.result(f"{number:>2}  {taken.strftime('%Y-%m-%d %H:%M:%S UTC')}  {words}")
    none = "" if found else f"no snapshots of {kind} {name!r} on {host}; "
    console.progress(f"{none}looked in {folder}")
    listed = [{"number": number, "taken": taken.isoformat(), **data} for number, taken, _, data in found]
    console.document({"hub": host, kind: name, "folder": str(folder), "snapshots": listed})
