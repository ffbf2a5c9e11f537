"""Words like one that nobody knows, for "did you mean …?"."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The known word that is most like `word`, as a list of one; empty if none is like it.

    Args:
        word: what was written.
        known: what could be meant.
        cutoff: how alike they must be, from 0 to 1.
    """
    # Most manifests have nothing misspelt, and need not wait for this import.
    import difflib

    return difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
