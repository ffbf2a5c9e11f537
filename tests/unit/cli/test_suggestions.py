"""What is suggested for a command or an option that does not exist."""

from __future__ import annotations

from difflib import get_close_matches

import click
import pytest
from fakes.commands import commands

from manifestgen.cli import run
from manifestgen.cli._suggestions import CHANGING_COMMANDS, CHANGING_OPTIONS, nearest

# Every command and option is here or in the table: a new one has to be put into one of them.
HARMLESS_COMMANDS = set(
    [
        "check",
        "completion",
        "connection-string",
        "deployment",
        "device",
        "diff",
        "doctor",
        "explain",
        "export",
        "history",
        "import",
        "init",
        "list",
        *("logs", "ping", "score"),
        "messages",
        "model",
        "plan",
        "preflight",
        "project",
        "render",
        "schema",
        "show",
        "status",
        "test",
        "view",
    ]
)
HARMLESS_OPTIONS = set(
    [
        *("--data", "--grep", "--level", "--module", "--smoke", "--tail", "--to-file", "--until"),
        "--edge-runtime-only",
        *("--allow-undefined", "--debug", "--env-file", "--manifest", "--profile"),
        *("--as", "--count", "--follow", "--modules", "--serve", "--summary"),
        *("--expect", "--here", "--input", "--memory", "--model", "--repeat", "--test"),
        "--abort-if-failing",
        "--as-of",
        "--base",
        "--build-timeout",
        "--builder",
        "--registry",
        "--concurrency",
        "--context",
        "--engine",
        "--environment",
        "--condition",
        "--days",
        "--device",
        "--dry-run",
        "--exit-code",
        "--fail-on",
        "--foreground",
        "--format",
        "--help",
        *("--hub", "--registry"),
        "--image",
        "--in-use",
        "--journal",
        "--label",
        "--layered",
        "--locked",
        "--merge",
        "--metric",
        "--name",
        "--out",
        "--output",
        "--parent",
        "--pin",
        "--platform",
        "--priority",
        "--project",
        "--quiet",
        "--rate",
        "--report",
        "--select",
        "--set",
        "--show-env",
        "--since",
        "--stages",
        "--state",
        "--tag",
        "--target-condition",
        "--template",
        "--timeout",
        "--to",
        "--values",
        "--verbose",
        "--version",
        "--pause",
        "--give-up-after",
        "--ignore-column",
        "--show-targets",
        "--stage-tag",
        "--wait-for",
        "--watch",
    ]
)
# What people type who want to look, to stop or to clean up.
IN_VAIN = [
    "destroy",
    "delete",
    "remove",
    "down",
    "stop",
    "kill",
    "cancel",
    "undo",
    "revert",
    "purge",
    "prune",
    "reset",
    "abort",
    "clean",
    "drop",
    "diff",
    "preview",
    "simulate",
    "validate",
    "verify",
    "test",
    "help",
    "version",
    "--dry-run",
    "--dryrun",
    "--dry",
    "--what-if",
    "--preview",
    "--plan",
    "--check",
    "--no-force",
    "--no-yes",
    "--no",
    "--confirm",
    "--no-prune",
    "--keep",
    "--preserve",
    "--safe",
    "--interactive",
    "--ask",
    "--no-rebuild",
    "--cached",
    "--reuse",
    "--no-enable-admin",
    "--no-create-token",
    "--preflight",
    "--wait",
    "--no-rollback",
    "--no-rollback-on-failure",
    "--redact",
    "--no-secrets",
]


# Without the option that chooses between the variants of a command.
ALL = [(tuple(word for word in path if word[:1] != "-"), command) for path, command in commands()]


def _options(command: click.Command) -> set[str]:
    names = [name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)]
    return {name for name in names if name.startswith("--")}


def test_every_command_is_known_to_change_something_or_not_to() -> None:
    commands = {path[-1] for path, _ in ALL if path}
    assert commands - CHANGING_COMMANDS == HARMLESS_COMMANDS
    assert commands >= CHANGING_COMMANDS


def test_every_option_is_known_to_change_something_or_not_to() -> None:
    options = set().union(*(_options(command) for _, command in ALL))
    assert options - CHANGING_OPTIONS - HARMLESS_OPTIONS == set()
    assert options >= CHANGING_OPTIONS


