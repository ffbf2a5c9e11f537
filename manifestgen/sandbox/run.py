"""A sandbox around a command, and one that stays in the background until the session it was started in ends."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from manifestgen.errors import CloudError, InputError
from manifestgen.sandbox.environment import without_azure
from manifestgen.sandbox.server import Sandbox

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 5.0
_START_SECONDS = 60.0


async def run_command(command: Sequence[str], state: Path | None, say: Callable[[str], None]) -> int:
    """Run a command in a sandbox of its own and return its exit code (128 + signal number if one ended it).

    The command gets this process's environment without what leads to a real Azure, the sandbox's variables, and a home
    folder of its own, since azureml-core keeps the addresses of services there for ever. Signals are handed on to it.
    If our parent goes, the command is ended and so is the sandbox.

    Args:
        command: program and arguments.
        state: folder to keep everything in between runs, or None to forget it.
        say: told what the user should know.

    Raises:
        InputError: there is no such program, or the folder cannot be used.
    """
    async with _running(state) as sandbox:
        say(_notice(sandbox))
        home = str(sandbox.home)
        environment = {**without_azure(os.environ), **sandbox.environment, "HOME": home, "USERPROFILE": home}
        try:
            process = await asyncio.create_subprocess_exec(*command, env=environment)
        except OSError as error:
            raise InputError(
                f"cannot run {command[0]!r}: {error.strerror or error}", fix="give a program that is on the PATH"
            ) from error
        with _forwarding(process):
            ends = asyncio.ensure_future(process.wait())
            orphaned = asyncio.ensure_future(_end_of(os.getppid()))
            stopped = asyncio.ensure_future(sandbox.stopping.wait())
            await asyncio.wait({ends, orphaned, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ends.done():
                await _end(process)
            for task in (orphaned, stopped):
                task.cancel()
            code = await ends
        for line in _unserved(sandbox):
            say(line)
    return code if code >= 0 else 128 - code


async def serve(state: Path | None, watched: int, ready: Callable[[Sandbox], None]) -> None:
    """Run a sandbox until it is told to stop, a signal ends it, or the process `watched` ends.

    Args:
        state: folder to keep everything in between runs, or None to forget it.
        watched: process id; 0 watches none.
        ready: called once everything answers.
    """
    async with _running(state) as sandbox:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows has no such handlers; there Ctrl-C raises
                loop.add_signal_handler(number, sandbox.stopping.set)
        ready(sandbox)
        orphaned = asyncio.ensure_future(_end_of(watched))
        stopped = asyncio.ensure_future(sandbox.stopping.wait())
        await asyncio.wait({orphaned, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (orphaned, stopped):
            task.cancel()
        for line in _unserved(sandbox):
            print(line, file=sys.stderr, flush=True)


def start(state: Path | None) -> Mapping[str, str]:
    """Start a sandbox in the background and return the variables that lead to it.

    It stops with the session of this process: when the shell or the pipeline step that asked for it is over.

    Raises:
        InputError: it cannot start, most likely because of the folder.
    """
    command = [sys.executable, "-m", "manifestgen.sandbox.daemon", str(_session()), *([str(state)] if state else [])]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both are pipes, as asked for above")
    with process.stdout, process.stderr:
        answer = process.stdout.readline()
        if not answer:
            reason = process.stderr.read().strip().splitlines() or ["no reason given"]
            process.wait()
            raise InputError(f"the sandbox did not start: {reason[-1]}", fix="see 'manifestgen sandbox start --help'")
    # It outlives us, so nobody here will ever wait for it; without this Python would warn.
    process.returncode = 0
    environment: Mapping[str, str] = json.loads(answer)
    return environment


def stop(admin: str) -> None:
    """Stop the sandbox behind this admin address and return once it is gone. Raises CloudError if none answers."""
    try:
        _call(admin, "POST", "/stop", timeout=10)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CloudError(f"no sandbox answers at {admin}", fix="it has stopped already: unset the variables") from error
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline:
        try:
            _call(admin, "GET", "/", timeout=1)
        except (OSError, http.client.HTTPException):
            return
        time.sleep(0.05)


def _call(admin: str, method: str, path: str, *, timeout: float) -> None:
    """Without any proxy, whatever the environment says: the address is on this machine."""
    connection = http.client.HTTPConnection(urlsplit(admin).netloc, timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path)
        connection.getresponse().read()


@contextlib.asynccontextmanager
async def _running(state: Path | None) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(state)
    try:
        await sandbox.start()
        yield sandbox
    finally:
        await sandbox.stop()


def _notice(sandbox: Sandbox) -> str:
    return f"sandbox: a local stand-in for Azure, not Azure; admin API at {sandbox.environment['MANIFESTGEN_SANDBOX']}"


def _unserved(sandbox: Sandbox) -> list[str]:
    lines = [
        f"  {entry['method']} {entry['host']}{entry['path']}" + (f" ({entry['count']} times)" * (entry["count"] > 1))
        for entry in sandbox.traffic.unserved
    ]
    return ["sandbox: clients asked for what it does not serve:", *lines] if lines else []


@contextlib.contextmanager
def _forwarding(process: asyncio.subprocess.Process) -> Iterator[None]:
    """Hand signals on to the command while it runs.

    Not Ctrl-C on a terminal: it reaches the command without us, and twice would mean "at once" to many programs.
    """
    numbers = [signal.SIGTERM]
    if os.name == "posix":
        numbers += [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for number in (*numbers, signal.SIGINT):
            hand_on = not (number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty())
            with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
                loop.add_signal_handler(number, _send, process, number if hand_on else None)
                stack.callback(loop.remove_signal_handler, number)
        yield


def _send(process: asyncio.subprocess.Process, number: int | None) -> None:
    if number is not None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
        except asyncio.TimeoutError:
            process.kill()


def _session() -> int:
    """The process that the caller's session stands and falls with."""
    if os.name != "posix":
        return os.getppid()
    # 0 if the leader lives in another process namespace, as with `docker exec`.
    return os.getsid(0) or os.getppid()


async def _end_of(process_id: int) -> None:
    """Return when a process has ended; never if it cannot be watched."""
    if process_id == 0 or os.name != "posix":
        # Windows: the console's Ctrl-C and 'sandbox stop' are left; os.kill would end the process there.
        await asyncio.Event().wait()
    if hasattr(os, "pidfd_open"):
        await _end_of_by_descriptor(process_id)
        return
    while _exists(process_id):
        await asyncio.sleep(_POLL_SECONDS)


async def _end_of_by_descriptor(process_id: int) -> None:
    """Linux tells at once, and of this very process, not of one that was given its number later."""
    try:
        descriptor = os.pidfd_open(process_id)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _exists(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
