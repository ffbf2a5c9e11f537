"""Ends the process soon after Ctrl-C, whatever blocks it: a slow name resolution, a request in an SDK's thread.

Python calls a signal handler between two of its instructions, so not while the main thread waits in C. This module
watches the byte that Python writes at once for each signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Final, cast

from manifestgen.errors import Interrupted
from manifestgen.waits import interrupted

if TYPE_CHECKING:
    from manifestgen.cli._console import Console

# Long enough for Python to get the signal into the main thread, unless that waits in C.
_AWAKE: Final = 0.5
# Then long enough for it to say so and to end.
_SECONDS: Final = 1.0
# Then long enough for a command to end what it has started and to say what it has done.
_TIDYING: Final = 15.0


def interruption(words: str = "") -> Interrupted:
    """The error for Ctrl-C where nothing more is known than what was waited for."""
    return Interrupted(words or interrupted(), fix="run the same command again to resume")


def end_soon_after_ctrl_c(console: Console) -> None:
    """From now on, end the process with exit code 130 if the main thread has not noticed Ctrl-C after 1.5 seconds.

    To be called in the main thread.
    """
    with contextlib.suppress(ValueError, OSError):  # without it, Ctrl-C works as it always does
        written, read = _wakeup()
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        noticed, repeated = threading.Event(), threading.Event()
        _note(noticed, repeated)
        watched = (read, noticed, repeated, console)
        threading.Thread(target=_watch, args=watched, name="interruption", daemon=True).start()


def _wakeup() -> tuple[int, Callable[[], bytes]]:
    """Where Python writes a byte for each signal, and what waits for them; both stay open as long as the process."""
    if os.name == "nt":  # takes nothing but sockets there, which are long to import for every command
        import socket

        near, far = socket.socketpair()
        near.setblocking(False)
        return near.detach(), lambda: far.recv(16)
    read, written = os.pipe()
    os.set_blocking(written, False)
    return written, lambda: os.read(read, 16)


def _note(noticed: threading.Event, repeated: threading.Event) -> None:
    """Have the main thread set an event when Ctrl-C reaches it, and ignore a repetition of what has reached it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if repeated.is_set() and noticed.is_set():
            return
        noticed.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, handle)


def _watch(
    read: Callable[[], bytes],
    noticed: threading.Event,
    repeated: threading.Event,
    console: Console,
) -> None:
    while received := read():
        if signal.SIGINT in received:
            words = interrupted()  # now: what is waited for ends with the wait
            if not noticed.wait(_AWAKE):
                _repeat(repeated)
            time.sleep(_SECONDS)
            until = time.monotonic() + _TIDYING
            while noticed.is_set() and not console.failed and time.monotonic() < until:
                time.sleep(0.05)
            if not console.failed:
                console.fail(interruption(words))
            end(Interrupted.exit_code)


def _repeat(repeated: threading.Event) -> None:
    """Wake the main thread again: a signal that comes just before a system call begins does not end that call."""
    if hasattr(signal, "pthread_kill"):
        repeated.set()
        signal.pthread_kill(cast(int, threading.main_thread().ident), signal.SIGINT)


def end(code: int) -> None:
    """End the process at once: threads of SDKs would hold it until their requests end."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def is_held() -> bool:
    """Whether threads would hold the process at its end."""
    return any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate())
