"""The packages of a build: really chosen and installed with uv, and the log of that.

An image's packages are installed into an environment of this machine, the same as `manifestgen test` uses, and not into
the image's layers. Steps that are not executed are marked as simulated.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from manifestgen.context.environment import HERE, environment, environments_folder, header, python_exists
from manifestgen.context.requirements import CondaError, of_conda
from manifestgen.context.uv import NoUvError, NoWheelError, PythonUnavailableError, compile_lock
from manifestgen.errors import CloudError, InputError

#: Begins each line of a log about something that is not carried out.
SIMULATED: Final = "(simulated)"

_PLATFORM: Final = "linux/amd64"

T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True)
class Outcome:
    """The result of an installation.

    Attributes:
        lines: of the log.
        error: why the build fails; empty if it does not.
        lock: text of a requirements.txt with the chosen versions; empty if none were chosen.
    """

    lines: tuple[str, ...]
    error: str = ""
    lock: str = ""


def skipped(why: str) -> Outcome:
    """The outcome where nothing is installed."""
    return Outcome((f"{SIMULATED} the packages are not installed: {why}",))


#: The outcome where builds install nothing, see `Pace.packages`.
SWITCHED_OFF: Final = skipped("this sandbox is set not to")


def install_conda(specification: Any, imported: frozenset[str] = frozenset()) -> Outcome:
    """Install the packages of a conda specification; those that only conda has are left out. Blocks.

    Args:
        specification: parsed, with a valid list of dependencies.
        imported: top-level modules that the entry script imports.
    """
    with tempfile.TemporaryDirectory(prefix="manifestgen-sandbox-") as name:
        file = Path(name, "environment.yml")
        file.write_text(yaml.safe_dump(specification), "utf-8")
        try:
            needed = of_conda(file, imported)
        except CondaError as error:
            return skipped(error.what)
        except InputError as error:
            return Outcome((f"error: {error.what}",), error.what)
    notes = tuple(f"{SIMULATED} {note.partition(': the runner')[0]}" for note in needed.notes)
    python = needed.python or HERE
    # The last line is what the runner needs, which is not in such an image.
    found = install(needed.lines[:-1], python, "environment.yml")
    lock = _with_runner(needed.lines, python) if found.lock else ""
    return replace(found, lines=(*notes, *found.lines), lock=lock)


def _with_runner(lines: Sequence[str], python: str) -> str:
    """The lock for a device of the sandbox, where our runner takes the server's place; empty if there is none."""
    try:
        lock = compile_lock(lines, None, python, (_PLATFORM,), "environment.yml")
    except (CloudError, InputError):
        return ""
    return f"{header(python)}{lock}"


def install(requirements: Sequence[str], python: str, where: str) -> Outcome:
    """Choose versions of packages, and install them into an environment. Blocks.

    Args:
        requirements: lines as in a requirements.txt.
        python: version of Python, such as `3.12`.
        where: the file that they come from, for the log.
    """
    try:
        if not python_exists(python):
            what = f"there is no Python {python}"
            return Outcome((f"error: {what}",), what)
        lock = compile_lock(requirements, None, python, (_PLATFORM,), where)
        chosen = tuple(re.findall(r"(?m)^([\w.-]+==[^\s;]+)", lock))
        text = f"{header(python)}{lock}"
        lines = (f"uv resolved {len(chosen)} packages for Python {python}", *(f" + {one}" for one in chosen))
        try:
            environment(lock, python=python, folder=environments_folder(), where=where)
        except PythonUnavailableError as error:
            return Outcome((*lines, f"{SIMULATED} they are not installed: {error.what}"), lock=text)
        done = f"uv installed {len(chosen)} packages"
        return Outcome((*lines, done, f"{SIMULATED} they are not copied into the image's layers"), lock=text)
    except (NoUvError, NoWheelError, CloudError) as error:
        return skipped(error.what)
    except InputError as error:
        return Outcome((*(error.detail or (f"error: {error.what}",)),), error.what)


async def in_background(work: Callable[[], T]) -> T:
    """Do what blocks in a thread that does not keep the sandbox from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            _later(loop, done, error, done.set_exception)
        else:
            _later(loop, done, result, done.set_result)

    threading.Thread(target=run, name="packages", daemon=True).start()
    return await done


def _later(loop: asyncio.AbstractEventLoop, done: asyncio.Future[T], value: V, settle: Callable[[V], object]) -> None:
    """Settle a future from a thread, unless its loop has ended or nothing waits for it any longer."""
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(lambda: None if done.done() else settle(value))
