"""Whatever others say, nothing that a command writes drives a terminal or a pipeline."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import click
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manifestgen.cli import _console
from manifestgen.cli._console import Console
from manifestgen.cli._terminal import styled
from manifestgen.errors import CloudError, Interrupted

PIECES = (
    "::", ":", "error::", "##vso[task.setvariable variable=x]y", "##[", "##", "#", "[", "##VSO[", "\n", "\r\n", "\r",
    " ", "\t", "\x1b", "\x1b[31m", "\x1b]0;title\x07", "\x07", "\x08", "\x7f", "\x9b1A", "\x85", "\u2028", "\u202e",
    "\u2066", "\u200f", "\ufeff", "\xa0", "\u3000", "\u2003", "\udcff", "\U000e0041", "\x1b<", "grün",
    "word", "warning: ",
)  # fmt: skip
foreign = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)

COLOR = re.compile("\x1b\\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def refused(text: str) -> CloudError:
    error = CloudError(text, where=text, fix=text, detail=(text,))
    error.__cause__ = ValueError(text)
    return error


def log(console: Console, text: str, level: int, logger: str) -> None:
    record = logging.LogRecord(logger, level, __file__, 1, text, None, None)
    try:
        raise ValueError(text)
    except ValueError:
        record.exc_info = sys.exc_info()
    _console._console_handler(console).emit(record)


OUTPUTS: dict[str, Callable[[Console, str], Any]] = {
    "result": lambda console, text: console.result(text),
    "document": lambda console, text: console.document({text: [text]}),
    "disclose": lambda console, text: console.disclose(json.dumps({text: text}, ensure_ascii=False, indent=2)),
    "commands": lambda console, text: console.commands(f"info: {text}"),
    "progress": lambda console, text: console.progress(text),
    "redraw": lambda console, text: console.redraw([text, styled(text, bold=True)]),
    "step": lambda console, text: console.step(text, text),
    "waiting": lambda console, text: console.waiting(text),
    "warn": lambda console, text: console.warn(text),
    "confirm": lambda console, text: console.confirm(text),
    "fail": lambda console, text: console.fail(refused(text)),
    "interrupted": lambda console, text: console.fail(Interrupted(text, fix=text)),
    "bug": lambda console, text: console.bug(ValueError(text)),
    "styled": lambda console, text: console.result(styled(text, fg="red") + text + styled(":", bold=True) + ":" + text),
    "log": lambda console, text: log(console, text, logging.DEBUG, "azure.core"),
    "warning": lambda console, text: log(console, text, logging.WARNING, "manifestgen.x"),
}


def written(say: Callable[[Console, str], Any], text: str, stream: type[io.StringIO], output: str = "text") -> str:
    console = Console()
    console.output, console.quiet, console.verbosity = output, say is OUTPUTS["fail"], 1
    out, err = stream(), stream()
    with (
        patch.object(sys, "stdout", out),
        patch.object(sys, "stderr", err),
        patch.object(sys, "stdin", io.StringIO("n\n")),
        patch.object(click.termui, "visible_prompt_func", lambda prompt: (err.write(prompt), "n")[1]),
    ):
        say(console, text)
    return f"{out.getvalue()}\n{err.getvalue()}"


def test_every_way_to_speak_is_tried() -> None:
    # They say nothing, or nothing that comes from elsewhere.
    not_words = {"interactive", "live", "listen", "ask", "connected", "sandbox", "schema"}
    public = {name for name in vars(Console) if not name.startswith("_")}
    assert public - not_words <= set(OUTPUTS)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("say", OUTPUTS)
# A busy machine is slow. Sixty-four kinds of output have their texts from one place, and two thousand in all.
@settings(deadline=None, max_examples=min(30, settings().max_examples))
@given(text=foreign)
@example(text="\x1b[2J::error::\u202egnp.exe")
@example(text="::stop-commands::x")
@example(text="\n  ::add-mask::x\n##vso[task.complete result=Failed]")
def test_no_text_of_others_drives_a_terminal_or_a_pipeline(
    say: str, output: str, stream: type[io.StringIO], text: str
) -> None:
    shown = COLOR.sub("", written(OUTPUTS[say], text, stream, output))
    assert all(char.isprintable() or char in "\n\t" for char in shown)
    for line in shown.split("\n"):
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line.lower()


@settings(deadline=None)  # a busy machine is slow
@given(text=foreign)
def test_no_color_is_of_others(text: str) -> None:
    assert COLOR.findall(written(OUTPUTS["result"], text, Terminal)) == []
    colors = COLOR.findall(written(OUTPUTS["warn"], text, Terminal))
    assert colors in (["\x1b[33m", "\x1b[0m"], [])


@settings(deadline=None)  # a busy machine is slow
@given(
    data=st.recursive(foreign, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(foreign, inner, max_size=3))
)
def test_json_holds_the_same_data(data: Any) -> None:
    document = json.loads(written(lambda console, _: console.document({"data": data}), "", io.StringIO, "json"))
    assert document["data"] == data
    text = json.dumps(data, ensure_ascii=False, indent=2)
    assert json.loads(written(lambda console, _: console.disclose(text), "", io.StringIO)) == data


def test_our_colors_and_live_lines_stay() -> None:
    def draw(console: Console, text: str) -> None:
        console.redraw([styled("one", bold=True), "two"])
        console.redraw(["three"])
        console.warn(text)

    shown = written(draw, "\x1b[5mblink", Terminal)
    assert shown == (
        "\n\x1b[1mone\x1b[0m\ntwo\n\x1b[2A\r\x1b[Jthree\n\x1b[1A\r\x1b[J\x1b[33mwarning: \x1b[0m\\x1b[5mblink\n"
    )


@pytest.mark.parametrize("ours", ["::error file=a,line=1::", "##vso[task.logissue type=error;]"])
def test_our_annotations_stay_and_what_they_quote_is_none(ours: str) -> None:
    shown = written(
        lambda console, text: console.commands(text), f"{ours}##vso[task.complete]\n::add-mask::x", io.StringIO
    )
    assert shown.startswith(f"{ours}#\\x23vso[task.complete]\n\\x3a:add-mask::x\n")
