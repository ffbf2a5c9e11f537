"""Run a sandbox around a command, or in the background until the session that started it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from manifestgen.errors import InputError
from manifestgen.sandbox.client import without_token
from manifestgen.sandbox.environment import without_azure
from manifestgen.sandbox.server import Sandbox
from manifestgen.sandboxed import kept_for_outside

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 5.0
_START_SECONDS = 60.0


async def run_command(command: Sequence[str], state: Path | None, say: Callable[[str], None], *, modules: str) -> int:
    """Run a command in its own sandbox and return its exit code (128 + signal number if a signal ended it).

    The command gets this process's environment without anything that points to a real Azure, the sandbox's variables,
    and its own home folder, because azureml-core caches service addresses there forever. Signals are forwarded to it.
    If our parent process ends, the command and the sandbox end too.

    Args:
        command: program and arguments.
        state: folder that keeps the state between runs; None deletes it at the end.
        say: called with each line for the user.
        modules: `run` or `simulate`, see `Sandbox`.

    Raises:
        InputError: the program does not exist, or the folder cannot be used.
    """
    async with _running(state, modules) as sandbox:
        say(_notice(sandbox))
        home = str(sandbox.home)
        environment = {
            **without_azure(os.environ),
            **kept_for_outside(os.environ),
            **sandbox.environment,
            "HOME": home,
            "USERPROFILE": home,
        }
        try:
            process = await asyncio.create_subprocess_exec(*command, env=environment)
        except OSError as error:
            raise InputError(
                f"cannot run {command[0]!r}: {error.strerror or error}", fix="name a program that is on the PATH"
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


async def serve(
    state: Path | None,
    watched: int,
    ready: Callable[[Sandbox], None],
    say: Callable[[str], None],
    *,
    modules: str = "run",
) -> None:
    """Run a sandbox until the admin API or a signal stops it, or the process `watched` ends.

    Args:
        state: folder that keeps the state between runs; None deletes it at the end.
        watched: process ID; 0 watches none.
        ready: called once all services accept requests.
        say: called with each line for the user.
        modules: `run` or `simulate`, see `Sandbox`.
    """
    async with _running(state, modules) as sandbox:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # not supported on Windows, where Ctrl-C raises
                loop.add_signal_handler(number, sandbox.stopping.set)
        ready(sandbox)
        orphaned = asyncio.ensure_future(_end_of(watched))
        stopped = asyncio.ensure_future(sandbox.stopping.wait())
        await asyncio.wait({orphaned, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (orphaned, stopped):
            task.cancel()
        for line in _unserved(sandbox):
            say(line)


def start(state: Path | None, modules: str = "run") -> Mapping[str, str]:
    """Start a sandbox in the background and return the environment variables that point a client at it.

    It stops when the session of this process ends: the shell or the pipeline step that started it.

    Raises:
        InputError: the sandbox cannot start, most likely because of the folder.
    """
    kept = [str(state)] if state else []
    command = [sys.executable, "-m", "manifestgen.sandbox.daemon", str(_session()), modules, *kept]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both are pipes, see above")
    with process.stdout, process.stderr:
        line = process.stdout.readline()
        if not line:
            reason = process.stderr.read().strip().splitlines() or ["no reason given"]
            process.wait()
            raise InputError(f"the sandbox did not start: {reason[-1]}", fix="see 'manifestgen sandbox start --help'")
    # The process outlives us, so we never wait for it; without this, Python would warn.
    process.returncode = 0
    environment: Mapping[str, str] = json.loads(line)
    return environment


@contextlib.asynccontextmanager
async def _running(state: Path | None, modules: str) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(state, modules=modules)
    sandbox.world.pace = replace(sandbox.world.pace, packages=True)
    try:
        await sandbox.start()
        yield sandbox
    finally:
        await sandbox.stop()


def _notice(sandbox: Sandbox) -> str:
    admin = without_token(sandbox.environment["MANIFESTGEN_SANDBOX"])
    return f"sandbox: a local stand-in for Azure, not Azure; admin API at {admin}"


def _unserved(sandbox: Sandbox) -> list[str]:
    lines = [
        f"  {entry['method']} {entry['host']}{entry['path']}" + (f" ({entry['count']} times)" * (entry["count"] > 1))
        for entry in sandbox.traffic.unserved
    ]
    return ["sandbox: clients sent requests that it does not support:", *lines] if lines else []


@contextlib.contextmanager
def _forwarding(process: asyncio.subprocess.Process) -> Iterator[None]:
    """Forward signals to the command while it runs.

    Ctrl-C on a terminal is not forwarded: the command receives it anyway, and many programs take a second one to mean
    "stop at once".
    """
    numbers = [signal.SIGTERM]
    if os.name == "posix":
        numbers += [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for number in (*numbers, signal.SIGINT):
            forward = not (number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty())
            with contextlib.suppress(NotImplementedError):  # not supported on Windows
                loop.add_signal_handler(number, _send, process, number if forward else None)
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
    """The leader of the caller's session: the sandbox ends with this process."""
    if os.name != "posix":
        return os.getppid()
    # 0 if the leader lives in another process namespace, as with `docker exec`.
    return os.getsid(0) or os.getppid()


async def _end_of(process_id: int) -> None:
    """Return when a process has ended; never if it cannot be watched."""
    if process_id == 0 or os.name != "posix":
        # Windows: only Ctrl-C and 'sandbox stop' end the sandbox; there, os.kill(pid, 0) would end the process.
        await asyncio.Event().wait()
    if hasattr(os, "pidfd_open"):
        await _end_of_by_descriptor(process_id)
        return
    while _exists(process_id):
        await asyncio.sleep(_POLL_SECONDS)


async def _end_of_by_descriptor(process_id: int) -> None:
    """On Linux: no polling, and no confusion with a later process that gets the same ID."""
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
