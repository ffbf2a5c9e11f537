"""The command line as a user runs it, and what each of its answers must look like."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.fix_texts import command_of, unknown_options

_TIMEOUT = 120


@dataclass(frozen=True)
class Completed:
    """A command that has ended."""

    stdout: str
    stderr: str
    code: int
    arguments: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.stdout)

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


@dataclass(frozen=True)
class Complaint:
    """The two lines that an error is."""

    error: str
    fix: str

    def __contains__(self, words: object) -> bool:
        return str(words) in f"{self.error}\n{self.fix}"


def building_project(folder: Path, image: str) -> Path:
    """A new folder with a project that has Azure ML build an image of this name."""
    folder.mkdir()
    (folder / "manifestgen.yaml").write_text(
        "version: 1\nworkspace: {subscription_id: 5ab5c710-0000-4000-8000-000000000001, resource_group: sandbox, "
        "name: sandbox-ml}\nmodel: {name: m, path: model.pkl}\n"
        f"image: {{builder: package, name: {image}, entry_script: score.py, conda_file: myenv.yml}}\n"
    )
    (folder / "model.pkl").write_bytes(b"model")
    (folder / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (folder / "myenv.yml").write_text("dependencies: [python=3.11, {pip: [azureml-defaults]}]\n")
    return folder


def complaint(completed: Completed, code: int) -> Complaint:
    """The error that a command ended with: two lines, the last ones on stderr, its exit code, no traceback.

    The options that its fix names exist in that command, or in the one that it quotes.
    """
    assert completed.code == code, completed
    assert "Traceback" not in completed.output, completed.output
    *_, error, fix = completed.stderr.splitlines()
    assert error.startswith("error: "), completed.stderr
    assert fix.startswith("  fix: "), completed.stderr
    for sentence in (error, fix):
        assert sentence == sentence.rstrip(" .\n"), f"ends with a full stop: {sentence!r}"
    assert unknown_options(fix, command_of(completed.arguments)) == [], f"{completed.arguments}: {fix}"
    return Complaint(error.removeprefix("error: "), fix.removeprefix("  fix: "))


def installed_in(folder: Path) -> Path:
    """A program `manifestgen` in a new folder, for what finds it by its name: this checkout's."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "manifestgen"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m manifestgen "$@"\n')
    program.chmod(0o755)
    return program


def in_a_new_process(*arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> Completed:
    """Run the command as a shell does."""
    ended = subprocess.run(
        [sys.executable, "-m", "manifestgen", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    return Completed(ended.stdout, ended.stderr, ended.returncode, tuple(map(str, arguments)))


def in_this_process(*arguments: str | Path) -> Completed:
    """Run the command without the second that a new process takes to import the SDKs."""
    from manifestgen.cli import run

    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        _logging_restored(),
        warnings.catch_warnings(),
        _stdin(io.StringIO()),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        code = run([str(argument) for argument in arguments])
    return Completed(stdout.getvalue(), stderr.getvalue(), code, tuple(map(str, arguments)))


@contextlib.contextmanager
def _logging_restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("manifestgen")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])


@contextlib.contextmanager
def _stdin(stream: io.StringIO) -> Iterator[None]:
    before, sys.stdin = sys.stdin, stream
    try:
        yield
    finally:
        sys.stdin = before


@dataclass
class Started:
    """A command that is running; what it says is collected as it says it."""

    process: subprocess.Popen[str]
    said: str = ""
    arguments: tuple[str, ...] = ()
    _more: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # Not line by line: a question does not end its line.
        assert self.process.stderr is not None
        decoder = codecs.getincrementaldecoder("utf-8")()
        while piece := os.read(self.process.stderr.fileno(), 4096):
            with self._more:
                self.said += decoder.decode(piece)
                self._more.notify_all()

    def until_it_says(self, words: str) -> None:
        """Wait for words on stderr."""
        with self._more:
            said = self._more.wait_for(lambda: words in self.said, timeout=60)
        assert said, f"never said {words!r}: {self.said}"

    def kill(self) -> None:
        """SIGKILL, as the kernel or an impatient pipeline sends it."""
        self.process.kill()
        self.ended()

    def interrupt(self) -> Completed:
        """Ctrl-C; once more if nothing happens, as a person would: one just before a read waits for the read to end."""
        for _ in range(6):
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                break
        return self.ended()

    def ended(self) -> Completed:
        """Wait for its end."""
        assert self.process.stdout is not None and self.process.stderr is not None
        stdout = self.process.stdout.read()
        code = self.process.wait(60)
        self._reader.join(60)
        self.process.stdout.close()
        self.process.stderr.close()
        return Completed(stdout, self.said, code, self.arguments)


def started(*arguments: str | Path, cwd: Path) -> Started:
    """Start the command and come back at once."""
    return Started(
        subprocess.Popen(
            [sys.executable, "-m", "manifestgen", *map(str, arguments)],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ),
        arguments=tuple(map(str, arguments)),
    )


def eventually(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    """Wait until something that another process or thread does has come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never came about: {what}"
        time.sleep(0.02)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, to see what a command left behind."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
