from __future__ import annotations

import io

import pytest

from manifestgen.cli._console import Console
from manifestgen.cli._watching import DeviceView
from manifestgen.device.rollout import ModuleStatus, Rollout, State


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def rollout(words: str, state: State = State.WAITING) -> Rollout:
    modules = (ModuleStatus("scorer", state, words, "acme.azurecr.io/scorer:1"),)
    reason = "" if state is State.HEALTHY else f"module 'scorer' is {words}"
    return Rollout(state, 3, 3, 200, "", modules, reason)


def test_on_a_terminal_the_lines_of_the_modules_are_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    watching = DeviceView(Console())
    watching.show("", rollout("pulling"))
    watching.show("", rollout("running", State.HEALTHY))
    first, second = screen.getvalue().split("\x1b[2A\r\x1b[J")
    assert first == "  .. scorer  pulling  acme.azurecr.io/scorer:1\n  module 'scorer' is pulling\n"
    assert second == "  ok scorer  running  acme.azurecr.io/scorer:1\n"


def test_a_line_that_would_wrap_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "30")
    DeviceView(Console()).show("", rollout("pulling"))
    assert screen.getvalue() == "  .. scorer  pulling  acme.a…\n  module 'scorer' is pulling\n"


def test_in_a_pipe_only_what_changed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    watching = DeviceView(Console())
    watching.show("", rollout("pulling"))
    watching.show("", rollout("pulling"))
    watching.show("", rollout("running", State.HEALTHY))
    assert capsys.readouterr().err.splitlines() == [
        "  .. scorer  pulling  acme.azurecr.io/scorer:1",
        "  ok scorer  running  acme.azurecr.io/scorer:1",
    ]


def test_quiet_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    console = Console()
    console.quiet = True
    DeviceView(console).show("", rollout("pulling"))
    assert screen.getvalue() == ""
