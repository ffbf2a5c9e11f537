"""Formats help so that a word, such as a host or an option, is never broken at a hyphen."""

from __future__ import annotations

from collections.abc import Iterable

import click

# A hyphen at which Python's textwrap does not break a line.
_FIRM = str.maketrans("-", "\N{NON-BREAKING HYPHEN}")
_PLAIN = str.maketrans("\N{NON-BREAKING HYPHEN}", "-")


class _Formatter(click.HelpFormatter):
    def write_text(self, text: str) -> None:
        super().write_text(text.translate(_FIRM))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(name, text.translate(_FIRM)) for name, text in rows], col_max, col_spacing)

    def getvalue(self) -> str:
        return super().getvalue().translate(_PLAIN)


class _Context(click.Context):
    formatter_class = _Formatter


def laid_out(command: click.Command) -> click.Command:
    """The command and its subcommands, with help that breaks no words."""
    command.context_class = _Context
    for inner in getattr(command, "commands", {}).values():
        laid_out(inner)
    for inner in getattr(command, "others", {}).values():
        laid_out(inner)
    if isinstance(default := getattr(command, "default", None), click.Command):
        laid_out(default)
    return command