@pytest.mark.parametrize("typed", IN_VAIN)
def test_what_changes_more_is_never_suggested(typed: str) -> None:
    for path, command in ALL:
        if typed.startswith("-"):
            assert nearest(typed, _options(command) - {typed}) not in CHANGING_OPTIONS, path
        elif isinstance(command, click.Group):
            known = set(command.list_commands(click.Context(command))) - {typed}
            assert nearest(typed, known) not in CHANGING_COMMANDS, path


def test_no_word_of_the_command_line_leads_to_one_that_changes_more() -> None:
    """Every command and option, typed where it does not exist: none is one letter from one that changes more."""
    commands = {path[-1] for path, _ in ALL if path}
    options = set().union(*(_options(command) for _, command in ALL))
    never: list[tuple[str, str, str]] = []
    for path, command in ALL:
        where = f"manifestgen {' '.join(path)}".rstrip()
        known = sorted(_options(command))
        for typed in sorted({*options, *(word for word in IN_VAIN if word.startswith("-"))} - set(known)):
            assert nearest(typed, known) not in CHANGING_OPTIONS, (where, typed)
            never += [(where, typed, near) for near in get_close_matches(typed, known) if near in CHANGING_OPTIONS]
        if isinstance(command, click.Group):
            names = command.list_commands(click.Context(command))
            for typed in sorted({*commands, *(word for word in IN_VAIN if not word.startswith("-"))} - set(names)):
                assert nearest(typed, names) not in CHANGING_COMMANDS, (where, typed)
                never += [(where, typed, near) for near in get_close_matches(typed, names) if near in CHANGING_COMMANDS]
    for where, typed, near in never:
        print(f"{where}: {typed} never leads to {near}")
    print(f"{len(never)} suggestions that are never made")
    pairs = {(typed, near) for _, typed, near in never}
    assert {("--dry-run", "--prune"), ("destroy", "deploy"), ("--plan", "--prune"), ("--device", "--devices")} <= pairs


@pytest.mark.parametrize("word", sorted(CHANGING_COMMANDS | CHANGING_OPTIONS))
def test_two_letters_less_or_more_are_no_slip(word: str) -> None:
    bare = word.lstrip("-")
    dashes = word[: len(word) - len(bare)]
    far = [
        bare[:first] + bare[first + 1 : second] + bare[second + 1 :]
        for first in range(len(bare))
        for second in range(first + 1, len(bare))
    ]
    for typed in [*far, f"no{bare}", f"un{bare}", f"{bare}ed"]:
        assert nearest(dashes + typed, [word]) is None


@pytest.mark.parametrize("word", sorted(CHANGING_COMMANDS | CHANGING_OPTIONS))
def test_one_wrong_letter_is_a_slip(word: str) -> None:
    for typed in (word[:-1], f"{word}s", f"{word[:-1]}_", f"{word[:-2]}{word[-1]}{word[-2]}"):
        assert nearest(typed, [word]) in (word, None)
    assert nearest(f"{word}s", [word]) == word


@pytest.mark.parametrize(
    ("arguments", "error", "fix"),
    [
        (["destroy"], "no such command: 'destroy'", "see 'manifestgen --help' for the commands"),
        (["deplyo"], "no such command: 'deplyo'", "did you mean 'deploy'?"),
        (["statsu"], "no such command: 'statsu'", "did you mean 'status'?"),
        (["apply", "--prunes"], "manifestgen apply: no such option: --prunes", "did you mean '--prune'? Otherwise see"),
        (["apply", "--dryrun"], "manifestgen apply: no such option: --dryrun", "see 'manifestgen apply --help'"),
        (["deploy", "--dryrun"], "manifestgen deploy: no such option: --dryrun", "did you mean '--dry-run'? Otherwise"),
        (["device", "rm"], "manifestgen device: no such command: 'rm'", "see 'manifestgen device --help'"),
        (["device", "lst"], "manifestgen device: no such command: 'lst'", "did you mean 'list'? Otherwise"),
        (
            ["apply", "x.json", "--device", "a", "--dry-run"],
            "--dry-run needs --devices",
            "add --devices FILE, or see what",
        ),
        (
            ["deploy", "--dry-run", "--enable-admin"],
            "--dry-run changes nothing, and --enable-admin would",
            "drop --enable-admin",
        ),
        (["credentials", "create"], "manifestgen credentials: no such command: 'create'", "see 'manifestgen cred"),
    ],
)
def test_a_word_that_does_not_exist_is_two_lines(
    arguments: list[str], error: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    said, advice = capsys.readouterr().err.splitlines()
    assert said == f"error: {error}"
    assert advice.startswith(f"  fix: {fix}")
