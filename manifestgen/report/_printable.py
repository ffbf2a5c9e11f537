"""Text that a terminal or a file can take, whatever the manifest holds."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with control characters, which could drive a terminal, and lone surrogates escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
