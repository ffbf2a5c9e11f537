"""How a run over many devices asks, and what it draws on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from fakes.hub import FakeHub

from manifestgen import services as _cloud
from manifestgen.cli._console import Console
from manifestgen.cli._watching import RowsView
from manifestgen.cli.apply import command
from manifestgen.errors import DeclinedError, Interrupted
from manifestgen.rows.journal import Journal, open_journal
from manifestgen.rows.pace import Pace
from manifestgen.rows.run import progress_of


class Terminal(Console):
    """A console that somebody sits at."""

    interactive = True
    live = True

    def __init__(self, answer: bool | None) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[str] = []
        self.drawn: list[str] = []

    def confirm(self, question: str) -> bool:
        self.asked.append(question)
        if self.answer is None:
            raise click.Abort
        return self.answer

    def redraw(self, lines: list[str], clock: str = "") -> None:
        self.drawn += lines


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    found = FakeHub("edge-1", "edge-2")
    monkeypatch.setattr(_cloud, "open_hub", lambda host, project: found)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("device,image\nedge-1,mcr.microsoft.com/a:1\nedge-2,mcr.microsoft.com/a:1\n")
    return tmp_path


def go(console: Console) -> Any:
    arguments = ["single-module", "--devices", "rows.csv", "--rate", "1000"]
    return command.main(arguments, prog_name="apply", standalone_mode=False, obj=console)


def test_anyone_who_says_yes_gets_it(hub: FakeHub, folder: Path) -> None:
    console = Terminal(True)
    assert go(console) == 0
    assert console.asked == ["replace all modules of 2 devices in fake-hub.azure-devices.net?"]
    assert sorted(device for device, _ in hub.applied) == ["edge-1", "edge-2"]


@pytest.mark.parametrize("answer", [False, None])
def test_anyone_who_says_no_or_goes_away_changes_nothing(hub: FakeHub, folder: Path, answer: bool | None) -> None:
    stopped = Interrupted if answer is None else DeclinedError
    with pytest.raises(stopped, match="stopped; nothing was sent"):
        go(Terminal(answer))
    assert hub.applied == []


def test_nothing_is_asked_when_nothing_is_left(hub: FakeHub, folder: Path) -> None:
    go(Terminal(True))
    console = Terminal(False)
    assert go(console) == 0
    assert console.asked == []


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = open_journal(tmp_path / "journal", 10, {})
    yield found
    found.close()


def test_the_bar_has_the_rate_the_time_left_and_what_is_waited_for(journal: Journal) -> None:
    now = 50.0

    def wait(stop: threading.Event, seconds: float) -> bool:
        return False

    pace = Pace(10.0, clock=lambda: now, wait=wait)
    console: Any = Terminal(True)
    view = RowsView(console, clock=lambda: now)
    view.show("rows", progress_of(journal, pace, 10))
    assert console.drawn == []
    for row in range(1, 6):
        journal.settle(row, "d", "applied")
    now += 2.5
    view.show("rows", progress_of(journal, pace, 10))
    from fakes.bulk_hub import busy

    pace.busy(busy(retry_after=7))
    now += 0.3
    view.show("rows", progress_of(journal, pace, 10))
    bar = "█" * 15 + "░" * 15
    assert console.drawn == [
        f"{bar} 5 of 10, 2 per second, 2 s left",
        f"{bar} 5 of 10, 2 per second, 3 s left, waiting 7 s for the hub",
    ]


def test_in_a_pipe_no_bar_is_drawn(journal: Journal) -> None:
    console: Any = Terminal(True)
    console.live = False
    view = RowsView(console)
    for _ in range(3):
        view.show("rows", progress_of(journal, Pace(10.0), 10))
    assert console.drawn == []
