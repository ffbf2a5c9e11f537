"""A run over many devices, without a command line: what it would do, and what became of each row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.bulk_hub import FakeBulkHub, busy

from manifestgen.errors import BusyError, CloudError, DeniedError, InputError, Interrupted
from manifestgen.rows import report_file, run
from manifestgen.rows.account import Account, RowOutcome
from manifestgen.rows.render import Renderer
from manifestgen.rows.rows import Rows, open_rows
from manifestgen.rows.run import Proposal, Settings, Summary, carry_out, dry_run, identity_of, open_run, propose
from manifestgen.rows.source import source_of
from manifestgen.rows.workers import Workers
from manifestgen.target import Observer

HOST = "fake-hub.azure-devices.net"
SOURCE = replace(
    source_of(Path("single-module")),
    base={"ttl": 60, "runtime": "1.6", "module": "scorer", "image": "mcr.microsoft.com/acme/scorer:1"},
)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Callable[..., Rows]]:
    made: list[Rows] = []

    def make(text: str = "device,env.SITE\nedge-1,a\nedge-2,b\nedge-3,c\n") -> Rows:
        path = tmp_path / "devices.csv"
        path.write_text(text)
        made.append(open_rows(path))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "devices.csv", rate=1000.0, give_up_after=5.0, report=tmp_path / "report.csv")


def renderer() -> Renderer:
    return Renderer(SOURCE.template, SOURCE.base, lambda manifest: {})


def go(
    rows: Rows, settings: Settings, hub: Any, observer: Observer[Any, Any] | None = None, **more: Any
) -> tuple[Proposal, Any]:
    with open_run(SOURCE, settings, rows, renderer(), hub.host) as begun:
        proposal = propose(begun, hub.host)
        return proposal, carry_out(begun, hub, proposal, observer=observer, **more)


def reported(settings: Settings) -> dict[str, str]:
    assert settings.report is not None
    with settings.report.open() as stream:
        return {row["device"]: row["outcome"] for row in csv.DictReader(stream)}


def test_a_proposal_counts_rows_and_messages_and_the_time_they_take(
    rows: Callable[..., Rows], settings: Settings
) -> None:
    found = rows("device,env.A\n" + "".join(f"edge-{number},{'x' * 3500}\n" for number in range(10)))
    slow = replace(settings, rate=0.5)
    with open_run(SOURCE, slow, found, renderer(), HOST) as begun:
        proposal = propose(begun, HOST)
    assert (proposal.count, proposal.done, proposal.left, proposal.duplicates) == (10, 0, 10, 0)
    assert proposal.messages == 20
    assert proposal.seconds == 20


def test_devices_with_two_rows_are_counted(rows: Callable[..., Rows], settings: Settings) -> None:
    found = rows("device\na\nb\na\n")
    with open_run(SOURCE, settings, found, renderer(), HOST) as begun:
        assert propose(begun, HOST).duplicates == 2


def test_a_run_sends_every_row_and_reports_it(rows: Callable[..., Rows], settings: Settings) -> None:
    hub = FakeBulkHub()
    asked: list[Proposal] = []
    proposal, outcome = go(rows(), settings, hub, Observer(permit=asked.append))
    assert asked == [proposal]
    assert (outcome.applied, outcome.finished) == (True, True)
    assert outcome.progress == Summary(Account(applied=3))
    assert sorted(hub.taken) == ["edge-1", "edge-2", "edge-3"]
    assert reported(settings) == dict.fromkeys(["edge-1", "edge-2", "edge-3"], "applied")


def test_the_same_run_again_asks_no_one_and_sends_nothing(rows: Callable[..., Rows], settings: Settings) -> None:
    hub = FakeBulkHub()
    asked: list[Proposal] = []
    go(rows(), settings, hub)
    proposal, outcome = go(rows(), settings, hub, Observer(permit=asked.append))
    assert (proposal.done, proposal.left, proposal.messages) == (3, 0, 0)
    assert (outcome.applied, outcome.finished, asked) == (False, True, [])
    assert all(len(bodies) == 1 for bodies in hub.taken.values())


def test_anyone_who_is_asked_can_stop_it(rows: Callable[..., Rows], settings: Settings) -> None:
    def refuse(proposal: Proposal) -> None:
        raise Interrupted("stopped", fix="run it again")

    hub = FakeBulkHub()
    with pytest.raises(Interrupted, match="stopped"):
        go(rows(), settings, hub, Observer(permit=refuse))
    assert hub.taken == {}


def test_rows_that_fail_are_listed_and_leave_it_unfinished(rows: Callable[..., Rows], settings: Settings) -> None:
    hub = FakeBulkHub()
    hub.gone = {"edge-2"}
    _, outcome = go(rows("device,image\nedge-1,Not/An Image\nedge-2,a.io/b:1\nedge-3,a.io/b:1\n"), settings, hub)
    summary = outcome.progress
    assert not outcome.finished and not summary.good
    assert [(one.device, one.outcome) for one in summary.bad] == [("edge-1", "refused"), ("edge-2", "failed")]
    assert summary.more == 0
    assert reported(settings) == {"edge-1": "refused", "edge-2": "failed", "edge-3": "applied"}


def test_only_the_first_bad_rows_are_listed(rows: Callable[..., Rows], settings: Settings) -> None:
    found = rows("device,image\n" + "".join(f"edge-{number},No Image\n" for number in range(50)))
    _, outcome = go(found, settings, FakeBulkHub())
    assert len(outcome.progress.bad) == 20 and outcome.progress.more == 30
    assert len(reported(settings)) == 50


@pytest.mark.parametrize(
    ("trouble", "error", "words"),
    [
        (KeyboardInterrupt(), Interrupted, "interrupted; 3 not tried"),
        (DeniedError("the hub returned 401", fix="check the key"), DeniedError, "the hub returned 401; until then"),
    ],
)
def test_a_run_that_ends_early_says_what_was_done_and_writes_the_report(
    trouble: BaseException, error: type[Exception], words: str, rows: Callable[..., Rows], settings: Settings
) -> None:
    hub = FakeBulkHub()
    told: list[Summary] = []

    def before(device: str) -> None:
        raise trouble

    hub.before = before
    found = rows()
    if isinstance(trouble, KeyboardInterrupt):
        hub.before = lambda device: None
        found = _Interrupted(found)  # type: ignore[assignment]
    with pytest.raises(error, match=words) as caught:
        go(found, settings, hub, stopped=told.append)
    assert "run the same command again to resume" in getattr(caught.value, "fix", "")
    (summary,) = told
    assert summary.account.rows == 3
    assert len(reported(settings)) == 3


class _Interrupted:
    """Rows, in the middle of whose sending Ctrl-C is pressed; estimate and report are read in peace."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.survey = rows.survey
        self._reads = 0

    def __iter__(self) -> Iterator[Any]:
        self._reads += 1
        if self._reads == 2:
            raise KeyboardInterrupt
        return iter(self._rows)


