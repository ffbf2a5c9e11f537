"""Faults that can be switched on: for requests (`Faults`), for image builds, for devices and their modules.

Request faults are kept in memory and end with the sandbox. Build and device faults are state, in `World.store`:

    kind            key         value
    fault           image-build {"times": 1, "log": ["line", …], "message": "…"}
    device-control  DEVICE      {"online": bool, "modules": {MODULE: {…, see `ModuleFault`}}}, or one of the two

The device `*` means all devices, or a fixed share of them, chosen by ID. A fault of a named device overrides it.

Services do not read these documents; they call `build_failure`, `device_online` and `module_fault`.
"""

from __future__ import annotations

import asyncio
import random
import re
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, get_args

from aiohttp import web

from manifestgen.sandbox.error_response import error_response
from manifestgen.sandbox.proxy import reset
from manifestgen.sandbox.traffic import Handler
from manifestgen.sandbox.world import World

# Number of pieces in which a slow response is sent.
_DRIPS = 20

EVERY_DEVICE = "*"

Kind = Literal["status", "reset", "reset_after", "latency", "slow", "truncate", "silence", "drip", "continue"]
ModuleTrouble = Literal["pull", "exit", "create"]


@dataclass
class RequestFault:
    """A fault, and the requests that it applies to.

    Attributes:
        kind: `status` responds with `status` in the service's own format and does not handle the request; `reset`
            resets the connection before the request is handled; `reset_after` resets it afterwards, so only the
            response is lost; `latency` waits `seconds` first; `slow` takes `seconds` to send the response body, piece
            by piece; `truncate` sends half of the response body, then closes the connection. Until the client gives
            up, `silence` sends nothing, `drip` a header byte by byte, and `continue` one `100 Continue` after the
            other, both every `seconds`; the request is not handled.
        host: regular expression that the request's host must match in full; empty matches all. The same goes for
            `method`; `path` may match anywhere in the path.
        after: number of matching requests to let through first.
        times: number of requests to hit; None for all.
        probability: probability that a matching request is hit, from 0 to 1.
        seed: of the random numbers for `probability`: with the same seed, the same requests in the same order are hit.
        retry_after: the header `Retry-After` of a `status` response, in seconds.
        code: the service's error code in a `status` response; the usual code for the status if empty.
        message: the service's error message in a `status` response.
    """

    kind: Kind
    host: str = ""
    method: str = ""
    path: str = ""
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    seed: int = 0
    status: int = 503
    retry_after: int | None = None
    code: str = ""
    message: str = ""
    seconds: float = 1.0
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    seen: int = 0
    hit: int = 0
    dice: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - must be repeatable, not secret

    def strikes(self, request: web.Request) -> bool:
        """Whether the fault hits this request; counts the request."""
        spent = self.times is not None and self.hit >= self.times
        if spent or not self._matches(request):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.probability < 1 and self.dice.random() >= self.probability):
            return False
        self.hit += 1
        return True

    def _matches(self, request: web.Request) -> bool:
        host = request.host.partition(":")[0]
        return (
            (not self.host or re.fullmatch(self.host, host, re.IGNORECASE) is not None)
            and (not self.method or re.fullmatch(self.method, request.method, re.IGNORECASE) is not None)
            and (not self.path or re.search(self.path, request.path) is not None)
        )


def parse_fault(data: Mapping[str, Any]) -> RequestFault:
    """Read a fault from JSON; `match` may group host, method and path. Raises ValueError with the reason."""
    flat = {**data.get("match", {}), **{key: value for key, value in data.items() if key != "match"}}
    flat.pop("id", None)
    if flat.get("times") == "forever":
        flat["times"] = None
    if flat.get("kind") not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, not {flat.get('kind')!r}")
    types: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("kind", "host", "method", "path", "code", "message"), (str,)),
        **dict.fromkeys(("after", "status", "seed"), (int,)),
        **dict.fromkeys(("times", "retry_after"), (int, type(None))),
        **dict.fromkeys(("seconds", "probability"), (int, float)),
    }
    for key, value in flat.items():
        if key not in types:
            raise ValueError(f"unknown key {key!r}; known are match, {', '.join(types)}")
        if isinstance(value, bool) or not isinstance(value, types[key]):
            raise ValueError(f"{key} must be {' or '.join(kind.__name__ for kind in types[key])}, not {value!r}")
    if not 0 <= flat.get("probability", 1) <= 1:
        raise ValueError(f"probability must be from 0 to 1, not {flat['probability']!r}")
    for key in ("host", "method", "path"):
        try:
            re.compile(flat.get(key, ""))
        except re.error as error:
            raise ValueError(f"{key} is not a regular expression: {error}") from error
    return RequestFault(**flat)


def view(fault: RequestFault) -> dict[str, Any]:
    """A fault as JSON."""
    return {one.name: getattr(fault, one.name) for one in fields(fault) if one.init}


class Faults:
    """The active request faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._rules: list[RequestFault] = []

    @property
    def rules(self) -> Sequence[RequestFault]:
        """All faults, including used-up ones, with the number of requests each has matched and hit."""
        return tuple(self._rules)

    def add(self, fault: RequestFault) -> None:
        """Add a fault."""
        self._rules.append(fault)

    def clear(self, fault_id: str | None = None) -> None:
        """Remove one fault, or all."""
        self._rules = [rule for rule in self._rules if fault_id is not None and rule.id != fault_id]

    async def strike(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request with the faults that hit it; the first fault other than `latency` decides the outcome."""
        for rule in tuple(self._rules):
            if not rule.strikes(request):
                continue
            if rule.kind == "latency":
                if request.content_type == "application/json":
                    await request.read()  # the service has the request, even if its client gives up now
                await asyncio.sleep(rule.seconds)
            elif rule.kind == "status":
                async for _ in request.content.iter_any():
                    pass  # a throttling service still reads the request
                return _status_response(rule, request)
            elif rule.kind == "reset":
                return _drop(request)
            elif rule.kind == "reset_after":
                await _handle(request, handler)
                return _drop(request)
            elif rule.kind in _ENDLESS:
                return await _hold(request, *_ENDLESS[rule.kind], rule.seconds)
            elif rule.kind == "slow":
                return await _drip(request, await _handle(request, handler), rule.seconds)
            else:
                return await _truncate(request, await _handle(request, handler))
        return await handler(request)


