"""The settings of a project as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from manifestgen.project.settings import Setting

# A longer value moves nothing but its own line.
_WIDEST: Final = 44
_HIDDEN: Final = "(hidden)"


def text(settings: Sequence[Setting], file: str) -> list[str]:
    """A line for each setting: its keys, its value, and where it comes from.

    Args:
        file: name of the project file.
    """
    rows = [(one.key, _value(one), origin(one, file)) for one in settings]
    key = max((len(row[0]) for row in rows), default=0)
    value = min(max((len(row[1]) for row in rows), default=0), _WIDEST)
    return [f"{row[0]:<{key}}  {row[1]:<{value}}  {row[2]}" for row in rows]


def origin(setting: Setting, file: str) -> str:
    """Where a setting comes from, in a few words."""
    if setting.place is None:
        return "default"
    words = [f"{file}:{setting.place[0]}"]
    if setting.environment is not None:
        words.append(f"environment {setting.environment}")
    words += [f"variable {name}" for name in setting.variables]
    words += [f"file {name}" for name in setting.files]
    return ", ".join(words)


def _value(setting: Setting) -> str:
    if setting.hidden:
        return _HIDDEN
    return setting.value if isinstance(setting.value, str) else json.dumps(setting.value, ensure_ascii=False)


def data(setting: Setting) -> dict[str, Any]:
    """A setting as JSON data."""
    line, column = setting.place or (None, None)
    return {
        "key": setting.key,
        "path": list(setting.path),
        "value": setting.value,
        "hidden": setting.hidden,
        "default": setting.place is None,
        "line": line,
        "column": column,
        "environment": setting.environment,
        "variables": list(setting.variables),
        "files": list(setting.files),
    }
