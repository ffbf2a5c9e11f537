"""A note when the package index has a newer version. It never slows a command: it shows what was found out before.

The answer is kept for a day in the user's cache. Once it is older, a process in the background asks for the next time.
Nothing is asked in a pipeline, in the sandbox, without a terminal, or with `MANIFESTGEN_NO_UPDATE_NOTE` set.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from manifestgen import __version__
from manifestgen.errors import InputError
from manifestgen.files import cache_folder, write_atomic

SETTING = "MANIFESTGEN_NO_UPDATE_NOTE"
_INDEX = "https://pypi.org/pypi/manifestgen/json"
_DAY = 24 * 3600
_TIMEOUT = 10
_MOST_BYTES = 8 << 20
_RELEASE = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")


def note(environ: Mapping[str, str], cache: Path | None = None, version: str = __version__) -> str:
    """The note, from what is known; empty if there is none. Starts to ask in the background if that is old."""
    if any(environ.get(name) for name in (SETTING, "CI", "TF_BUILD", "MANIFESTGEN_SANDBOX")):
        return ""
    path = cache or cache_folder() / "newest.json"
    found, asked = _known(path)
    if time.time() - asked > _DAY:
        _ask_in_background(path)
    if _numbers(found) <= _numbers(version):
        return ""
    update = "pip install --upgrade manifestgen"
    return f"manifestgen {found} is out, and this is {version}: {update} (no note with {SETTING}=1)"


def _known(path: Path) -> tuple[str, float]:
    """The newest version, and when that was asked; an unreadable file knows nothing."""
    try:
        data = json.loads(path.read_text("utf-8"))
        found, asked = data["version"], float(data["asked"])
    except (OSError, ValueError, KeyError, TypeError):
        return "0", 0.0
    # Whatever is in the file is shown, so it must be a version.
    return (found, asked) if isinstance(found, str) and _RELEASE.fullmatch(found) else ("0", asked)


def _ask_in_background(path: Path) -> None:
    import subprocess

    # Whatever happens to it, not every command of the next minutes tries again.
    with contextlib.suppress(OSError, InputError):
        _keep(path, _known(path)[0])
        command = [sys.executable, "-m", "manifestgen.cli._newer", str(path)]
        quiet = subprocess.DEVNULL
        detached = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )
        detached.returncode = 0  # it is not waited for, and Python would warn


def ask(path: Path, address: str = _INDEX) -> None:
    """Ask the index for the newest version, and keep the answer."""
    import urllib.request

    with urllib.request.urlopen(address, timeout=_TIMEOUT) as response:  # noqa: S310 - the address is fixed
        found = json.loads(response.read(_MOST_BYTES))["info"]["version"]
    if isinstance(found, str) and _RELEASE.fullmatch(found):
        _keep(path, found)


def _keep(path: Path, version: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({"version": version, "asked": time.time()}))


def _numbers(version: str) -> tuple[int, ...]:
    found = _RELEASE.match(version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


if __name__ == "__main__":
    # It runs in the background, without output, and the next run retries.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, InputError):
        ask(Path(sys.argv[1]))
