"""Puts current passwords into an older manifest, whose passwords may have been deleted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifestgen.credentials import stored
from manifestgen.credentials.rotation.entry import Login
from manifestgen.manifest.manifest import Manifest


def renewed(content: Mapping[str, Any], root: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A manifest's content with the latest password of each token that has one stored on this machine.

    Args:
        content: `{"modulesContent": …}`, such as a snapshot's.
        root: the user's state folder.

    Returns:
        The content, and a sentence about each password that was replaced.

    Raises:
        InputError: the stored password of a token cannot be read.
    """
    result, notes = dict(content), []
    for one in Manifest.of(content).credentials().values():
        known = stored.latest(root, one.address, one.username)
        if known is not None and known.password is not None and known.password != one.password:
            result = Login(one.address, one.username, known.password).put_into(result)
            notes.append(
                f"using the latest password of token {one.username} for {one.address}, not the one in the snapshot"
            )
    return result, tuple(notes)
