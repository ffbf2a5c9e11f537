"""Commands as processes of their own without the seconds that each takes to import the SDKs: forks of one that has."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from integration import forking
from integration.command_line import Completed

_TIMEOUT: Final = 200.0


class Forks:
    """The process that forks, and the one command that runs at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: Forked | None = None
        self._server = subprocess.Popen(
            [sys.executable, forking.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def start(self, *arguments: str | Path, cwd: Path, stdin: str = os.devnull) -> Forked:
        """Start a command with this process's environment and come back at once.

        Args:
            stdin: the file that it reads, which may be a terminal.
        """
        if self._running is not None and self._running.is_running:
            self._running.kill()  # a test that failed left it
        for name in ("stdout", "stderr"):
            (self._folder / name).write_text("")  # or what the one before said would be read
        assert self._server.stdin is not None
        command = tuple(map(str, arguments))
        job = {"arguments": command, "cwd": str(cwd), "environment": dict(os.environ), "folder": str(self._folder)}
        self._server.stdin.write(f"{json.dumps({**job, 'stdin': stdin})}\n")
        self._running = Forked(self, int(self.line()), self._folder, command)
        return self._running

    def has_answered(self, seconds: float = 0.0) -> bool:
        """Whether a line is to be read."""
        return bool(select.select([self._server.stdout], [], [], seconds)[0])

    def line(self) -> str:
        """The next answer."""
        assert self._server.stdout is not None
        if not self.has_answered(_TIMEOUT):
            raise TimeoutError("the process that forks does not answer")
        return self._server.stdout.readline()

    def close(self) -> None:
        """End the process that forks."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(_TIMEOUT)
        self._server.stdout.close()


@dataclass
class Forked:
    """A command that is running or has ended; see `command_line.Started`, which has the same methods."""

    _forks: Forks
    _pid: int
    _folder: Path
    arguments: tuple[str, ...]
    _code: int | None = None

    @property
    def is_running(self) -> bool:
        return self._code is None and not self._forks.has_answered()

    @property
    def said(self) -> str:
        """Its stderr until now."""
        return (self._folder / "stderr").read_text()

    def until_it_says(self, words: str) -> None:
        """Wait for words on stderr."""
        deadline = time.monotonic() + 60
        while True:
            is_running = self.is_running
            if words in self.said:
                return
            assert is_running and time.monotonic() < deadline, f"never said {words!r}: {self.said}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, as the kernel or an impatient pipeline sends it."""
        os.kill(self._pid, signal.SIGKILL)
        self.ended()

    def interrupt(self) -> Completed:
        """Ctrl-C; once more if nothing happens, as a person would: one just before a read waits for the read to end."""
        for _ in range(6):
            os.kill(self._pid, signal.SIGINT)
            if self._forks.has_answered(10):
                break
        return self.ended()

    def ended(self) -> Completed:
        """Wait for its end."""
        if self._code is None:
            if not self._forks.has_answered(_TIMEOUT):
                os.kill(self._pid, signal.SIGKILL)
                raise TimeoutError(f"the command did not end: {self.said}")
            self._code = int(self._forks.line())
        return Completed((self._folder / "stdout").read_text(), self.said, self._code, self.arguments)


@contextlib.contextmanager
def forks(folder: Path) -> Iterator[Forks]:
    """A process that forks, with a folder for what the commands print."""
    running = Forks(folder)
    try:
        yield running
    finally:
        running.close()
