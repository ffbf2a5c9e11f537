"""What a command ends with becomes an exit code, in one place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from manifestgen import cli
from manifestgen.errors import (
    CloudError,
    DeclinedError,
    DeniedError,
    FoundError,
    InputError,
    Interrupted,
    NotFoundError,
    UnconfirmedError,
)

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException | int | None]]:
    """A command that ends with what is put into this list."""
    outcomes: list[BaseException | int | None] = []

    @click.command()
    def command() -> int | None:
        outcome = outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(cli._Commands, "get_command", lambda self, ctx, name: command)
    yield outcomes


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (None, 0),
        (0, 0),
        (1, 1),
        (FoundError("found", fix="fix"), 1),
        (InputError("wrong", fix="fix"), 2),
        (click.UsageError("no such thing"), 2),
        (click.BadParameter("not a number"), 2),
        (click.FileError("file", "not there"), 2),
        (CloudError("refused", fix="fix"), 3),
        (NotFoundError("not there", fix="fix"), 3),
        (DeniedError("denied", fix="fix"), 3),
        (UnconfirmedError("lost", fix="fix"), 3),
        (Interrupted("stopped", fix="fix"), 130),
        (DeclinedError("stopped", fix="fix"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (RuntimeError("a bug"), 70),
        (AssertionError(), 70),
    ],
    ids=repr,
)
def test_every_end_has_its_exit_code(
    outcome: BaseException | int | None,
    code: int,
    ends_with: list[BaseException | int | None],
    capsys: Captured,
) -> None:
    ends_with.append(outcome)
    assert cli.run(["render"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert ("Traceback" in said.err) == (code == 70)
    if code in (1, 2, 3, 130) and isinstance(outcome, BaseException):
        # click ends the line that a terminal shows ^C on.
        lines = said.err.removeprefix("\n").splitlines()
        assert len(lines) == 2
        assert lines[1].startswith("  fix: ")


@pytest.mark.parametrize("option", [["--output", "json"], ["--output=json"]])
def test_wrong_usage_is_a_document_when_json_is_asked_for(option: list[str], capsys: Captured) -> None:
    assert cli.run(["status", *option, "--no-such-option"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["exit_code"] == 2
    assert "--no-such-option" in document["error"]["message"]
    assert document["error"]["fix"] == "see 'manifestgen status --help'"


@pytest.mark.parametrize("option", [["--output", "json"], ["--output=json"]])
def test_an_unknown_command_is_a_document_when_json_is_asked_for(option: list[str], capsys: Captured) -> None:
    assert cli.run(["staus", *option]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["fix"] == "did you mean 'status'?"


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", f"{'x' * 300}.json.j2", "--devices", "devices.csv"],
        ["apply", "single-module", "--devices", f"{'x' * 300}.csv"],
        ["check", "x" * 300],
        ["render", "x" * 300],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_path_that_the_file_system_does_not_take_is_wrong_input(
    arguments: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    error, fix = capsys.readouterr().err.splitlines()[-2:]
    assert error.startswith("error: xxx") and fix.startswith("  fix: ")


@pytest.mark.parametrize("group", [[], ["credentials"], ["device"]])
def test_without_a_command_the_help_is_shown_line_by_line(group: list[str], capsys: Captured) -> None:
    assert cli.run(group) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"Usage: {' '.join(['manifestgen', *group])} [OPTIONS] COMMAND")
    assert "\nCommands:\n" in said.err


def test_messages_of_the_parser_are_in_our_manner(capsys: Captured) -> None:
    cli.run(["score"])
    assert capsys.readouterr().err == (
        "error: manifestgen score: missing option '--data'\n  fix: see 'manifestgen score --help'\n"
    )


def test_secrets_of_the_environment_are_hidden_before_anyone_reads_them(
    ends_with: list[BaseException | int | None], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-client-secret")
    monkeypatch.setenv("ACR_PASSWORD_ACME", "canary-password")
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", "HostName=h;SharedAccessKeyName=o;SharedAccessKey=Y2FuYXJ5a2V5")
    ends_with.append(RuntimeError("canary-client-secret canary-password Y2FuYXJ5a2V5"))
    assert cli.run(["render"]) == 70
    assert "RuntimeError: *** *** ***" in capsys.readouterr().err
