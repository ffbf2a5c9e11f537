"""Amounts for people: of bytes, of things, of time."""

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


def counted(number: int, what: str, plural: str = "") -> str:
    """`1 route`, `2 routes`; `2 boxes`, if that is the plural."""
    return f"{number:,} {what if number == 1 else plural or f'{what}s'}"


def clock(seconds: float) -> str:
    """`0:05`, `1:02:03`; a time before now is `0:00`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
