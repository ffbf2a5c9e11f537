"""Which target a command is about, and what is asked before it changes."""

from __future__ import annotations

from typing import Any

import click
import pytest

from manifestgen.cli import run
from manifestgen.cli._console import Console
from manifestgen.errors import DeclinedError, InputError, Interrupted


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize(
    ("arguments", "shown", "hidden"),
    [
        (["--help"], "--prune", "--stages"),
        (["-h"], "--merge", "--rate"),
        (["--deployment", "--help"], "--stages", "--prune"),
        (["--deployment", "scorer", "-h"], "--target-condition", "--device "),
        (["x.json", "--deployment=scorer", "--help"], "--layered", "--rate"),
        (["--devices", "--help"], "--rate", "--stages"),
        (["--help", "--devices"], "--since", "--merge"),
    ],
)
def test_the_help_is_that_of_the_target(
    arguments: list[str], shown: str, hidden: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "apply", *arguments)
    assert code == 0
    assert shown in text and hidden not in text


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (["x"], "no device is named", "add --device ID, --deployment NAME or --devices FILE"),
        (
            ["x", "--deployment", "a", "--devices", "b"],
            "--deployment and --devices cannot be used together",
            "drop one",
        ),
        (
            ["x", "--deployment", "a", "--device", "b"],
            "--deployment and --device cannot be used together",
            "drop --device",
        ),
        (["x", "--deployment", "a", "--merge"], "--deployment and --merge cannot be used together", "drop --merge"),
        (["x", "--devices", "a", "--device=b"], "--devices and --device cannot be used together", "drop --device"),
        (["x", "--stages=5%"], "--stages needs --deployment", "add --deployment NAME"),
        (["x", "--devices", "a", "--stages", "5%"], "--stages needs --deployment", "add --deployment NAME"),
        (["x", "--deployment", "a", "--dry-run"], "--dry-run needs --devices", "add --devices FILE"),
        (["x", "--nonsense"], "no such option", "manifestgen apply --help"),
    ],
)
def test_options_of_another_target_say_where_they_belong(
    arguments: list[str], message: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "apply", *arguments)
    assert code == 2
    assert message in text and fix in text


def test_what_follows_two_dashes_is_not_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "apply", "--device", "a", "--", "--deployment")
    assert code == 2 and "--deployment: manifest not found" in text


@pytest.mark.parametrize("command", ["status", "history", "rollback"])
def test_one_target_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, command)
    assert code == 2 and "no device is named" in text and "add --device ID" in text and "with --deployment" in text
    code, text = said(capsys, command, "--device", "a", "--deployment", "b")
    assert code == 2 and "--device and --deployment cannot be used together" in text


class Terminal(Console):
    """A console that somebody sits at, or not."""

    def __init__(self, answer: bool | None, *, interactive: bool = True) -> None:
        super().__init__()
        self.answer = answer
        self.sat_at = interactive

    @property
    def interactive(self) -> bool:
        return self.sat_at

    def confirm(self, question: str) -> bool:
        if self.answer is None:
            raise click.Abort
        return self.answer


def ask(console: Console, **more: Any) -> None:
    console.ask("change it?", **{"yes": False, "unchanged": "nothing was changed", **more})


def test_yes_asks_no_one() -> None:
    ask(Terminal(False, interactive=False), yes=True)


def test_the_answer_yes_continues() -> None:
    ask(Terminal(True))


@pytest.mark.parametrize("answer", [False, None])
def test_another_answer_stops_it(answer: bool | None) -> None:
    stopped = Interrupted if answer is None else DeclinedError
    with pytest.raises(stopped, match="stopped; nothing was changed"):
        ask(Terminal(answer))


@pytest.mark.parametrize(("output", "why"), [("text", "not a terminal"), ("json", "output is json")])
def test_where_no_one_can_answer_the_way_out_is_named(output: str, why: str) -> None:
    console = Terminal(True, interactive=False)
    console.output = output
    with pytest.raises(InputError, match=f"{why}, so the change cannot be confirmed") as caught:
        ask(console)
    assert caught.value.fix == "add --yes"
