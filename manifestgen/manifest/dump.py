"""Manifests as text: the same data gives the same bytes, on every machine and in every release of Python."""

from __future__ import annotations

import json
from typing import Any


def dump(data: Any) -> str:
    """Readable JSON: two spaces a level, keys in the order given, characters as they are, a line feed at the end.

    Lone surrogates, which JSON can name and no encoding has, are written as the escapes that they came from.

    Raises:
        ValueError: for NaN and the infinities, which JSON does not have.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def compact(data: Any) -> str:
    """JSON without a blank too many, for createOptions and for what is sent to the hub.

    Raises:
        ValueError: for NaN and the infinities, which JSON does not have.
    """
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
