"""docs/cli.md is what `--help` prints; `make docs` writes it anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes.commands import commands

from manifestgen import cli

ROOT = Path(__file__).parents[2]


ALL = list(commands())


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
    words = [word for word in path if not word.startswith("--")]
    assert f"Examples:\n    {' '.join(('manifestgen', *words))}".rstrip() in help_of(path).replace(
        "\n  eval", "\n    eval"
    ) or ("eval" in help_of(path))


def test_the_help_of_a_device_names_those_of_the_other_targets() -> None:
    said = help_of(("apply",))
    assert all(f"manifestgen apply {option} --help" in said for option in ("--deployment", "--devices"))
    assert "--stages" not in said and "--rate" not in said
    assert "--prune" not in help_of(("apply", "--deployment"))


def test_the_timeouts_in_the_help_are_those_that_are_waited() -> None:
    from manifestgen.deployments import replace
    from manifestgen.device import apply

    for target, patience in (((), apply.PATIENCE), (("--deployment",), replace.PATIENCE)):
        assert f"[default: {patience.timeout:g}; x>=0]" in " ".join(help_of(("apply", *target)).split())
    for name in ("status", "rollback"):
        both = f"{apply.PATIENCE.timeout:g}, with --deployment {replace.PATIENCE.timeout:g}"
        assert both in " ".join(help_of((name,)).split())


def test_the_command_table_names_every_module() -> None:
    modules = {file.stem for file in (ROOT / "manifestgen" / "cli").glob("[a-z]*.py")}
    assert modules == {cli.module_of(name).rpartition(".")[2] for name in cli.COMMANDS}
