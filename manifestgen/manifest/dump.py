"""Manifests as text: the same data gives the same bytes, on every machine and in every release of Python."""

from __future__ import annotations

import json
from typing import Any


def dump(data: Any) -> str:
    """Readable JSON: two spaces a level, keys in the order given, characters as they are, a line feed at the end.

    Lone surrogates are escaped, see `encodable`.

    Raises:
        ValueError: for NaN and the infinities, which JSON does not have.
    """
    return encodable(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def compact(data: Any) -> str:
    """JSON without a blank too many, for createOptions and for what is sent to the hub.

    Raises:
        ValueError: for NaN and the infinities, which JSON does not have.
    """
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encodable(text: str) -> str:
    """The text with lone surrogates escaped as JSON escapes them: JSON can name them, and no encoding has them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
