"""The base class of engines, and running their commands."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from manifestgen.errors import ManifestgenError
from manifestgen.images.engines.trouble import explain
from manifestgen.secret import redact

if TYPE_CHECKING:
    from manifestgen.cloud import Context

_SECONDS_TO_END: Final = 10.0
_SECONDS_TO_ANSWER: Final = 30.0


@dataclass(frozen=True)
class Job:
    """An image to build and push.

    Attributes:
        context: what it is built from.
        reference: `registry/name:tag`.
        platforms: to build for; several become an index.
        folder: on this machine, for files of the build; empty.
        auth: file with logins in Docker's format, readable by its owner only; None if the engine has its own.
        insecure: whether the registry speaks HTTP, as one on loopback may.
        pushed: the digest that the registry has under the reference by now; None if there is none.
    """

    context: Context
    reference: str
    platforms: tuple[str, ...]
    folder: Path
    auth: Path | None = None
    insecure: bool = False
    pushed: Callable[[], str | None] = lambda: None


class Cancelled(Exception):
    """The build was cancelled."""


@dataclass
class Commands:
    """Runs an engine's commands one after the other, collects what they print, and can be cancelled."""

    output: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self,
        arguments: Sequence[str],
        *,
        reference: str,
        environ: Mapping[str, str] | None = None,
        context: Context | None = None,
    ) -> None:
        """Run a command to its end.

        Args:
            arguments: the program and what it is called with; never a secret.
            reference: of the image, for errors.
            environ: variables besides those of this process.
            context: is sent to its standard input as a tar.

        Raises:
            ManifestgenError: it failed; by its cause.
            Cancelled: `cancel` was called.
        """
        begin = len(self.output)
        with self._lock:
            if self._cancelled:
                raise Cancelled
            self._process = process = subprocess.Popen(  # noqa: S603 - no shell; the words are ours, and names are checked
                arguments,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL if context is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=os.name == "posix",
            )
        sender = threading.Thread(target=_send, args=(process, context), daemon=True)
        sender.start()
        assert process.stdout is not None  # noqa: S101 - it was asked for
        with process.stdout as stream:
            for line in stream:
                self.output.append(redact(line.decode("utf-8", "replace")))
        status = process.wait()
        sender.join()
        if self._cancelled:
            raise Cancelled
        if status != 0:
            raise explain(Path(arguments[0]).name, reference, "".join(self.output[begin:]))

    def say(self, text: str) -> None:
        """Add our own line to the output."""
        self.output.append(f"{text}\n")

    def cancel(self) -> None:
        """End the command that runs, and start no other."""
        with self._lock:
            self._cancelled = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            process.wait()


class Engine(ABC):
    """An engine; the subclasses say how it builds.

    Attributes:
        name: for messages.
        program: the command.
    """

    name: ClassVar[str]
    program: ClassVar[str]

    @property
    def path(self) -> str | None:
        """Where the command is; None if it is not installed."""
        return shutil.which(self.program)

    @property
    def ask(self) -> tuple[str, ...]:
        """Arguments of a command that fails unless the engine can build."""
        return ("version",)

    def version(self) -> str:
        """Name and version of the engine.

        Raises:
            InputError: it cannot build, such as when its daemon is not running.
        """
        done = self._ask(*self.ask)
        if done.returncode != 0:
            raise explain(self.program, "", redact(done.stdout))
        shown = self._ask("--version").stdout.strip().splitlines()
        return shown[0] if shown else self.name

    #: Arguments of a command that says where the engine keeps its layers, and how its output names that folder.
    storage: ClassVar[tuple[tuple[str, ...], str]]

    def storage_folder(self) -> Path | None:
        """The folder on this machine in which the engine keeps layers; None for one that runs elsewhere."""
        arguments, pattern = self.storage
        done = self._ask(*arguments)
        found = re.search(pattern, done.stdout, re.IGNORECASE | re.MULTILINE) if done.returncode == 0 else None
        folder = Path(found[1]) if found is not None else None
        return folder if folder is not None and folder.is_dir() else None

    @abstractmethod
    def build(self, job: Job, commands: Commands) -> str:
        """Build and push an image.

        Returns:
            Its digest, `sha256:…`, or that of its index.

        Raises:
            ManifestgenError: it could not be built or pushed; by its cause.
            Cancelled: the commands were cancelled.
        """

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.path or self.program, *arguments]
        try:
            return subprocess.run(  # noqa: S603 - no shell, and our own words
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_SECONDS_TO_ANSWER,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, f"no answer within {_SECONDS_TO_ANSWER:.0f} s")


def _send(process: subprocess.Popen[bytes], context: Context | None) -> None:
    """Send a context to a command. A command that ends early has said why."""
    if context is None or process.stdin is None:
        return
    try:
        with process.stdin as stream:
            for piece in context.tar():
                stream.write(piece)
    except (OSError, ManifestgenError):
        process.terminate()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a command and to what it has started."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, number)
        else:
            process.terminate()
    except ProcessLookupError:
        return