async def _handle(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return error


def _status_response(rule: RequestFault, request: web.Request) -> web.Response:
    response = error_response(request.host, rule.status, rule.message, code=rule.code)
    if rule.retry_after is not None:
        response.headers["Retry-After"] = str(rule.retry_after)
    return response


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        reset(request.transport)
    return web.Response(status=500)  # never delivered: the connection is gone


async def _drip(request: web.Request, response: web.StreamResponse, seconds: float) -> web.StreamResponse:
    """Send the body in pieces, so a client's timeout for a single read does not trigger."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or not body:
        await asyncio.sleep(seconds)
        return response
    dripping = web.StreamResponse(status=response.status, headers=response.headers)
    dripping.content_length = len(body)
    await dripping.prepare(request)
    size = -(-len(body) // _DRIPS)
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / _DRIPS)
        await dripping.write(body[start : start + size])
    await dripping.write_eof()
    return dripping


# The first piece, and the one that is repeated.
_ENDLESS: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "silence": (b"", b""),
    "drip": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
# Seconds between two looks whether the client is still there.
_LOOK = 0.05


async def _hold(request: web.Request, first: bytes, piece: bytes, seconds: float) -> web.StreamResponse:
    async for _ in request.content.iter_any():
        pass
    transport, pause = request.transport, seconds if piece else _LOOK
    if transport is not None:
        transport.write(first)
        while not transport.is_closing():
            await asyncio.sleep(pause)
            transport.write(piece)
    return web.Response(status=500)  # never delivered: the connection is gone


async def _truncate(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or not body:
        # Without a body, or after a streamed one, only the connection can be cut.
        return _drop(request)
    cut = web.StreamResponse(status=response.status, headers=response.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut


@dataclass(frozen=True)
class BuildFailure:
    """A planned failure of an image build: the last lines of its log and the service's error message."""

    log: Sequence[str]
    message: str


def fail_builds(world: World, *, log: Sequence[str], message: str, times: int) -> None:
    """Make the next `times` image builds fail."""
    world.store.put("fault", "image-build", {"times": times, "log": list(log), "message": message})


def build_failure(world: World) -> BuildFailure | None:
    """The planned failure of the image build that starts now, or None. Call it once per build."""
    fault = world.store.get("fault", "image-build")
    if fault is None:
        return None
    if fault["times"] <= 1:
        world.store.delete("fault", "image-build")
    else:
        world.store.put("fault", "image-build", {**fault, "times": fault["times"] - 1})
    return BuildFailure(tuple(fault["log"]), fault["message"])


@dataclass(frozen=True)
class ModuleFault:
    """How a module of a simulated device fails.

    Attributes:
        kind: `pull` fails the pull with `message`; `create` fails the container's creation with `message`, as Docker
            does for a port in use; `exit` starts, then exits with `exit_code`, again after each restart.
        image: only modules with this image fail; empty for any.
        share: of all devices, from 0 to 1, for a fault of the device `*`.
    """

    kind: ModuleTrouble
    message: str = ""
    exit_code: int = 1
    image: str = ""
    share: float = 1.0


def set_device_online(world: World, device_id: str, online: bool) -> None:
    """Disconnect a simulated device from the hub, or reconnect it."""
    _update_device(world, device_id, online=online)


def device_online(world: World, device_id: str) -> bool:
    """Whether a simulated device is connected; devices are, unless they were disconnected."""
    states = (_device(world, control).get("online") for control in (device_id, EVERY_DEVICE))
    return next((online for online in states if online is not None), True)


def set_module_fault(world: World, device_id: str, module: str, fault: ModuleFault | None) -> None:
    """Make a module fail from now on; None ends that. `*` means every module."""
    modules = dict(_device(world, device_id).get("modules", {}))
    modules.pop(module, None)
    if fault is not None:
        modules[module] = asdict(fault)
    _update_device(world, device_id, modules=modules)


def module_fault(world: World, device_id: str, module: str, image: str = "") -> ModuleFault | None:
    """How the module fails, or None: because of a fault that was set, or because its image cannot start."""
    for control in (device_id, EVERY_DEVICE):
        modules = _device(world, control).get("modules", {})
        data = modules.get(module) or modules.get("*")
        if data is None or (data["image"] and image and data["image"] != image):
            continue
        if control == device_id or _is_among(device_id, data["share"]):
            return ModuleFault(**data)
    # Azure ML builds record which images cannot start, such as one without its entry script.
    cannot_start = world.store.get("start-failure", image) if image else None
    if cannot_start is None:
        return None
    return ModuleFault("exit", cannot_start["message"], cannot_start["exit_code"], image)


def _is_among(device_id: str, share: float) -> bool:
    """Whether a device belongs to a fixed share of all devices, chosen by ID."""
    return zlib.crc32(device_id.encode()) < share * 2**32


def _device(world: World, device_id: str) -> dict[str, Any]:
    return world.store.get("device-control", device_id) or {}


def _update_device(world: World, device_id: str, **changes: Any) -> None:
    world.store.put("device-control", device_id, {**_device(world, device_id), **changes})
