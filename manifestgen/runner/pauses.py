"""Pauses between attempts."""

from __future__ import annotations

import random


class Pauses:
    """Random, growing pauses between attempts, in seconds: each between half and all of a doubling limit."""

    def __init__(self, first: float = 0.5, longest: float = 30.0) -> None:
        self._first, self._longest = first, longest
        self._attempts = 0

    def next(self) -> float:
        """The pause before the next attempt."""
        limit: float = min(self._longest, self._first * 2 ** min(self._attempts, 16))
        self._attempts += 1
        return random.uniform(limit / 2, limit)  # noqa: S311 - a pause, not a secret

    def reset(self) -> None:
        """Begin with short pauses again."""
        self._attempts = 0
