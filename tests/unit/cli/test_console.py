"""How commands speak: what goes where, in which form, and what is never said."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

import pytest

from manifestgen.cli._console import Console
from manifestgen.cli._terminal import has_colors
from manifestgen.errors import CloudError, FoundError, InputError, Interrupted
from manifestgen.secret import Secret, redact

CANARY = "canary-of-the-console"


@pytest.fixture
def console() -> Console:
    Secret(CANARY)
    return Console()


@pytest.fixture
def logs() -> Iterator[None]:
    """Puts back what `listen` does to the logging of the whole process."""
    root, ours = logging.getLogger(), logging.getLogger("manifestgen")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


Captured = pytest.CaptureFixture[str]


def test_results_go_to_stdout_and_everything_else_to_stderr(console: Console, capsys: Captured) -> None:
    console.result("the result")
    console.progress("at work")
    console.warn("take care")
    said = capsys.readouterr()
    assert said.out == "the result\n"
    assert said.err == "at work\nwarning: take care\n"


def test_the_name_of_a_file_that_is_not_utf_8_is_escaped(console: Console, capsys: Captured) -> None:
    console.result("file \udcff")
    console.output = "json"
    console.document({"path": "file \udcff"})
    said = capsys.readouterr().out
    text, document = said.split("\n", 1)
    assert text == "file \\udcff"
    assert "\\udcff" in document
    assert json.loads(document)["path"] == "file \udcff"


def test_json_is_the_only_thing_on_stdout_when_it_is_asked_for(console: Console, capsys: Captured) -> None:
    console.output = "json"
    console.result("text form")
    console.document({"key": "wert ü", "secret": CANARY, CANARY: [Secret("another-one")]})
    document = json.loads(capsys.readouterr().out)
    assert document.pop("schema") == "manifestgen/error/1"
    assert document == {"key": "wert ü", "secret": "***", "***": ["***"]}


def test_text_has_no_document(console: Console, capsys: Captured) -> None:
    console.document({"key": 1})
    assert capsys.readouterr() == ("", "")


def test_quiet_leaves_results_warnings_and_errors(console: Console, capsys: Captured) -> None:
    console.quiet = True
    console.progress("at work")
    console.result("the result")
    console.warn("take care")
    assert console.fail(InputError("no", fix="yes")) == 2
    assert capsys.readouterr() == ("the result\n", "warning: take care\nerror: no\n  fix: yes\n")


def test_an_error_is_two_lines(console: Console, capsys: Captured) -> None:
    assert console.fail(CloudError("the hub said no", where="edge-01", fix="ask again")) == 3
    assert capsys.readouterr() == ("", "error: edge-01: the hub said no\n  fix: ask again\n")


def test_an_error_stays_two_lines_whatever_a_service_says(console: Console, capsys: Captured) -> None:
    console.fail(CloudError("it said:\r\nfirst\n\nsecond", fix="look\nhere"))
    assert capsys.readouterr().err == "error: it said: first second\n  fix: look here\n"


def test_a_secret_of_several_lines_is_hidden_from_an_error_of_one(console: Console, capsys: Captured) -> None:
    Secret("-----BEGIN\nkey-material\n-----END")
    error = CloudError("bad key -----BEGIN\nkey-material\n-----END", fix="-----BEGIN\nkey-material\n-----END")
    error.__cause__ = ValueError("-----BEGIN\nkey-material\n-----END")
    console.verbosity = 1
    console.fail(error)
    assert capsys.readouterr().err == "error: bad key ***\n  fix: ***\n  cause: ValueError: ***\n"


def test_an_interruption_is_not_an_error(console: Console, capsys: Captured) -> None:
    assert console.fail(Interrupted("interrupted; nothing was sent", fix="run it again")) == 130
    assert capsys.readouterr().err == "interrupted; nothing was sent\n  fix: run it again\n"


def test_an_error_is_a_document_too(console: Console, capsys: Captured) -> None:
    console.output = "json"
    console.fail(FoundError("the build failed", where="build 7", fix="read", detail=("line 1", f"with {CANARY}")))
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "schema": "manifestgen/error/1",
        "error": {
            "code": "found",
            "message": "build 7: the build failed",
            "fix": "read",
            "exit_code": 1,
            "file": None,
            "line": None,
            "column": None,
            "detail": ["line 1", "with ***"],
        },
    }
    assert said.err == "error: build 7: the build failed\n  fix: read\n"


def test_details_are_shown_where_nothing_showed_them_before(console: Console, capsys: Captured) -> None:
    console.quiet = True
    console.fail(FoundError("the build failed", fix="read", detail=("line 1", "line 2")))
    assert capsys.readouterr().err == "line 1\nline 2\nerror: the build failed\n  fix: read\n"


def test_verbose_shows_the_cause_in_a_line(console: Console, capsys: Captured) -> None:
    console.verbosity = 1
    error = CloudError("no", fix="yes")
    error.__cause__ = ConnectionError(f"cut off\nwhile sending {CANARY}")
    console.fail(error)
    assert capsys.readouterr().err.splitlines()[2:] == ["  cause: ConnectionError: cut off while sending ***"]


@pytest.mark.parametrize("say", ["result", "progress", "warn"])
def test_nothing_that_is_said_shows_a_secret(say: str, console: Console, capsys: Captured) -> None:
    getattr(console, say)(f"with {CANARY} in it")
    said = capsys.readouterr()
    assert "with *** in it" in said.out + said.err


def test_a_bug_keeps_its_traceback_without_secrets(console: Console, capsys: Captured) -> None:
    try:
        raise RuntimeError(f"unexpected {CANARY}")
    except RuntimeError as error:
        console.bug(error)
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "RuntimeError: unexpected ***" in said
    assert CANARY not in said
    assert "please report it" in said


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (0, {"warning: ours warns of ***"}),
        (1, {"warning: ours warns of ***", "manifestgen.x: ours notes"}),
        (2, {"warning: ours warns of ***", "manifestgen.x: ours notes", "some.library: theirs debugs ***"}),
    ],
)
def test_each_v_shows_more_of_the_logs(verbosity: int, shown: set[str], console: Console, capsys: Captured) -> None:
    console.verbosity = verbosity
    console.listen()
    logging.getLogger("manifestgen.x").warning("ours warns of %s", CANARY)
    logging.getLogger("manifestgen.x").info("ours notes")
    logging.getLogger("some.library").debug("theirs debugs %s", CANARY)
    assert set(capsys.readouterr().err.splitlines()) == shown


@pytest.mark.usefixtures("logs")
def test_a_logged_traceback_shows_no_secret(console: Console, capsys: Captured) -> None:
    console.verbosity = 2
    console.listen()
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("azure.identity").exception("failed")
    said = capsys.readouterr().err
    assert "ValueError: ***" in said
    assert CANARY not in said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "output", "interactive"),
    [
        (Terminal(), "text", True),
        (Terminal(), "json", False),
        (io.StringIO(), "text", False),
        (None, "text", False),
    ],
)
def test_no_one_is_asked_when_json_is_wanted_or_no_one_is_there(
    stdin: io.StringIO | None,
    output: Literal["text", "json"],
    interactive: bool,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    console.output = output
    assert console.interactive is interactive


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_no_color_is_honoured_on_a_terminal(no_color: str, colored: bool) -> None:
    import pty

    main, terminal = pty.openpty()
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    command = [sys.executable, "-m", "manifestgen", "rendr"]
    ended = subprocess.run(command, stdout=terminal, stderr=terminal, env=environment, timeout=60, check=False)
    os.close(terminal)
    said = os.read(main, 10_000).decode()
    os.close(main)
    assert ended.returncode == 2
    assert "error: " in said
    assert ("\x1b[" in said) is colored


def test_a_pipe_gets_no_color() -> None:
    command = [sys.executable, "-m", "manifestgen", "rendr"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == "error: no such command: 'rendr'\n  fix: did you mean 'render'?\n"


def test_a_bugs_traceback_has_no_text_of_a_packages_exception(console: Console, capsys: Captured) -> None:
    from azure.core.pipeline.policies import ContentDecodePolicy

    answer = f'{{"password": "unknown-{"canary"}'  # not whole in this line, which the traceback shows
    try:
        ContentDecodePolicy.deserialize_from_text(answer, "application/json")
    except Exception as error:
        console.bug(error)
    said = capsys.readouterr().err
    assert "\nDecodeError\n" in said
    assert "unknown-canary" not in said


def test_a_log_record_of_others_has_no_answer_in_it(console: Console, capsys: Captured) -> None:
    console.verbosity = 2
    console.listen()
    logging.getLogger("azure.identity").warning("failed: JSON is invalid: line 1\nContent: {unknown-canary")
    logging.getLogger("azure.identity").warning("Authentication failed: ['unknown-canary']")
    said = capsys.readouterr().err
    assert "JSON is invalid" in said and "Authentication failed" in said
    assert "unknown-canary" not in said


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:p%40ss-canary@127.0.0.1:9",
        "http://user:p@ss-canary@127.0.0.1:9",
        "user:p-canary@proxy:8080",
        "http://token-canary@proxy:8080",
    ],
)
def test_a_proxys_password_is_known_before_anything_is_said(proxy: str) -> None:
    from urllib.parse import unquote

    from manifestgen.cli import _know_secrets

    _know_secrets({"https_proxy": proxy})
    assert "canary" not in redact(f"{{'https': {proxy!r}}}")
    assert "canary" not in redact(unquote(proxy))


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)],
    ids=["a terminal", "a dumb one", "NO_COLOR", "an empty NO_COLOR"],
)
def test_results_are_colored_where_the_terminal_can_and_no_one_objects(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], colored: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert has_colors() is colored


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("manifestgen.yaml:2:11", ("manifestgen.yaml", 2, 11)),
        ("a b/deployment.json:7", ("a b/deployment.json", 7, None)),
        ("C:\\x\\manifestgen.yaml:2:11", ("C:\\x\\manifestgen.yaml", 2, 11)),
        (__file__, (__file__, None, None)),
        ("device 'edge-01'", (None, None, None)),
        ("https://localhost:8080 in a hub", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_an_errors_place_is_apart(
    console: Console, capsys: Captured, where: str, place: tuple[str | None, int | None, int | None]
) -> None:
    console.output = "json"
    console.fail(InputError("wrong", where=where, fix="correct it"))
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["file"], error["line"], error["column"]) == place
