"""Every command that a page shows is one that manifestgen has, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from manifestgen import cli
from manifestgen.cli._by_target import ByTarget

ROOT = Path(__file__).parents[2]
#: Pages with commands. Those of the reference are generated from the commands themselves.
PAGES = [
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in ("cli.md", "rules.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "samples").glob("*/README.md")),
]
_SHELLS = ("console", "sh", "yaml", "groovy")


def _lines(page: str) -> list[str]:
    """The command lines in a page's blocks, and those in its text."""
    found: list[str] = []
    for language, block in re.findall(r"^ *```(\w+)\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL):
        if language in _SHELLS:
            text = block.replace("\\\n", " ")
            shown = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
            found += shown if language == "console" else text.splitlines()
    text = re.sub(r"^ *```.*?^ *```", "", page, flags=re.MULTILINE | re.DOTALL)
    found += re.findall(r"`(manifestgen [^`\n]+)`", text)
    return found


def _commands(line: str) -> list[list[str]]:
    """The words of each call of manifestgen in a line of a shell, without what the shell takes for itself."""
    calls: list[list[str]] = []
    for part in re.split(r"&&|\|\||;|\||\$\(", re.sub(r"(^|\s)#\s.*", "", line)):
        match = re.search(r"(?:^|[\s'\"])manifestgen\s+(.+)$", part)
        if match and not re.match(r"\s*(?:pip|docker|python|image:|name:|- )", part):
            text = re.sub(r"[<>]\s*\S+|\)\"?\s*$|'\s*$", "", match[1])
            calls.append(shlex.split(text.replace("…", ""), posix=True) if text.count("'") % 2 == 0 else text.split())
    return calls


ALL = sorted(
    {
        (path.relative_to(ROOT).as_posix(), " ".join(shlex.quote(word) for word in words))
        for path in PAGES
        for line in _lines(path.read_text(encoding="utf-8"))
        for words in _commands(line)
        if words and not words[0].startswith("-") and words[0].islower()
    }
)


def _problem(words: list[str]) -> str | None:
    """What the command line would say of these words, before it looks at any file."""
    command: click.Command = cli._cli
    context = click.Context(command, info_name="manifestgen")
    while isinstance(command, click.Group):
        if not words:
            return None
        found = command.get_command(context, words[0])
        if found is None:
            return f"no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    if command.name == "run" and "--" in words:
        inner = words[words.index("--") + 1 :]
        return _problem(inner[1:]) if inner[:1] == ["manifestgen"] else None
    if isinstance(command, ByTarget):
        command = next((other for option, other in command.others.items() if option in words), command)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    for word in words:
        option = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in known and not re.fullmatch("-[vqo]+", option):
            return f"no option {option!r} of {command.name!r}"
    return None


@pytest.mark.parametrize(("page", "line"), ALL)
def test_a_command_of_a_page_exists(page: str, line: str) -> None:
    assert _problem(shlex.split(line)) is None


def test_commands_are_found_and_wrong_ones_too() -> None:
    assert len(ALL) > 80
    assert _commands("$ manifestgen check a.json | manifestgen view -") == [["check", "a.json"], ["view", "-"]]
    assert _problem(["sandbox", "run", "--", "manifestgen", "deploy", "--yes"]) is None
    assert _problem(["sandbox", "run", "--", "manifestgen", "deploy", "--yse"]) == "no option '--yse' of 'deploy'"
    assert _problem(["aply", "x"]) == "no command 'aply'"
