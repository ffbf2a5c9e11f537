"""An error in lines and in data: its place in a file, its traceback without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final

from manifestgen.errors import ManifestgenError

_PLACE: Final = r"(?s)(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?(?::.*)?"


def place_of(error: ManifestgenError) -> dict[str, Any]:
    """Where in a file an error is: `file`, `line` and `column`, null as far as it is not in one."""
    place = re.fullmatch(_PLACE, error.where)
    if place is not None and not os.path.exists(error.where):  # noqa: PTH110 - see cli/check.py
        line, column = place["line"], place["column"]
        return {"file": place["file"], "line": int(line), "column": int(column) if column else None}
    is_file = bool(error.where) and os.path.isfile(error.where)  # noqa: PTH113 - see cli/check.py
    return {"file": error.where if is_file else None, "line": None, "column": None}


def traceback_of(error: BaseException) -> Iterator[str]:
    """A traceback with the texts of our own exceptions only: those of an SDK may quote a service's response."""
    import traceback

    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from traceback_of(earlier)
        yield f"\n{'It caused' if error.__cause__ else 'While it was handled'}:\n"
    yield "Traceback (most recent call last):"
    yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    text = f": {error}" if not frames or _is_ours(frames[-1]) else ""
    yield f"{type(error).__qualname__}{text}"


def _is_ours(file: str) -> bool:
    """Whether a source file is neither Python's nor that of a package that manifestgen needs."""
    import sysconfig

    if file.startswith(os.path.dirname(os.path.dirname(__file__)) + os.sep):  # noqa: PTH120 - as in tracebacks
        return True
    return not any(file.startswith(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def one_line(text: str) -> str:
    """A text on one line: a service's own words may have more."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
