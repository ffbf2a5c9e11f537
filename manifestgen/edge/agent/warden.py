"""The parent of one module's process: it ends with us, and everything that the module started ends with it.

    python -I -S warden.py OPTIONS COMMAND…

OPTIONS is JSON: `report`, a file descriptor for lines of JSON; `memory`, bytes that the module and what it started may
use together; `processes`, how many they may be; 0 for no limit. Standard input takes `T` (end the module) and `K` (kill
everything). The end of standard input means that the parent process is gone: everything is killed.

On Linux nothing escapes: what the module starts is handed to this process when its own parent ends, sessions of their
own included. Elsewhere what leaves the module's process group is not found, and no limit is kept.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from typing import Any

_INTERVAL = 0.5
_SUBREAPER, _DEATH_SIGNAL = 36, 1  # PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG, in linux/prctl.h
_LINUX = sys.platform.startswith("linux")


def main() -> int:
    """Run the module until it ends; the exit code is its own."""
    options = json.loads(sys.argv[1])
    report = options["report"]
    os.set_inheritable(report, False)
    _prctl(_SUBREAPER, 1)
    wake, alarm = os.pipe()
    for descriptor in (wake, alarm):
        os.set_blocking(descriptor, False)
    # Interrupts of a terminal are for the parent process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        _become(sys.argv[2:], options, report)
    _say(report, pid=child)
    for descriptor in (1, 2):
        os.close(descriptor)  # or the streams would not end with the module
    code, why = _watch(child, wake, options)
    _say(report, ended=code, why=why)
    return code


def _become(command: list[str], options: dict[str, Any], report: int) -> None:
    try:
        os.setsid()
        _prctl(_DEATH_SIGNAL, signal.SIGKILL)  # should the warden itself be killed
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        if _LINUX and options["memory"]:
            import resource

            # Of one process; what several use together is watched.
            resource.setrlimit(resource.RLIMIT_DATA, (options["memory"], options["memory"]))
        os.execvp(command[0], command)  # noqa: S606 - that is what it is for
    except (OSError, ValueError) as error:
        _say(report, failed=f"{command[0]}: {getattr(error, 'strerror', None) or error}")
    finally:
        os._exit(127)


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _watch(child: int, wake: int, options: dict[str, Any]) -> tuple[int, str]:
    """Wait for the module's end; the exit code, and why it was killed if it was."""
    why = ""
    inputs = [0, wake]
    while True:
        ready, _, _ = select.select(inputs, [], [], _INTERVAL)
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
        if 0 in ready:
            orders = os.read(0, 64)
            if b"T" in orders:
                _signal(child, signal.SIGTERM)
            if b"K" in orders or not orders:
                why = why or "killed"
                _kill_all(child)
            if not orders:
                inputs = [wake]
        status = _reap(child)
        if status is not None:
            _kill_all(child)
            code = os.waitstatus_to_exitcode(status)
            return (code if code >= 0 else 128 - code), why
        if not why and (why := _over(options)):
            _kill_all(child)


def _reap(child: int) -> "int | None":
    """Collect what has ended; the module's status if it has."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status


def _over(options: dict[str, Any]) -> str:
    """Which limit is exceeded, in words; empty if none is."""
    most, memory = options["processes"], options["memory"]
    if not _LINUX or not (most or memory):
        return ""
    found = _descendants()
    if most and len(found) > most:
        return f"it had {len(found)} processes, and the limit is {most}"
    used = sum(map(_resident, found)) if memory else 0
    return f"it used {used >> 20} MiB of memory, and the limit is {memory >> 20} MiB" if used > memory else ""


def _descendants() -> "list[int]":
    found, new = [], _children(os.getpid())
    while new:
        found += new
        new = [pid for parent in new for pid in _children(parent)]
    return found


def _children(pid: int) -> "list[int]":
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - without pathlib this starts in half the time
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:  # noqa: PTH123
                found += [int(word) for word in file.read().split()]
    return found


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _kill_all(child: int) -> None:
    """Kill the module with all that it started, again until nothing is left that could start something."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if not _LINUX:
        return
    for _ in range(100):
        left = [pid for pid in _descendants() if not _is_zombie(pid)]
        if not left:
            return
        for pid in left:
            _signal(pid, signal.SIGKILL)
        # Waits for none: the dead are still to be collected, one of them with the module's status.
        select.select([], [], [], 0.01)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _say(report: int, **line: Any) -> None:
    with contextlib.suppress(OSError):
        os.write(report, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
