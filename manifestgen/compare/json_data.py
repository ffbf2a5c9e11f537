"""Compares JSON data, such as a model's answer with the expected one."""

from __future__ import annotations

import json
import math
from typing import Any


def difference(found: Any, expected: Any, pointer: str) -> tuple[str, str] | None:
    """The first difference, with its JSON Pointer below `pointer`; None if there is none.

    Numbers are equal up to a millionth: another processor rounds differently.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in {**expected, **found}:
            if key not in found or key not in expected:
                return f"{pointer}/{key}", "it is missing" if key not in found else "it is not expected"
            if (place := difference(found[key], expected[key], f"{pointer}/{key}")) is not None:
                return place
        return None
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return next((p for n, (one, other) in pairs if (p := difference(one, other, f"{pointer}/{n}"))), None)
    numbers = (int, float)
    if isinstance(found, numbers) and isinstance(expected, numbers) and bool not in {type(found), type(expected)}:
        same = math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    else:
        same = type(found) is type(expected) and found == expected
    return None if same else (pointer, f"{_short(found)}, not {_short(expected)}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