def test_a_hub_that_takes_nothing_for_too_long_ends_it(rows: Callable[..., Rows], settings: Settings) -> None:
    hub = FakeBulkHub()

    def before(device: str) -> None:
        raise busy(retry_after=10)

    hub.before = before
    with pytest.raises(CloudError, match=r"the hub accepted nothing for .*; until then") as caught:
        go(rows(), settings, hub)
    assert not isinstance(caught.value, BusyError)
    assert set(reported(settings).values()) <= {"not tried", "failed"}


def test_an_earlier_run_spares_devices_that_have_the_same(
    rows: Callable[..., Rows], settings: Settings, tmp_path: Path
) -> None:
    hub = FakeBulkHub()
    go(rows(), settings, hub)
    later = replace(settings, journal=tmp_path / "later", since=tmp_path / "devices.csv.journal")
    _, outcome = go(rows(), later, hub)
    assert outcome.finished and not outcome.progress.account.applied
    assert outcome.progress.account.unchanged == 3


def test_progress_is_reported_while_it_continues(
    rows: Callable[..., Rows], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_TICK", 0.0)
    seen: list[run.Progress] = []
    go(rows(), settings, FakeBulkHub(), Observer(progress=lambda title, progress: seen.append(progress)))
    assert seen and {one.count for one in seen} == {3}
    settled = [one.settled for one in seen]
    assert settled == sorted(settled)


def test_what_makes_a_run_the_same_run(rows: Callable[..., Rows], settings: Settings) -> None:
    first = identity_of(SOURCE, settings, rows(), HOST)
    assert identity_of(SOURCE, replace(settings, rate=1, report=None), rows(), HOST) == first
    others = [
        ("hub", identity_of(SOURCE, settings, rows(), "another")),
        ("rows", identity_of(SOURCE, settings, rows("device\nx\n"), HOST)),
        ("values", identity_of(SOURCE, replace(settings, ignored=("a",)), rows(), HOST)),
        ("values", identity_of(replace(SOURCE, base={}), settings, rows(), HOST)),
        ("template", identity_of(replace(SOURCE, hash="0"), settings, rows(), HOST)),
    ]
    for name, other in others:
        assert {key for key in first if first[key] != other[key]} == {name}


def test_another_run_is_not_resumed(rows: Callable[..., Rows], settings: Settings) -> None:
    go(rows(), settings, FakeBulkHub())
    with pytest.raises(InputError, match="with different rows"):
        go(rows("device\nx\n"), settings, FakeBulkHub())


def test_a_dry_run_sends_nothing_and_reports_every_row(rows: Callable[..., Rows], settings: Settings) -> None:
    found = rows("device,image\nedge-1,Not/An Image\nedge-2,a.io/b:1\nedge-3,a.io/b:1\n")
    summary = dry_run(found, renderer(), SOURCE, settings.report)
    assert summary.account == Account(refused=1, not_tried=2)
    assert [(one.device, one.outcome) for one in summary.bad] == [("edge-1", "refused")]
    assert summary.messages == 2 and summary.more == 0
    assert reported(settings) == {"edge-1": "refused", "edge-2": "not tried", "edge-3": "not tried"}
    assert not settings.devices.with_name("devices.csv.journal").exists()


def test_a_dry_run_of_many_rows_uses_several_processes(
    rows: Callable[..., Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Noted(Workers):
        def __init__(self, *args: Any) -> None:
            started.append(args[-1])
            super().__init__(*args)

    monkeypatch.setattr(run, "Workers", Noted)
    monkeypatch.setattr(run, "processes_for", lambda rate, rows: 2)
    found = rows("device,env.SITE\n" + "".join(f"edge-{number},a\n" for number in range(100)))
    assert dry_run(found, renderer(), SOURCE) == Summary(Account(not_tried=100), messages=100)
    assert started == [2]


def test_a_report_that_cannot_be_written_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "r.txt", "ends in .json or .csv"),
        (tmp_path / "missing" / "r.csv", "does not exist"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            report_file.refuse_bad_path(path)
        assert caught.value.fix
    report_file.refuse_bad_path(tmp_path / "r.JSON")


def test_a_report_that_would_replace_an_input_is_refused(tmp_path: Path) -> None:
    devices = tmp_path / "rows.csv"
    devices.write_text("device\nedge-1\n")
    with pytest.raises(InputError, match="the output is also an input") as caught:
        report_file.refuse_bad_path(devices, (tmp_path / "t.json.j2", devices, None))
    assert "--report" in caught.value.fix


def test_a_report_follows_no_link_with_the_name_of_a_draft(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / ".report.csv.tmp").symlink_to(victim)
    report_file.write([RowOutcome(2, "a", "applied")], tmp_path / "report.csv")
    assert victim.read_text() == "mine"
    assert (tmp_path / ".report.csv.tmp").is_symlink()


def test_a_report_holds_no_formula(tmp_path: Path) -> None:
    device = '=HYPERLINK("https://evil.example")'
    formulas = (device, "@SUM(1)", "+1", "-1+cmd|' /C calc'!A0", "\t=1", "plain")
    report_file.write([RowOutcome(2, text, "refused", text, text) for text in formulas], tmp_path / "r.csv")
    with (tmp_path / "r.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["device"] for row in rows] == [*(f"'{text}" for text in formulas[:-1]), "plain"]
    assert all(not value.startswith(("=", "+", "-", "@", "\t")) for row in rows for value in row.values())
    report_file.write([RowOutcome(2, device, "refused", "", "")], tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["devices"][0]["device"] == device


def test_a_report_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def outcomes() -> Iterator[RowOutcome]:
        yield RowOutcome(2, "a", "applied")
        raise KeyboardInterrupt

    path = tmp_path / "report.json"
    with pytest.raises(KeyboardInterrupt):
        report_file.write(outcomes(), path)
    assert list(tmp_path.iterdir()) == []
    report_file.write([RowOutcome(2, "a", "applied")], path)
    assert json.loads(path.read_text())["rows"] == 1
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="could not write the report"):
        report_file.write([], tmp_path / "folder.csv")


def test_in_a_chosen_state_folder_another_machine_finds_the_journal(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.rows.run import _journal_of

    identity = {"hub": "contoso.azure-devices.net", "template": "t", "values": "v", "rows": "r"}
    monkeypatch.delenv("MANIFESTGEN_STATE", raising=False)
    assert _journal_of(settings.devices, identity) == settings.devices.with_name("devices.csv.journal")
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "share"))
    first = _journal_of(settings.devices, identity)
    assert first.parent == tmp_path / "share" / "journals" / "contoso.azure-devices.net"
    assert _journal_of(tmp_path / "another checkout" / "devices.csv", identity) == first
    assert _journal_of(settings.devices, {**identity, "rows": "other"}) != first
