"""What is imported before a command does anything: help and offline commands must not pay for the cloud."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from manifestgen.cli import COMMANDS, module_of

_CLOUD = {"azure", "azureml", "msrest", "msal", "requests", "urllib3", "aiohttp", "trustme"}
_OFFLINE = {"jinja2", "msgspec", "yaml", "filelock", "tenacity", "jsonschema"}

# What a command needs that checks or renders. A room that is added here is imported by each of these commands: its part
# of their time should be worth it.
_TO_CHECK = {"check", "cli", "errors", "files", "manifest", "report", "rules", "sandboxed", "secret"}
_TO_RENDER = {*_TO_CHECK, "credentials", "gate", "hub_name", "project", "render", "render_file", "services", "state"}
_PACKAGES = {"click", "msgspec", "typing_extensions"}  # the last one by msgspec
_TO_RENDER_PACKAGES = {*_PACKAGES, "jinja2", "markupsafe", "yaml", "_yaml"}
# Parts of these rooms that a project without a build, and a manifest without mistakes, do not need.
_UNUSED = {
    "cli._interruption", "manifest.layer", "manifest.route.builtin", "manifest.route.evaluate", "manifest.route.fault",
    "project.app", "project.dockerignore", "project.fit", "project.inputs", "project.requires", "project.workspace",
}  # fmt: skip

_SCRIPT = """\
import json, sys
before = set(sys.modules)
from manifestgen.cli import run
code = run(sys.argv[1:])
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
sys.exit(code)
"""
_LOOKED_AT = """\
import atexit, gc, sys
from manifestgen.__main__ import main
looked = []
gc.callbacks.append(lambda phase, info: looked.append(phase))
atexit.register(lambda: print(len(looked), gc.get_freeze_count() > 0))
sys.argv = ["manifestgen", "--version"]
main()
"""


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules that a command has imported by its end."""
    return {name.partition(".")[0] for name in modules_of(*arguments)}


def modules_of(*arguments: str) -> set[str]:
    """All modules that a command has imported by its end, beside those that Python starts with."""
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


@pytest.mark.parametrize(
    ("arguments", "rooms", "packages"),
    [
        (["check", "tests/rules/route-syntax/pass/plain.json"], _TO_CHECK, _PACKAGES),
        (["render", "samples/bring-your-own-image", "-o", "-"], _TO_RENDER, _TO_RENDER_PACKAGES),
    ],
    ids=["check", "render"],
)
def test_checking_and_rendering_import_what_they_use(arguments: list[str], rooms: set[str], packages: set[str]) -> None:
    modules = modules_of(*arguments)
    ours = {name.partition(".")[2] for name in modules if name.startswith("manifestgen.")}

    assert {name.partition(".")[0] for name in ours} - rooms == set()
    assert ours & _UNUSED == set()
    others = {name.partition(".")[0] for name in modules} - {"manifestgen", *sys.stdlib_module_names}
    assert {name for name in others if "cython" not in name} - packages == set()


def test_no_time_is_spent_on_looking_for_garbage() -> None:
    ended = subprocess.run([sys.executable, "-c", _LOOKED_AT], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout.splitlines()[1:] == ["0 True"]
    assert 'manifestgen = "manifestgen.__main__:main"' in Path("pyproject.toml").read_text()


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
