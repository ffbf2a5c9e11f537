"""Formats of the Azure ML services' responses: errors, times, pages.

Model management (`/modelmanagement`) puts code, status and details at the top level; the other services wrap them in
`error`, as their generated clients in azureml-core expect (`ModelErrorResponse`, `ErrorResponse`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from manifestgen.sandbox.world import World

_MAX_PAGE = 255

Document = dict[str, Any]


class Rejected(Exception):
    """A request that model management rejects.

    Attributes:
        details: the service's reasons, as pairs of code and message.
    """

    def __init__(self, status: int, code: str, message: str, *details: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def response(self) -> web.Response:
        """The error response."""
        body = {
            "code": self.code,
            "statusCode": self.status,
            "message": self.message,
            "details": [{"code": code, "message": message} for code, message in self.details],
            "correlation": {"RequestId": str(uuid.uuid4())},
        }
        return web.json_response(body, status=self.status)


def bad_request(code: str, message: str) -> Rejected:
    """400, with one reason."""
    return Rejected(400, "BadRequest", "The request is invalid", (code, message))


def not_found(code: str, message: str) -> Rejected:
    """404, with one reason."""
    return Rejected(404, "NotFound", "The specified resource was not found", (code, message))


def service_error(
    world: World, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error of the services other than model management."""
    body = {
        "error": {"code": code, "message": message, "details": [], "innerError": None},
        "correlation": {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]},
        "environment": world.names.location,
        "location": world.names.location,
        "time": iso(world.now()),
    }
    return web.json_response(body, status=status, headers=headers)


async def body_of(request: web.Request) -> Document:
    """The request's JSON object. Raises Rejected."""
    data = await _json(request)
    if not isinstance(data, dict):
        raise bad_request("InvalidRequestBody", "The request body must be a JSON object.")
    return data


async def patch_of(request: web.Request) -> list[Document]:
    """The request's JSON Patch (RFC 6902). Raises Rejected."""
    data = await _json(request)
    if not isinstance(data, list) or not all(
        isinstance(step, dict) and "op" in step and "path" in step for step in data
    ):
        raise bad_request("InvalidRequestBody", "The request body must be a JSON patch document.")
    return data


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise bad_request("InvalidRequestBody", f"The request body is not valid JSON: {error}.") from error


def string_map(data: Mapping[str, Any], key: str) -> dict[str, str]:
    """A field that maps strings to strings; empty if it is null. Raises Rejected."""
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise bad_request("InvalidField", f"The {key} field must map strings to strings.")
    return dict(value)


def iso(seconds: float) -> str:
    """A time in the services' form."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


def listed(request: web.Request, documents: Sequence[Document], keep: Callable[[Document], bool]) -> Document:
    """One page of a list, filtered and ordered as requested, with a link to the next page if there is one.

    Args:
        request: with `count`, `offset`, `$skipToken`, `orderBy` and the filters `name`, `tag`, `tags`, `properties`,
            `description`.
        documents: all documents, with `name`, `createdTime`, `modifiedTime`, `kvTags`, `properties`, `description`.
        keep: additional filters for this kind of document.
    """
    query = request.query
    chosen = [document for document in documents if _matches(document, query) and keep(document)]
    chosen = _ordered(chosen, query.get("orderBy", "CreatedAtDesc"))
    start = _number(query, "offset", 0) if "$skipToken" not in query else _number(query, "$skipToken", 0)
    count = min(_number(query, "count", _MAX_PAGE), _MAX_PAGE)
    page: Document = {"value": chosen[start : start + count]}
    if start + count < len(chosen):
        following = request.url.with_scheme("https").update_query({"$skipToken": str(start + count)})
        page["nextLink"] = str(following)
    return page


def _matches(document: Document, query: Mapping[str, str]) -> bool:
    for key in ("name", "description"):
        if key in query and document.get(key) != query[key]:
            return False
    tags, properties = document.get("kvTags") or {}, document.get("properties") or {}
    return (
        ("tag" not in query or query["tag"] in tags)
        and _has_all(tags, query.get("tags", ""))
        and _has_all(properties, query.get("properties", ""))
    )


def _has_all(values: Mapping[str, str], wanted: str) -> bool:
    for item in filter(None, wanted.split(",")):
        key, equals, value = item.partition("=")
        if key not in values or (equals and values[key] != value):
            return False
    return True


def _ordered(documents: list[Document], order: str) -> list[Document]:
    keys = {"CreatedAt": "createdTime", "UpdatedAt": "modifiedTime"}
    for prefix, key in keys.items():
        if order in (f"{prefix}Desc", f"{prefix}Asc"):
            return sorted(
                documents, key=lambda document: (document[key], document["version"]), reverse=order[-4:] == "Desc"
            )
    raise bad_request("InvalidOrderBy", f"The value '{order}' is not a valid order.")


def _number(query: Mapping[str, str], key: str, default: int) -> int:
    text = query.get(key, str(default))
    if not text.isdecimal():
        raise bad_request("InvalidParameter", f"The value '{text}' of {key} is not valid.")
    return int(text)
