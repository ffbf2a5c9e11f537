"""What is imported before a command does anything: help and offline commands must not pay for the cloud."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from manifestgen.cli import COMMANDS, module_of

_CLOUD = {"azure", "azureml", "msrest", "msal", "requests", "urllib3", "aiohttp", "trustme"}
_OFFLINE = {"jinja2", "msgspec", "yaml", "filelock", "tenacity", "jsonschema"}

_SCRIPT = """\
import json, sys
from manifestgen.cli import run
code = run(sys.argv[1:])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
sys.exit(code)
"""


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules that a command has imported by its end."""
    command = [sys.executable, "-c", _SCRIPT, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    return set(json.loads(ended.stderr.splitlines()[-1]))


def _subcommands() -> list[tuple[str, ...]]:
    import importlib

    import click

    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = importlib.import_module(module_of(name)).command
        found.append((name,))
        if isinstance(command, click.Group):
            found.extend((name, sub) for sub in command.commands)
    return found


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []], ids=["--version", "--help", "nothing"])
def test_bare_commands_import_next_to_nothing(arguments: list[str]) -> None:
    if not arguments:
        # Without a command, help is shown and the exit code says that it was not asked for.
        command = [sys.executable, "-m", "manifestgen"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert "Commands:" in ended.stdout + ended.stderr
        return
    assert imported_by(*arguments) & (_CLOUD | _OFFLINE) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_sdk(name: str) -> None:
    assert imported_by(name, "--help") & _CLOUD == set()


def test_rendering_imports_no_sdk_and_none_of_the_slow_parts_of_the_standard_library() -> None:
    slow = {"asyncio", "email", "http", "logging", "subprocess", "zipfile"}
    assert imported_by("render", "samples/bring-your-own-image", "-o", "-") & (_CLOUD | slow) == set()


def test_the_package_itself_imports_nothing() -> None:
    script = "import sys; before = set(sys.modules); import manifestgen; print(*sorted(set(sys.modules) - before))"
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    beyond = {name for name in ended.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert beyond == {"manifestgen"}


@pytest.mark.parametrize("words", _subcommands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(words: tuple[str, ...]) -> None:
    from contextlib import redirect_stdout
    from io import StringIO

    from manifestgen.cli import run

    out = StringIO()
    with redirect_stdout(out):
        assert run([*words, "--help"]) == 0
    assert f"manifestgen {' '.join(words)}" in out.getvalue()
    assert "Examples:" in out.getvalue()
