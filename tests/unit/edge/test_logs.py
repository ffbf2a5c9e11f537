"""What a module printed, as edgeAgent's GetModuleLogs gives it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manifestgen.edge.agent.logs import LONGEST_LINE, LogLine, ModuleLog


def test_level_and_text_are_read_from_the_prefix_that_edge_agent_knows() -> None:
    line = LogLine(0.0, "stdout", "<4> 2026-11-29 21:03:44.123 +00:00 [WRN] hot")
    assert (line.level, line.message) == (4, "[WRN] hot")
    assert (LogLine(0.0, "stdout", "plain").level, LogLine(0.0, "stdout", "plain").message) == (6, "plain")
    assert LogLine(0.5, "stdout", "").timestamp == "1970-01-01T00:00:00.500000Z"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_lines_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    whole, cut = ModuleLog(), ModuleLog()
    whole.feed("stdout", b"".join(pieces), 1.0)
    for piece in pieces:
        if piece:
            cut.feed("stdout", piece, 1.0)
    whole.feed("stdout", b"", 1.0)
    cut.feed("stdout", b"", 1.0)
    assert [line.text for line in whole.lines()] == [line.text for line in cut.lines()]


def test_only_the_newest_lines_are_kept() -> None:
    log = ModuleLog(most_lines=3, most_bytes=1000)
    log.feed("stdout", b"a\nb\nc\nd\n", 1.0)
    assert [line.text for line in log.lines()] == ["b", "c", "d"]
    log.feed("stdout", b"x" * 990 + b"\n" + b"y" * 20 + b"\n", 2.0)
    assert [line.text for line in log.lines()] == ["y" * 20]


def test_a_line_without_end_is_cut_into_pieces() -> None:
    log = ModuleLog()
    log.feed("stderr", b"x" * (2 * LONGEST_LINE + 5), 1.0)
    log.feed("stderr", b"", 1.0)
    assert [len(line.text) for line in log.lines()] == [LONGEST_LINE, LONGEST_LINE, 5]


def test_since_comes_before_tail() -> None:
    log = ModuleLog()
    for second in range(5):
        log.feed("stdout", f"{second}\n".encode(), float(second))
    assert [line.text for line in log.lines(since=1.0, until=3.0, tail=2)] == ["2", "3"]
    assert log.lines(tail=0) == []
    assert log.say("killed", 9.0).level == 4
