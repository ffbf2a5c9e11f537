from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.rows.journal import Journal, State, open_journal, sent_by

RUN = {"hub": "h", "template": "t", "values": "v", "rows": "r"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.csv.journal"


def opened(path: Path, **other: str) -> Journal:
    return open_journal(path, 5, {**RUN, **other})


def states(journal: Journal) -> list[State]:
    return [journal.state(row) for row in range(1, 6)]


def test_another_run_finds_what_was_done(path: Path) -> None:
    journal = opened(path)
    for row in (1, 2, 3):
        journal.intend(row, f"d{row}", "abc")
    journal.settle(1, "d1", "applied", manifest="abc")
    journal.settle(2, "d2", "failed", why="gone", fix="look")
    journal.settle(4, "d4", "refused", why="no", fix="yes")
    journal.close()
    again = opened(path)
    assert states(again) == [State.APPLIED, State.FAILED, State.INTENDED, State.REFUSED, State.UNTOUCHED]
    assert [again.count(state) for state in State] == [1, 1, 1, 0, 1, 1]
    assert again.entry(2)["why"] == "gone"
    assert again.entry(5) == {}
    again.settle(3, "d3", "withdrawn")
    again.flush()
    assert again.state(3) is State.UNTOUCHED
    assert [number for number, _, _ in again.entries(5)] == [1, 2, 3, 4, 5]
    again.close()


def test_an_intent_is_on_disk_when_it_is_said_to_be(path: Path) -> None:
    journal = opened(path)
    journal.intend(2, "d2", "abc")
    assert json.loads(path.read_bytes().splitlines()[-1]) == {"row": 2, "device": "d2", "intent": "abc"}
    journal.close()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_last_line_that_was_cut_is_mended(path: Path, cut: int) -> None:
    journal = opened(path)
    journal.intend(1, "d1", "abc")
    journal.settle(1, "d1", "applied", manifest="abc")
    journal.intend(2, "d2", "a" * 60)
    journal.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = opened(path)
    assert states(again)[:2] == [State.APPLIED, State.UNTOUCHED]
    again.intend(3, "d3", "def")
    again.close()
    third = opened(path)
    assert states(third)[:3] == [State.APPLIED, State.UNTOUCHED, State.INTENDED]
    third.close()


def test_a_run_that_was_killed_before_its_first_line_begins_anew(path: Path) -> None:
    path.write_text('{"manifestgen jour')
    journal = opened(path)
    journal.close()
    assert json.loads(path.read_text())["hub"] == "h"


@pytest.mark.parametrize("what", ["hub", "template", "values", "rows"])
def test_the_journal_of_another_run_is_refused(path: Path, what: str) -> None:
    opened(path).close()
    before = path.read_bytes()
    with pytest.raises(InputError, match=f"journal belongs to another run, with different {what}"):
        opened(path, **{what: "x"})
    assert path.read_bytes() == before
    opened(path).close()  # and its lock is free


@pytest.mark.parametrize(
    "text",
    ['{"some": "json"}\n', "no json\n", '{"a": "template of one line"}', "device"],
)
def test_what_is_not_a_journal_is_not_written_to(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        opened(path)
    assert "--journal" in caught.value.fix
    assert path.read_text() == text


@pytest.mark.parametrize(
    "line",
    ["garbage", '{"row": 99, "outcome": "applied"}', '{"row": 1, "outcome": "?"}', '{"row": 1, "outcome": []}', "[]"],
)
def test_a_damaged_line_in_the_middle_is_reported_with_its_number(path: Path, line: str) -> None:
    opened(path).close()
    with path.open("a") as stream:
        stream.write(
            f'{{"row": 1, "device": "d", "intent": "a"}}\n{line}\n{{"row": 2, "device": "d", "intent": "a"}}\n'
        )
    with pytest.raises(InputError, match="line 3 is not a journal entry"):
        opened(path)


def test_two_runs_do_not_share_a_journal(path: Path) -> None:
    first = opened(path)
    with pytest.raises(InputError, match="another run is using this journal"):
        opened(path)
    first.close()
    opened(path).close()


def test_a_journal_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the journal's folder does not exist"):
        opened(tmp_path / "missing" / "journal")
    with pytest.raises(InputError, match="could not write the journal: is a directory"):
        opened(tmp_path)


def test_a_full_disk_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(path)
    journal.intend(1, "d1", "abc")
    journal.settle(1, "d1", "applied", manifest="abc")
    journal.flush()
    write = os.write
    monkeypatch.setattr(os, "write", _full_after(10, write))
    with pytest.raises(InputError, match="no space left on device") as caught:
        journal.intend(2, "d2", "abc")
    assert "run the same command again" in caught.value.fix
    with pytest.raises(InputError):
        journal.intend(3, "d3", "abc")  # nobody may send any more
    monkeypatch.setattr(os, "write", write)
    journal.close()
    again = opened(path)
    assert states(again)[:3] == [State.APPLIED, State.UNTOUCHED, State.UNTOUCHED]
    again.close()


def _full_after(room: int, write: Callable[..., int]) -> Callable[..., int]:
    def full(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, bytes(data)[:room])
        room -= written
        return written

    return full


def test_many_threads_write_whole_lines_and_wait_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    journal = open_journal(path, 400, RUN)
    begin = threading.Barrier(8)

    def work(start: int) -> None:
        begin.wait()
        for row in range(start, 401, 8):
            journal.intend(row, f"d{row}", "x" * 32)
            journal.settle(row, f"d{row}", "applied", manifest="x" * 32)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert syncs < 800
    again = open_journal(path, 400, RUN)
    assert again.count(State.APPLIED) == 400
    assert [entry["device"] for _, _, entry in again.entries(400)] == [f"d{row}" for row in range(1, 401)]
    again.close()


def test_what_an_earlier_run_sent_is_read_from_its_journal(path: Path) -> None:
    journal = opened(path)
    journal.intend(1, "d1", "abc")
    journal.settle(1, "d1", "applied", manifest="abc")
    journal.intend(2, "d2", "abc")
    journal.settle(3, "d3", "unchanged", manifest="def")
    journal.close()
    with path.open("a") as stream:
        stream.write('{"row": 4, "dev')
    assert dict(sent_by(path)) == {"d1": "abc", "d2": "", "d3": "def"}
    with path.open("a") as stream:
        stream.write('ice": "d4", "intent": "abc"}\n{"row": 5, "outcome": "applied"}\n')
    with pytest.raises(InputError, match="line 7 is not a journal entry"):
        list(sent_by(path))
    path.write_text("{}\n")
    with pytest.raises(InputError, match="not a journal"):
        list(sent_by(path))
    with pytest.raises(InputError, match="cannot be read"):
        list(sent_by(path.parent / "missing"))


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_is_not_a_journal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe or device is not a journal"):
        next(iter(sent_by(tmp_path / "pipe")))
    with pytest.raises(InputError, match="a pipe or device is not a journal"):
        open_journal(tmp_path / "pipe", 1, {})


def test_a_journal_of_a_newer_version_is_not_written_to(path: Path) -> None:
    path.write_text('{"manifestgen journal": 99}\n')
    with pytest.raises(InputError, match="written by a newer version") as caught:
        opened(path)
    assert "--upgrade" in caught.value.fix
    assert path.read_text() == '{"manifestgen journal": 99}\n'
    with pytest.raises(InputError, match="written by a newer version"):
        list(sent_by(path))


def test_a_run_reads_back_what_it_wrote_itself(path: Path) -> None:
    journal = opened(path)
    for row in (1, 2, 3):
        journal.settle(row, f"d{row}", "failed", why=f"reason {row}", fix="look")
    journal.flush()
    assert [journal.entry(row).get("why") for row in (1, 2, 3)] == ["reason 1", "reason 2", "reason 3"]
    assert [entry.get("device") for _, _, entry in journal.entries(4)] == ["d1", "d2", "d3", None]
    journal.close()


def test_a_line_that_is_damaged_is_named_by_its_number(path: Path) -> None:
    opened(path).close()
    whole = path.read_bytes()
    for number, content in ((1, b"nonsense\n" + whole), (2, whole + b"nonsense\n")):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            list(sent_by(path))
        assert f":{number}" in caught.value.message or f"line {number}" in caught.value.message
