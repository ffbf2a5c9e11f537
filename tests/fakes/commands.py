"""All commands of the command line, with their options."""

from __future__ import annotations

from collections.abc import Iterator

import click

from manifestgen import cli
from manifestgen.cli._by_target import ByTarget


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path; a command that has a variant for each kind of target comes once for each."""
    return _below(cli._cli, ())


def _below(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _below(found, (*path, name))
    if isinstance(command, ByTarget):
        for option, other in command.others.items():
            yield from _below(other, (*path, option))
