"""The sandbox's answers, changed on their way to a command: cut, malformed, of another shape, from another server.

An `Answers` sits between the sandbox's services and their clients. It records what each request of a command is
answered, and then gives one of these answers changed, each time that it is asked for. Every text in an answer that is
no longer JSON is a canary; the secrets in all answers, which the sandbox makes, are canaries anyway.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import pytest
from aiohttp import web

# What is in each text that takes the place of another.
CANARY: Final = "canary-of-an-answer"

_JSON: Final = "application/json"
VARIABLE: Final = re.compile(
    r"(?<=/)(?:(?:registries-)?[0-9a-f]{8}-[0-9a-f-]{27}|sha256:[0-9a-f]{64}|\d{6}T\d{6}-[0-9a-f]+|[0-9a-f]{8,}(?:-\d+)?"
    r"|(?:of-)?edge-test-\d+|new-\d+|fleet-[0-9a-f]+|m:\d+|\d+)(?=/|$)"
)
# Members of JSON objects whose text is a secret. `value` is one in ARM's passwords and in a vault.
_SECRET: Final = re.compile(
    r"password|.*(?:access|refresh|id)_?token|token|(?:primary|secondary)Key|sasUri", re.IGNORECASE
)
_SHORTEST: Final = 12


@dataclass(frozen=True)
class Answer:
    """One answer of a service."""

    status: int
    body: bytes
    type: str

    def response(self) -> web.Response:
        return web.Response(
            status=self.status, body=self.body, headers={"Content-Type": self.type} if self.type else {}
        )


#: Makes another answer out of one.
Change = Callable[[Answer], Answer]


@dataclass
class Answers:
    """What a sandbox answers, recorded and changed.

    Attributes:
        seen: by place, which is method, host and path without what differs between runs: the first answer.
        secrets: that were in answers.
        hits: how often an answer was changed.
    """

    seen: dict[str, Answer] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    hits: int = 0
    _place: str = ""
    _change: Change | None = None

    def come_between(self, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sit between a running sandbox's services and their clients until the test ends."""
        faults = running.sandbox.faults
        strike = faults.strike

        async def respond(request: web.Request, handler: Any) -> web.StreamResponse:
            try:
                response = await strike(request, handler)
            except web.HTTPException as error:
                response = error
            return self._given(request, response)

        monkeypatch.setattr(faults, "strike", respond)

    def change(self, place: str, change: Change) -> None:
        """Change all answers of a place from now on."""
        self._place, self._change, self.hits = place, change, 0

    def leave(self) -> None:
        """Change nothing from now on."""
        self._place, self._change = "", None

    def _given(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        body = response.body if isinstance(response, web.Response) else None
        if not isinstance(body, bytes):
            return response
        place = place_of(request)
        answer = Answer(response.status, body, response.headers.get("Content-Type", ""))
        if request.method != "HEAD":
            self.seen.setdefault(place, answer)
        self.secrets.update(secrets_in(_data(body), vault=".vault." in request.host))
        if self._change is None or place != self._place:
            return response
        self.hits += 1
        other = self._change(answer)
        changed = other.response()
        for name, value in response.headers.items():
            if name not in ("Content-Length", "Content-Type", "Docker-Content-Digest"):
                changed.headers[name] = value
        return changed

    def shown_in(self, text: str) -> list[str]:
        """The secrets of answers that a text shows."""
        return [secret for secret in sorted(self.secrets) if any(form in text for form in forms(secret))]


def place_of(request: web.Request) -> str:
    """A name of a request that is the same in the next run."""
    return f"{request.method} {request.host.partition(':')[0]}{VARIABLE.sub('*', request.path)}"


def forms(secret: str) -> Iterator[str]:
    """How a text may turn up."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def _data(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def secrets_in(data: Any, *, vault: bool = False) -> Iterator[str]:
    """The secrets in an answer."""
    if isinstance(data, dict):
        for key, value in data.items():
            secret = _SECRET.fullmatch(key) or (key == "value" and (vault or "password" in str(data.get("name"))))
            if secret and isinstance(value, str) and len(value) >= _SHORTEST:
                yield value
            else:
                yield from secrets_in(value, vault=vault)
    elif isinstance(data, list):
        for item in data:
            yield from secrets_in(item, vault=vault)


def changes_of_all(answer: Answer) -> dict[str, Change]:
    """Changes of a whole answer, by name: what is left of it can no longer be parsed, or is of another shape."""
    return {
        "no body": _body(b""),
        "null": _body(b"null"),
        "a list": _body(b"[]"),
        "an object": _body(b"{}"),
        "a text": _body(json.dumps(CANARY).encode()),
        "a number": _body(b"5"),
        "a list of numbers": _body(b"[5]"),
        "nested without end": _body(b"[" * 100_000),
        "bytes": lambda one: Answer(one.status, b"\xff\xfe\x00" + canaries(one.body), one.type),
        "cut": lambda one: Answer(one.status, _half(canaries(one.body)), one.type),
        "cut at the end": lambda one: Answer(one.status, canaries(one.body)[:-1], one.type),
        "more after the end": lambda one: Answer(one.status, canaries(one.body) + b"}}", one.type),
        "unquoted": lambda one: Answer(one.status, canaries(one.body).replace(b'"', b""), one.type),
        "HTML": lambda one: Answer(one.status, _html(one), "text/html"),
        "HTML said to be JSON": lambda one: Answer(one.status, _html(one), _JSON),
        "403 in HTML": lambda one: Answer(403, _html(one), "text/html; charset=utf-8"),
        "400, cut": lambda one: Answer(400, _half(canaries(one.body)), one.type),
        "403, of another shape": lambda one: Answer(403, _error_of_lists(one), _JSON),
    }


def changes_of_parts(answer: Answer) -> dict[str, Change]:
    """Changes of each position in a JSON answer, by name: it is missing, or of another type."""
    found: dict[str, Change] = {}
    for place, value in positions(_data(answer.body)):
        name = "/".join(map(str, place))
        found[f"{name} is missing"] = _part(place, lambda holder, key: holder.pop(key))
        for text, other in _OTHERS.items():
            if type(value) is not type(other) or isinstance(value, dict | list):
                found[f"{name} is {text}"] = _part(place, _putting(other))
    return found


_OTHERS: Final[dict[str, Any]] = {
    "null": None,
    "a number": 7,
    "a text": CANARY,
    "a list": [CANARY],
    "an object": {CANARY: 1},
}


def positions(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each position in JSON data: of lists, the first item only, for the others are alike."""
    entries: Sequence[tuple[Any, Any]] = ()
    if isinstance(data, dict):
        entries = list(data.items())
    elif isinstance(data, list):
        entries = list(enumerate(data[:1]))
    for key, value in entries:
        yield (*place, key), value
        yield from positions(value, (*place, key))


def canaries(body: bytes) -> bytes:
    """An answer with a canary in each position that has a text; one that is not JSON becomes a canary itself."""
    data = _data(body)
    return CANARY.encode() * 3 if data is None else json.dumps(_all_canaries(data)).encode()


def _all_canaries(data: Any) -> Any:
    if isinstance(data, str):
        return f"{CANARY}-{len(data)}"
    if isinstance(data, dict):
        return {key: _all_canaries(value) for key, value in data.items()}
    return [_all_canaries(item) for item in data] if isinstance(data, list) else data


def _half(body: bytes) -> bytes:
    return body[: max(len(body) * 2 // 3, body.find(CANARY.encode()) + len(CANARY) + 5)]


def _html(answer: Answer) -> bytes:
    return b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>" + canaries(answer.body) + b"</body></html>"


def _error_of_lists(answer: Answer) -> bytes:
    texts = json.loads(
        canaries(json.dumps([text for _, text in positions(_data(answer.body)) if isinstance(text, str)]).encode())
    )
    return json.dumps(
        {"error": texts, "errors": {"code": texts}, "Message": texts, "error_description": texts}
    ).encode()


def _body(body: bytes) -> Change:
    return lambda answer: Answer(answer.status, body, answer.type)


def _putting(value: Any) -> Callable[[Any, Any], None]:
    def put(holder: Any, key: Any) -> None:
        holder[key] = value

    return put


def _part(place: tuple[Any, ...], edit: Callable[[Any, Any], object]) -> Change:
    def change(answer: Answer) -> Answer:
        data = _data(answer.body)
        holder = data
        try:
            for key in place[:-1]:
                holder = holder[key]
            _ = holder[place[-1]]
        except (KeyError, IndexError, TypeError):
            return answer  # this run's answer has no such position
        edit(holder, place[-1])
        return Answer(answer.status, json.dumps(data).encode(), answer.type)

    return change
