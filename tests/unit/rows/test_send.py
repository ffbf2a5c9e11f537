"""Runs over many devices against a hub in memory: whatever goes wrong, every row is accounted for."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.bulk_hub import FakeBulkHub, busy, lost_answer, refusal

from manifestgen.errors import CloudError, DeniedError, InputError
from manifestgen.render import load_template
from manifestgen.rows.account import account_of, outcomes
from manifestgen.rows.journal import Journal, State, open_journal, sent_by
from manifestgen.rows.pace import Pace
from manifestgen.rows.render import Renderer
from manifestgen.rows.rows import Rows, open_rows
from manifestgen.rows.send import Earlier, Options, send_all, threads_for

ROWS = 60
RUN = {"hub": "h", "template": "t", "values": "v", "rows": "r"}
BASE = {"ttl": 7200, "runtime": "1.6", "module": "scorer", "image": "mcr.microsoft.com/acme/scorer:1"}


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    path = tmp_path / "devices.csv"
    path.write_text("device,env.SITE\n" + "".join(f"edge-{number},hall {number}\n" for number in range(1, ROWS + 1)))
    found = open_rows(path)
    yield found
    found.close()


@pytest.fixture
def hub() -> FakeBulkHub:
    return FakeBulkHub()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    made: list[Journal] = []

    def make() -> Journal:
        while made:
            made.pop().close()
        made.append(open_journal(tmp_path / "journal", ROWS, RUN))
        return made[0]

    yield make
    for one in made:
        one.close()


def _nothing(device: str) -> None:
    """What happens to a request that is left alone."""


def quick(**more: Any) -> Pace:
    """No real pauses, whatever the hub asks for."""
    return Pace(1e6, wait=lambda stop, seconds: stop.wait(min(seconds, 0.001)), **more)


def renderer() -> Renderer:
    return Renderer(load_template("single-module"), BASE, lambda manifest: {})


def go(rows: Rows, hub: FakeBulkHub, journal: Journal, pace: Pace | None = None, **options: Any) -> None:
    send_all(rows, renderer().render_all, hub, journal, pace or quick(), Options(threads=4, **options))


def expected(rows: Rows) -> dict[str, bytes]:
    rendered = renderer()
    return {row.device: rendered.render(row).body for row in rows}  # type: ignore[union-attr]


def test_every_device_gets_its_own(rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]) -> None:
    kept = journal()
    ticks = itertools.count()
    go(rows, hub, kept, tick=lambda: next(ticks) and None)
    assert {device: bodies for device, bodies in hub.taken.items()} == {d: [b] for d, b in expected(rows).items()}
    assert b'"SITE":{"value":"hall 7"}' in hub.taken["edge-7"][0]
    assert account_of(kept).counts() == {"applied": ROWS, "unchanged": 0, "refused": 0, "failed": 0, "not tried": 0}
    assert hub.reads == 0
    assert next(ticks) > 1


def test_what_the_hub_refuses_of_one_device_stops_no_other(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    hub.gone = {"edge-3"}

    def refuse(device: str) -> None:
        if device == "edge-5":
            raise refusal()

    hub.before = refuse
    kept = journal()
    go(rows, hub, kept)
    assert account_of(kept).failed == 2
    by_device = {one.device: one for one in outcomes(rows, kept)}
    assert by_device["edge-3"].why == "the hub returned 404 DeviceNotFound"
    assert "InvalidConfigurationContent" in by_device["edge-5"].why
    assert sum(one.outcome == "applied" for one in by_device.values()) == ROWS - 2
    hub.gone, hub.before = set(), lambda device: None
    go(rows, hub, journal())
    assert all(len(bodies) == 1 for bodies in hub.taken.values())
    assert len(hub.taken) == ROWS


def test_rows_that_make_no_manifest_are_refused_with_the_reason(
    tmp_path: Path, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    path = tmp_path / "some.csv"
    path.write_text("device,image\na,mcr.microsoft.com/x:1\nb,no image\n,x\nd,mcr.microsoft.com/x:2\n")
    found = open_rows(path)
    kept = journal()
    go(found, hub, kept)
    told = [(one.line, one.device, one.outcome, bool(one.why), bool(one.fix)) for one in outcomes(found, kept)]
    assert told == [
        (2, "a", "applied", False, False),
        (3, "b", "refused", True, True),
        (4, "", "refused", True, True),
        (5, "d", "applied", False, False),
    ]
    found.close()


def test_throttled_requests_are_sent_again_and_none_is_lost(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    dice = random.Random(5)  # noqa: S311 - a dice

    def throttle(device: str) -> None:
        if dice.random() < 0.3:
            raise busy(retry_after=dice.choice([None, 0.005]))

    hub.before = throttle
    kept = journal()
    go(rows, hub, kept)
    assert account_of(kept).applied == ROWS
    assert all(len(bodies) == 1 for bodies in hub.taken.values())
    assert hub.reads == 0


def test_a_lost_answer_is_read_before_anything_is_sent_again(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    dice = random.Random(6)  # noqa: S311 - a dice

    def fail(device: str) -> None:
        if dice.random() < 0.2:
            raise lost_answer()

    hub.before = hub.lost = fail
    kept = journal()
    go(rows, hub, kept)
    assert account_of(kept).applied == ROWS
    assert all(len(bodies) == 1 for bodies in hub.taken.values())
    assert hub.reads > 0


def test_a_device_that_fails_for_ever_while_others_do_not_is_given_up(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    def fail(device: str) -> None:
        if device == "edge-2":
            raise busy(throttled=False)

    hub.before = fail
    kept = journal()
    go(rows, hub, kept)
    (failed,) = [one for one in outcomes(rows, kept) if one.outcome != "applied"]
    assert (failed.device, failed.outcome, failed.why) == ("edge-2", "failed", "the hub returned 503 (8 times)")


def test_an_outage_ends_the_run_after_a_while_and_the_next_one_resumes(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    def down_after_twenty(device: str) -> None:
        if len(hub.taken) >= 20:
            raise busy(throttled=False)

    hub.before = down_after_twenty
    kept = journal()
    with pytest.raises(CloudError, match="the hub accepted nothing for"):
        go(rows, hub, kept, quick(give_up_after=0.05))
    account = account_of(kept)
    assert (account.applied, account.failed, account.not_tried) == (20, 0, ROWS - 20)
    hub.before = lambda device: None
    again = journal()
    go(rows, hub, again)
    assert account_of(again).applied == ROWS
    assert all(len(bodies) == 1 for bodies in hub.taken.values())


def test_what_is_not_known_at_the_end_is_said_to_be_so(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    def cut(device: str) -> None:
        hub.before = down
        raise lost_answer()

    def down(device: str) -> None:
        raise busy(throttled=False)

    hub.lost = cut
    kept = journal()
    with pytest.raises(CloudError):
        go(rows, hub, kept, quick(give_up_after=0.02))
    (unknown,) = [one for one in outcomes(rows, kept) if one.outcome == "failed"]
    assert "it was sent" in unknown.why and "checks the hub first" in unknown.fix
    assert account_of(kept).not_tried == ROWS - 1


def test_a_hub_that_does_not_accept_the_caller_ends_the_run(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    def deny(device: str) -> None:
        raise DeniedError("the hub returned 401", fix="use another policy")

    hub.before = deny
    kept = journal()
    with pytest.raises(DeniedError):
        go(rows, hub, kept)
    assert account_of(kept).not_tried == ROWS


def test_a_mistake_of_ours_is_not_hidden_in_a_thread(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    def bug(device: str) -> None:
        raise ZeroDivisionError

    hub.before = bug
    with pytest.raises(ZeroDivisionError):
        go(rows, hub, journal())


def test_ctrl_c_ends_requests_under_way_and_the_next_run_resumes(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    def interrupted() -> Iterator[Any]:
        for row in rows:
            if row.number == 30:
                raise KeyboardInterrupt
            yield row

    kept = journal()
    with pytest.raises(KeyboardInterrupt):
        send_all(interrupted(), renderer().render_all, hub, kept, quick(), Options(threads=4))
    assert kept.count(State.INTENDED) == 0
    assert account_of(kept).applied == len(hub.taken) < 30
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sender")]
    go(rows, hub, journal())
    assert {device: len(bodies) for device, bodies in hub.taken.items()} == dict.fromkeys(expected(rows), 1)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before sending", "after sending", "before the outcome"])
def test_a_run_killed_at_any_moment_resumes_without_sending_twice(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal], tmp_path: Path, moment: str
) -> None:
    # One thread's life, cut at each of its steps for one device after the other; the journal is what is on disk then.
    wanted = expected(rows)
    path = tmp_path / "journal"
    for number in range(1, 5):
        kept = journal()
        frozen = path.read_bytes()

        def die(device: str, number: int = number) -> None:
            nonlocal frozen
            if device == f"edge-{number}":
                frozen = path.read_bytes()
                raise DeniedError("killed", fix="")

        hub.before = die if moment == "before sending" else _nothing
        hub.lost = die if moment == "after sending" else _nothing
        if moment == "before the outcome":
            settle = kept.settle

            def dying(row: int, device: str, outcome: str, settle: Any = settle, **more: str) -> None:
                die(device)
                settle(row, device, outcome, **more)

            kept.settle = dying  # type: ignore[method-assign]
        with pytest.raises(DeniedError):
            send_all(rows, renderer().render_all, hub, kept, quick(), Options(threads=1))
        kept.settle = Journal.settle.__get__(kept)  # type: ignore[method-assign]
        journal().flush()
        path.write_bytes(frozen)
    hub.before = hub.lost = lambda device: None
    last = journal()
    go(rows, hub, last)
    assert account_of(last).applied == ROWS
    assert {device: bodies for device, bodies in hub.taken.items()} == {d: [b] for d, b in wanted.items()}


def test_a_full_disk_ends_the_run_before_more_is_sent(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal]
) -> None:
    kept = journal()
    write = kept._write

    def full(data: bytes) -> None:
        if len(hub.taken) >= 10:
            kept._broken = InputError("could not write the journal: no space left on device", fix="make room")
            raise kept._broken
        write(data)

    kept._write = full  # type: ignore[method-assign]
    with pytest.raises(InputError, match="no space left"):
        go(rows, hub, kept)
    assert 10 <= len(hub.taken) < 20
    kept._broken = None
    kept._write = write  # type: ignore[method-assign]
    go(rows, hub, journal())
    assert {device: len(bodies) for device, bodies in hub.taken.items()} == dict.fromkeys(expected(rows), 1)


def test_devices_that_had_the_same_from_an_earlier_run_are_left_alone(
    rows: Rows, hub: FakeBulkHub, journal: Callable[[], Journal], tmp_path: Path
) -> None:
    go(rows, hub, journal())
    journal()
    path = tmp_path / "later.csv"
    text = (tmp_path / "devices.csv").read_text().replace("hall 9\n", "hall 900\n")
    path.write_text(text)
    later = open_rows(path)
    earlier = Earlier(sent_by(tmp_path / "journal"))
    second = open_journal(tmp_path / "second", ROWS, {**RUN, "rows": "x"})
    go(later, hub, second, earlier=earlier)
    account = account_of(second)
    assert (account.applied, account.unchanged) == (1, ROWS - 1)
    assert b"hall 900" in hub.taken["edge-9"][-1]
    assert len(hub.taken["edge-9"]) == 2
    second.close()
    later.close()
    earlier.close()


def test_a_large_hub_gets_more_threads_and_no_more_than_help() -> None:
    assert [threads_for(rate) for rate in (1, 40, 250, 5000)] == [4, 16, 64, 64]
