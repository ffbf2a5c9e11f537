"""An amount of bytes, for people."""

from __future__ import annotations


def amount(size: int) -> str:
    """With three digits in units of 1000 bytes, as registries and engines do: `18.3 kB`."""
    number = float(size)
    unit = "B"
    for larger in ("kB", "MB", "GB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.3g} {unit}" if unit != "B" else f"{size} B"
