"""Text on a terminal or in a pipe: our own colors, and nothing of others that drives either."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Final

import click

from manifestgen.report.printable import printable_lines
from manifestgen.secret import redact

# Replaces the ESC [ of our own colors until the text is written. Untrusted text cannot contain it, because it is new in
# each process; an ESC in their text is escaped.
_STYLE: Final = f"\x1b<{os.urandom(8).hex()}>"
_STYLES: Final = re.compile(re.escape(_STYLE) + "([0-9;]*m)")


def styled(text: str, **styles: Any) -> str:
    """The text in color or bold, for a `Console`; click takes that away where it is not written to a terminal."""
    if os.environ.get("NO_COLOR") or is_dumb():
        return text
    begin, end = click.style("\0", **styles).split("\0")
    return own_colors(begin) + text + own_colors(end)


def is_dumb() -> bool:
    """Whether the terminal understands no escape sequences."""
    return os.environ.get("TERM") == "dumb"


def has_colors() -> bool:
    """Whether results may be in color: stdout is a terminal that supports it, and no variable disables it."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not is_dumb()


def own_colors(text: str) -> str:
    """A text of a report, in which everything but our own colors is printable already, for a `Console`."""
    return text.replace("\x1b[", _STYLE)


def say(text: str, *, err: bool = False) -> None:
    """Write text for people: no secret, no control character but of our own colors, no command to a pipeline."""
    click.echo(colored(safe(text)), err=err)


def safe(text: str) -> str:
    """A text for people without secrets and control characters, with our own colors still as marks."""
    text = redact(text)
    # Without the marks, so that a line that begins with a color, which a pipe does not get, is looked at too.
    plain, marks = _STYLES.sub("", text), list(_STYLES.finditer(text))
    if not marks:
        return printable_lines(plain)
    if printable_lines(plain) == plain:
        return text
    pieces = _STYLES.split(text)
    pieces[::2] = [printable_lines(piece) for piece in pieces[::2]]
    safe = "".join(piece if at % 2 == 0 else f"{_STYLE}{piece}" for at, piece in enumerate(pieces))
    # If only the joined pieces form a pipeline command, drop the colors.
    bare = _STYLES.sub("", safe)
    return safe if printable_lines(bare) == bare else printable_lines(bare)


def colored(text: str) -> str:
    """The text with the marks of our own colors as escape sequences."""
    return _STYLES.sub(lambda style: f"\x1b[{style.group(1)}", text)


def shortened(line: str, width: int) -> str:
    """A line that fits into a number of columns; one that is cut loses its colors."""
    plain = _STYLES.sub("", line)
    return line if len(plain) < width else f"{plain[: width - 2]}…"
