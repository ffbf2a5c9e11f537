"""Validates the admin API's input: its routes answer a ValueError with 400."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


async def body_of(request: web.Request) -> Mapping[str, Any]:
    """The JSON object in the request's body; an empty body is an empty object. Raises ValueError."""
    try:
        data = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError("the body must be a JSON object")
    return data


def number(request: web.Request, key: str, default: int) -> int:
    """A number of the query. Raises ValueError if it is not one."""
    text = request.query.get(key, str(default))
    if not text.isdecimal():
        raise ValueError(f"{key} must be a number, not {text!r}")
    return int(text)


def typed(body: Mapping[str, Any], key: str, kind: type, default: Any = None) -> Any:
    """A value of the body. Raises ValueError if it has another type, as None has if there is no default."""
    value = body.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{key} must be {kind.__name__}, not {value!r}")
    return value
