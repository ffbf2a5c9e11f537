from __future__ import annotations

import io

import pytest

from manifestgen.cli._console import Console
from manifestgen.cli._watching import DeploymentView, DeviceView, clock_words
from manifestgen.cloud import Configuration
from manifestgen.deployments.counts import progress_of
from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.errors import InputError
from manifestgen.target import Patience, Wait


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
        "  ok scorer  running",
    ]


def test_in_a_pipe_the_image_of_a_healthy_module_is_left_to_the_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    DeviceView(Console()).show("", rollout("running", State.HEALTHY))
    assert capsys.readouterr().err == ""


class Clock:
    """A clock that sleeping moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("manifestgen.cli._watching.time.sleep", clock.sleep)
    return clock


def test_on_a_terminal_there_is_a_clock_that_continues_between_two_reads(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    view = DeviceView(Console(), clock=clock)
    view.waiting(Wait(100.0, 700.0))
    view.show("", rollout("pulling"))
    assert screen.getvalue().endswith("  module 'scorer' is pulling\n  0:00, gives up in 10:00\n")
    view.patient(Patience(clock=clock)).sleep(3.5)
    frames = screen.getvalue().split("\x1b[3A\r\x1b[J")
    assert [frame.splitlines()[-1] for frame in frames] == [
        "  0:00, gives up in 10:00",
        "  0:01, gives up in 9:59",
        "  0:02, gives up in 9:58",
        "  0:03, gives up in 9:57",
    ]
    assert clock.now == 103.5


def test_a_device_that_fails_shows_when_it_is_given_up(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    def show() -> None:
        view = DeviceView(Console(), clock=clock)
        view.waiting(Wait(90.0, 700.0, 145.0))
        view.show("", rollout("in backoff", State.FAILING))
        view.show("", rollout("in backoff", State.FAILING))

    show()
    words = "  0:10, gives up in 0:45 unless it recovers"
    assert capsys.readouterr().err.splitlines() == ["  !! scorer  in backoff  acme.azurecr.io/scorer:1", words]
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    show()
    assert screen.getvalue().endswith(f"{words}\n")


def test_a_stage_that_will_abort_says_so(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = progress_of(Configuration("a-1", {"modulesContent": {}}, "*", 10), matched=20)

    def show() -> None:
        view = DeploymentView(Console(), clock=clock)
        for aborts in (None, 145.0, 145.0):
            why = "3 of 20 devices fail (15.0%, more than 2.0%)" if aborts else ""
            view.waiting(Wait(40.0, 1840.0, aborts, why, "aborts" if aborts else "gives up"))
            view.show("stage 1 of 3 (5%)", progress)

    show()
    monkeypatch.setenv("COLUMNS", "100")
    words = "1:00, aborts in 0:45 unless they recover: 3 of 20 devices fail (15.0%, more than 2.0%)"
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("stage 1 of 3 (5%): 0 targeted")
    assert said[1:] == [f"stage 1 of 3 (5%): {words}"]
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    show()
    assert "  1:00, gives up in 29:00\n" in screen.getvalue()
    assert screen.getvalue().endswith(f"  {words}\n")


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (Wait(0.0, 500.0), "1:40, gives up in 6:40"),
        (Wait(100.0, 130.0, then="continues"), "0:00, continues in 0:30"),
        (Wait(0.0, 7300.0), "1:40, gives up in 2:00:00"),
        (Wait(0.0, 50.0), "1:40, gives up in 0:00"),
        (Wait(0.0, 110.0, 160.0), "1:40, gives up in 0:10 unless it recovers"),
    ],
)
def test_the_clock_in_words(wait: Wait, words: str) -> None:
    assert clock_words(wait, 100.0) == words


def test_a_terminal_that_understands_no_escapes_gets_none(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = Console()
    view = DeviceView(console, clock=clock)
    view.waiting(Wait(100.0, 700.0))
    view.show("", rollout("pulling"))
    view.patient(Patience(clock=clock, sleep=clock.sleep)).sleep(5)
    view.show("", rollout("running", State.HEALTHY))
    console.step("wait", "done")
    console.warn("careful")
    console.fail(InputError("wrong", fix="correct it"))
    assert "\x1b" not in screen.getvalue()
    assert screen.getvalue().splitlines()[0] == "  .. scorer  pulling  acme.azurecr.io/scorer:1"


def test_quiet_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    console = Console()
    console.quiet = True
    DeviceView(console).show("", rollout("pulling"))
    assert screen.getvalue() == ""
