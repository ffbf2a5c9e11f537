"""Text that a terminal, a log or a file can take, whatever the manifest or a service holds."""

from __future__ import annotations

import re
from typing import Final

# Commands to pipelines: for GitHub's runner a line that begins with ::, Azure Pipelines' agent ##vso[ and ##[
# anywhere in a line.
_LINE_COMMAND: Final = re.compile(r"(?m)^([^\S\n]*):(?=:)")
_COMMAND: Final = re.compile(r"##(?=\[|vso\[)", re.IGNORECASE)


def printable(text: str) -> str:
    """The text with control characters, which could drive a terminal, and lone surrogates escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_lines(text: str) -> str:
    """Lines of text, each printable, and none a command to a pipeline; tabs and line feeds stay."""
    if not _has_only_breaks(text):
        text = "".join(_keep(char) or ascii(char)[1:-1] for char in text.replace("\r\n", "\n"))
    text = _LINE_COMMAND.sub(lambda found: f"{found.group(1)}\\x3a", text)
    return _COMMAND.sub(lambda _: "#\\x23", text)


def printable_json(text: str) -> str:
    """A JSON text that holds the same data and is printable; what a pipeline reads as a command is escaped, too."""
    if not _has_only_breaks(text):
        text = "".join(_keep(char) or _json_escape(char) for char in text)
    return _COMMAND.sub(lambda _: "#\\u0023", text)


def _has_only_breaks(text: str) -> bool:
    """Whether a text is printable but for line feeds and tabs; most are, and then no character need be looked at."""
    return text.replace("\n", "").replace("\t", "").isprintable()


def _keep(char: str) -> str:
    return char if char.isprintable() or char in "\n\t" else ""


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
