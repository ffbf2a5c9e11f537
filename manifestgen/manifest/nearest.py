"""Closest match for "did you mean …?"."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The known word closest to `word`, as a list of one; empty if none is close.

    Args:
        word: as written.
        known: the candidates.
        cutoff: the least similarity, from 0 to 1.
    """
    # Most manifests have nothing misspelled, and need not wait for this import.
    import difflib

    return difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
