"""A manifest from former times gets the passwords of today: those of back then may have been dropped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifestgen.credentials import stored
from manifestgen.credentials.rotation.entry import Login
from manifestgen.manifest.manifest import Manifest


def renewed(content: Mapping[str, Any], root: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A manifest's content with the latest password of each token that this machine keeps one of.

    Args:
        content: `{"modulesContent": …}`, such as a snapshot's.
        root: the user's state folder.

    Returns:
        The content, and a sentence about each password that was replaced.

    Raises:
        InputError: what is kept of a token cannot be read.
    """
    result, notes = dict(content), []
    for one in Manifest.of(content).credentials().values():
        known = stored.latest(root, one.address, one.username)
        if known is not None and known.password is not None and known.password != one.password:
            result = Login(one.address, one.username, known.password).put_into(result)
            notes.append(f"with the latest password of token {one.username} for {one.address}, not that of back then")
    return result, tuple(notes)
