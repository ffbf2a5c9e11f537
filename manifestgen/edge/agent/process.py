"""One module's process, with a warden as its parent: see `warden`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

_WARDEN: Final = Path(__file__).with_name("warden.py")


@dataclass(frozen=True)
class Limits:
    """The limits of a module with its child processes. Enforced on Linux only; 0 is unlimited.

    Attributes:
        memory: in bytes.
        processes: their number.
    """

    memory: int = 2 << 30
    processes: int = 256


@dataclass(frozen=True)
class Program:
    """The program of a module.

    Attributes:
        command: the program and its arguments.
        environ: all its variables; nothing is inherited.
        folder: where it runs.
    """

    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")


class ModuleProcess:
    """A process that was started. Used in one thread.

    Attributes:
        pid: of the module; 0 until it is known.
        failure: why it could not be started; empty if it was.
        exit_code: 128 and the number of a signal that ended it; None while it runs.
        why: why it was killed, if a limit or an order was the reason.
        stdout, stderr, report: to be read when there is something to read.
    """

    def __init__(self, program: Program, limits: Limits) -> None:
        """Start it. Raises OSError if not even the warden can be started."""
        self.pid = 0
        self.failure = self.why = ""
        self.exit_code: int | None = None
        reader, writer = os.pipe()
        options = json.dumps({"report": writer, "memory": limits.memory, "processes": limits.processes})
        try:
            self._warden = subprocess.Popen(  # noqa: S603 - what a module runs is its author's choice
                [sys.executable, "-I", "-S", "-B", str(_WARDEN), options, *program.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=program.folder,
                env=dict(program.environ),
                pass_fds=(writer,),
                start_new_session=True,  # Ctrl-C on a terminal is for us
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self.report: IO[bytes] = os.fdopen(reader, "rb", buffering=0)
        self.stdout, self.stderr = self._stream(self._warden.stdout), self._stream(self._warden.stderr)
        self._lines = b""

    @staticmethod
    def _stream(stream: IO[bytes] | None) -> IO[bytes]:
        if stream is None:
            raise AssertionError("it is a pipe, see above")
        return stream

    def read_report(self) -> bool:
        """Take what the warden says; whether it may say more."""
        data = os.read(self.report.fileno(), 65536)
        *lines, self._lines = (self._lines + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))
        return bool(data)

    def _take(self, said: Mapping[str, Any]) -> None:
        self.pid = said.get("pid", self.pid)
        self.failure = said.get("failed", self.failure)
        self.exit_code = said.get("ended", self.exit_code)
        self.why = said.get("why", self.why)

    def terminate(self) -> None:
        """Send SIGTERM to the module's own process, as `docker stop` does."""
        self._order(b"T")

    def kill(self) -> None:
        """Kill it with all that it has started."""
        self._order(b"K")

    def _order(self, order: bytes) -> None:
        if self._warden.stdin is not None:
            with contextlib.suppress(OSError):
                self._warden.stdin.write(order)
                self._warden.stdin.flush()

    def close(self) -> None:
        """Collect the warden, which has ended or does so now, and close everything."""
        if self._warden.stdin is not None:
            with contextlib.suppress(OSError):
                self._warden.stdin.close()
        try:
            code = self._warden.wait(10)
        except subprocess.TimeoutExpired:
            self._warden.kill()
            code = self._warden.wait()
        if self.exit_code is None:
            # The warden itself was killed, and the module with it.
            self.exit_code = code if code >= 0 else 128 - code
        for stream in (self.stdout, self.stderr, self.report):
            stream.close()
