"""Virtual environments with the packages of a lock, on this machine, to test and run models in.

uv creates them, and they are cached by the hash of their packages: projects with the same packages share one, and so
do `test`, `run` and the sandbox. If several processes need the same one at once, one creates it and the others wait.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import filelock

from manifestgen.context.uv import is_python, run
from manifestgen.errors import InputError, os_reason
from manifestgen.files import cache_folder
from manifestgen.sandboxed import outside
from manifestgen.waits import waiting

#: Overrides the folder in which environments are kept.
FOLDER: Final = "MANIFESTGEN_ENVIRONMENTS"
#: The version of this process's own Python, such as `3.12`.
HERE: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_HEADER: Final = re.compile(r"(?m)^# For: Python (\d+\.\d+)")
# An environment that was unused for this long is deleted when another one is created.
_KEPT_SECONDS: Final = 30 * 24 * 3600
_USED: Final = ".manifestgen-used"


def environments_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of this user's environments: `MANIFESTGEN_ENVIRONMENTS`, else in the system's cache.

    It is the same in the sandbox and outside it.
    """
    environ = os.environ if environ is None else environ
    if chosen := environ.get(FOLDER):
        return Path(chosen)
    home, own = outside(environ).get("HOME"), environ.get("HOME")
    folder = cache_folder()
    if home and own and home != own and folder.is_relative_to(own):
        folder = Path(home, folder.relative_to(own))
    return folder / "environments"


def environment(lock: str, *, python: str | None, folder: Path, where: str = "requirements.lock") -> Path:
    """The Python of an environment with the packages of a lock, which is created if necessary.

    This runs no code of a package: only wheels are installed. It takes seconds, or without uv's cache as long as
    the download of the packages.

    Args:
        lock: text of a requirements.txt with everything pinned by hash, from `uv.compile_lock`.
        python: version such as `3.12`; None for the one that the lock names in its header, else this process's.
        folder: for environments, see `environments_folder`; created if it is missing.
        where: for errors: the file that the requirements come from.

    Returns:
        The path of the environment's Python.

    Raises:
        InputError: uv or this Python does not exist, a package has no wheel for this machine, or the disk is full.
        PythonUnavailableError: this Python is not on this machine, and could not be downloaded.
        CloudError: the package index could not be reached.
    """
    named = _HEADER.search(lock)
    version = python or (named[1] if named else HERE)
    made = folder / _key(lock, version)
    if (found := _usable(made)) is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = filelock.FileLock(made.with_name(f"{made.name}.lock"))
        with contextlib.ExitStack() as stack:
            with waiting("another process that installs the same packages"):
                stack.enter_context(taken)
            if (found := _usable(made)) is None:
                found = _make(lock, version, made, where)
                _forget_unused(folder)
            return found
    except OSError as error:
        what = f"could not keep the packages: {os_reason(error)}"
        fix = f"free disk space, make the folder writable, or set {FOLDER} to another one"
        raise InputError(what, where=str(error.filename or folder), fix=fix) from error


def header(python: str, *more: str) -> str:
    """The header line of a lock, with its Python version and other inputs; `environment` reads it."""
    return f"# For: {', '.join((f'Python {python}', *more))}\n"


def python_exists(version: str) -> bool:
    """Whether a version of Python exists, on this machine or for download. Raises NoUvError."""
    return interpreter(version) != version or is_python(version)


def interpreter(version: str) -> str:
    """The Python version argument for uv.

    Returns:
        This process's own Python, or one of pyenv's, which uv finds only if it is the active one; else the version
        itself, which uv looks for and downloads.
    """
    if version == HERE:
        return sys.executable
    environ = outside(os.environ)
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME") or Path.home(), ".pyenv"))
    found = sorted(root.glob(f"versions/{version}.[0-9]*/bin/python{version}"))
    return str(found[-1]) if found else version


def _key(lock: str, version: str) -> str:
    """The hash of an environment's packages, without comments, which name the project."""
    lines = [line for line in lock.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    text = "\n".join([version, sysconfig.get_platform(), *lines])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _usable(made: Path) -> Path | None:
    """The Python of an existing environment; None if there is none, or if its base Python was removed."""
    python = _python(made)
    if not python.exists():
        return None
    with contextlib.suppress(OSError):
        (made / _USED).touch()
    return python


def _python(made: Path) -> Path:
    return made / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make(lock: str, version: str, made: Path, where: str) -> Path:
    """Create an environment beside its final place, and move it there, so that an incomplete one is never used."""
    partial = made.with_name(f"{made.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(made, ignore_errors=True)
    try:
        # Relocatable, so that it can be moved.
        command = ("venv", "--quiet", "--no-project", "--relocatable", str(partial))
        run(command, made.parent, where, python=interpreter(version))
        locked = partial / "requirements.lock"
        locked.write_text(lock, "utf-8")
        install = ("pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--requirements", str(locked))
        hashed = ("--require-hashes",) if "--hash=" in lock else ()
        if re.search(r"(?m)^[^#\s]", lock):
            run((*install, *hashed), made.parent, where, python=str(_python(partial)))
        (partial / _USED).touch()
        partial.rename(made)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _python(made)


def _forget_unused(folder: Path) -> None:
    """Delete environments that were unused for long, unless one is being created."""
    for used in folder.glob(f"*/{_USED}"):
        old = used.parent
        with contextlib.suppress(OSError, filelock.Timeout):
            if time.time() - used.stat().st_mtime > _KEPT_SECONDS:
                with filelock.FileLock(old.with_name(f"{old.name}.lock"), timeout=0):
                    shutil.rmtree(old, ignore_errors=True)
