"""The sandbox's admin API: plain HTTP on loopback, JSON in and out.

Its address, with the token that each request needs, is in `MANIFESTGEN_SANDBOX`: `http://sandbox:TOKEN@127.0.0.1:PORT`.

    GET    /                        the served hosts, each with its TLS port on localhost
    GET    /environment             the environment variables that point a client at the sandbox
    GET    /state                   the state folder, and the number of documents by kind
    GET    /requests                the last requests; DELETE clears them
    GET    /unserved                requests that the sandbox does not support
    GET    /faults                  the request faults; POST adds one, DELETE removes all
    DELETE /faults/ID               remove one
    POST   /tokens/expire           expire every token issued so far
    PUT    /tokens/lifetime         {"seconds": 3600}: lifetime of tokens issued from now on
    POST   /builds/fail             {"times": 1, "log": ["line", …], "message": "…"}: make the next image builds fail
    PUT    /devices/ID              {"online": false}: disconnect a simulated device; true reconnects it.
                                    {"modules": "run" | "simulate"}: whether its modules run, from the next on that is
                                    created
    POST   /devices/ID/agent        {"kind": "timeout" | "lost" | "late" | "restart" | "old", "method", "times",
                                    "after", "seconds"}: a fault of edgeAgent's direct methods; DELETE removes all
    POST   /devices/ID/modules/M/log  {"lines": ["…"], "seconds": 0.1}: what a simulated module has printed, so many
                                    seconds apart, the last line now
    GET    /modules                 the devices that run modules: their processes, logs, waiting messages
    GET    /messages                what reached the hub: ?device=ID&after=NUMBER&limit=1000; without a device, how many
                                    each one has sent
    PUT    /devices/ID/modules/M    {"kind": "pull" | "create" | "exit", "message", "exit_code", "image"}; DELETE;
                                    * as ID for all devices, with "share": 0.05 for five in a hundred
    GET    /hub                     the hub's size and limits, and the accepted and rejected requests of each group
    PUT    /hub                     {"tier": "S1", "units": 1, "throttled": true, "speed": 20, "retry_after": null,
                                    "rates": {}, "agents": true}: omitted keys stay; DELETE restores the defaults
    GET    /hub/applied             fingerprints of the manifests set on single devices, ?after=ID&limit=10000
    POST   /devices                 {"id": "truck-{number}", "count": 100000, "first": 1, "tags": {…}}: many devices
    PUT    /registries/NAME         {"admin_enabled": false}: disable the admin user, true enables it; creates a missing
                                    registry, with optional "group" and "login_server"
    GET    /registries/NAME/tasks   how the registry builds images; PUT changes it: {"allowed", "mode", "firewall",
                                    "full", "agent_pools", "source_limit", "sas_seconds", "runs"}: omitted keys stay
    PUT    /registries/NAME/tokens/TOKEN/password1  {"expiry": "2001-01-01T00:00:00Z"}: change a password's expiry
    PUT    /vaults/NAME             {"denies": "role" | "policy" | "firewall" | "private" | ""}: the reason for which
                                    the key vault rejects every caller; creates a missing vault, with optional "host"
    PUT    /vaults/NAME/secrets/S   {"value": "…", "enabled": true, "not_before", "expires": "2001-01-01T00:00:00Z"}
    PUT    /images/HOST/REPO:TAG    {"architecture": "amd64"} or {"platforms": ["linux/amd64", "linux/arm/v7"]}, with
                                    {"labels": {…}, "docker": true, "layer_bytes": 4096}: an image to pull
    GET    /federation              the federated credentials of the service principal, by name
    PUT    /federation/NAME         {"issuer": "…", "subject": "…"}, with optional "audience": creates or replaces one;
                                    DELETE
    GET    /pipelines/github        ?subject=repo:contoso/edge:environment:production: the variables of a job that may
                                    ask for a token with this subject; `azure-pipelines` for one of Azure Pipelines
    POST   /stop                    stop the sandbox

A request fault is `{"kind": …, "match": {"host", "method", "path"}, "after", "times", …}`. The keys of `match` are
regular expressions; `path` may match anywhere in the path; a missing key matches everything. `times` is a number or
`"forever"` (default 1). `after` is the number of matching requests to let pass first. Kinds: `status` (with `status`,
`retry_after`, `code`, `message`), `reset` (before the request is handled), `reset_after` (handled, but the response is
lost), `latency` (`seconds` before it is handled), `slow` (`seconds` for the response body, piece by piece), `truncate`
(half of the body). Invalid input returns 400 and `{"error": "…"}`.

A request without the token returns 401. One with another host's name in `Host`, or with an `Origin`, returns 403: it
comes from a web page, which a browser on this machine was made to send here.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from manifestgen.sandbox import accounts, entra, faults, key_vault, pipelines
from manifestgen.sandbox.acr_tasks import settings
from manifestgen.sandbox.control import Sandbox
from manifestgen.sandbox.device import agent_faults, agent_logs, edges
from manifestgen.sandbox.hub import applied, messages, series, store, throttle
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.traffic import Handler

#: The user's name before the token in the admin API's address.
USER = "sandbox"

_LARGEST_LAYER = 64 << 20


def create(sandbox: Sandbox) -> web.Application:
    """The admin API of a sandbox."""
    app = web.Application(middlewares=[_explain, _guard(sandbox.admin_token)])
    app.add_routes(
        [
            *_about(sandbox),
            *_requests(sandbox),
            *_services(sandbox),
            *_hub(sandbox),
            *_devices(sandbox),
            *_vaults(sandbox),
            *pipelines.admin_routes(sandbox.world),
        ]
    )
    return app


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)


def _guard(token: str) -> Middleware:
    expected = b"Basic " + base64.b64encode(f"{USER}:{token}".encode())

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        address = request.transport.get_extra_info("sockname") if request.transport else None
        if address is None or request.host not in (f"127.0.0.1:{address[1]}", f"localhost:{address[1]}"):
            return _refusal(403, f"the admin API is not {request.host!r}: use the address in MANIFESTGEN_SANDBOX")
        if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none":
            return _refusal(403, "the admin API takes no requests from web pages")
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, expected):
            return _refusal(401, "no token, or a wrong one: use the whole address in MANIFESTGEN_SANDBOX")
        return await handler(request)

    return guard


def _refusal(status: int, words: str) -> web.Response:
    return web.json_response({"error": words}, status=status)


def _about(sandbox: Sandbox) -> list[web.RouteDef]:
    async def index(_: web.Request) -> web.Response:
        return web.json_response({"service": "manifestgen sandbox, not Azure", "hosts": sandbox.ports})

    async def environment(_: web.Request) -> web.Response:
        return web.json_response(sandbox.environment)

    async def state(_: web.Request) -> web.Response:
        return web.json_response({"folder": str(sandbox.folder), "documents": sandbox.world.store.counts()})

    async def stop(_: web.Request) -> web.Response:
        sandbox.stopping.set()
        return web.json_response({})

    return [
        web.get("/", index),
        web.get("/environment", environment),
        web.get("/state", state),
        web.post("/stop", stop),
    ]


def _requests(sandbox: Sandbox) -> list[web.RouteDef]:
    async def requests(_: web.Request) -> web.Response:
        return web.json_response(list(sandbox.traffic.requests))

    async def forget(_: web.Request) -> web.Response:
        sandbox.traffic.clear()
        return web.json_response({})

    async def unserved(_: web.Request) -> web.Response:
        return web.json_response(list(sandbox.traffic.unserved))

    async def rules(_: web.Request) -> web.Response:
        return web.json_response([faults.view(rule) for rule in sandbox.faults.rules])

    async def add(request: web.Request) -> web.Response:
        fault = faults.parse_fault(await _body(request))
        sandbox.faults.add(fault)
        return web.json_response(faults.view(fault), status=201)

    async def clear(request: web.Request) -> web.Response:
        sandbox.faults.clear(request.match_info.get("id"))
        return web.json_response({})

    return [
        web.get("/requests", requests),
        web.delete("/requests", forget),
        web.get("/unserved", unserved),
        web.get("/faults", rules),
        web.post("/faults", add),
        web.delete("/faults", clear),
        web.delete("/faults/{id}", clear),
    ]


def _services(sandbox: Sandbox) -> list[web.RouteDef]:
    world = sandbox.world

    async def fail_builds(request: web.Request) -> web.Response:
        body = await _body(request)
        log = body.get("log", ["Step 3/9 : RUN conda env create -f myenv.yml", "ResolvePackageNotFound"])
        if not isinstance(log, list) or not all(isinstance(line, str) for line in log):
            raise ValueError(f"log must be a list of lines, not {log!r}")
        faults.fail_builds(
            world,
            log=log,
            message=_typed(body, "message", str, "Image build failed. See the image build log for details."),
            times=_typed(body, "times", int, 1),
        )
        return web.json_response({})

    async def expire(_: web.Request) -> web.Response:
        entra.expire_tokens(world)
        return web.json_response({})

    async def lifetime(request: web.Request) -> web.Response:
        entra.set_token_lifetime(world, _typed(await _body(request), "seconds", int))
        return web.json_response({})

    async def registry(request: web.Request) -> web.Response:
        body, name = await _body(request), request.match_info["name"]
        known = accounts.registry(world, name) or {"group": "", "login_server": "", "admin_enabled": True}
        accounts.add_registry(
            world,
            name,
            group=_typed(body, "group", str, known["group"]),
            login_server=_typed(body, "login_server", str, known["login_server"]),
            admin=_typed(body, "admin_enabled", bool, known["admin_enabled"]),
        )
        return web.json_response(accounts.registry(world, name))

    async def tasks(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if accounts.registry(world, name) is None:
            raise ValueError(f"there is no registry {name!r}; create it with PUT /registries/NAME")
        changes = await _body(request) if request.method == "PUT" else {}
        return web.json_response(settings.put(world, name, changes))

    async def image(request: web.Request) -> web.Response:
        host, name = request.match_info["host"], request.match_info["image"]
        repository, colon, tag = name.rpartition(":")
        if not colon:
            raise ValueError(f"an image must be REPOSITORY:TAG, not {name!r}")
        kind = _image_kind(await _body(request))
        return web.json_response({"digest": images.make_image(world, host.lower(), repository, tag, kind)})

    async def expire_password(request: web.Request) -> web.Response:
        name, token, password = (request.match_info[key] for key in ("name", "token", "password"))
        expiry = _typed(await _body(request), "expiry", str)
        return web.json_response({"expiry": accounts.set_password_expiry(world, name, token, password, expiry)})

    return [
        web.post("/builds/fail", fail_builds),
        web.post("/tokens/expire", expire),
        web.put("/tokens/lifetime", lifetime),
        web.put("/registries/{name}", registry),
        web.get("/registries/{name}/tasks", tasks),
        web.put("/registries/{name}/tasks", tasks),
        web.put("/registries/{name}/tokens/{token}/{password}", expire_password),
        web.put("/images/{host}/{image:.+}", image),
    ]


def _image_kind(body: Mapping[str, Any]) -> images.ImageKind:
    platforms = _typed(body, "platforms", list, [f"linux/{_typed(body, 'architecture', str, 'amd64')}"])
    if not platforms or not all(isinstance(platform, str) and 1 <= platform.count("/") <= 2 for platform in platforms):
        raise ValueError(f"platforms must be a list such as ['linux/amd64', 'linux/arm/v7'], not {platforms!r}")
    labels = _typed(body, "labels", dict, {})
    layer_bytes = _typed(body, "layer_bytes", int, 0)
    if layer_bytes and not 1024 <= layer_bytes <= _LARGEST_LAYER:
        raise ValueError(f"layer_bytes must be from 1024 to {_LARGEST_LAYER}, not {layer_bytes}")
    return images.ImageKind(tuple(platforms), labels, _typed(body, "docker", bool, False), layer_bytes)


def _hub(sandbox: Sandbox) -> list[web.RouteDef]:
    world = sandbox.world

    def current() -> web.Response:
        hub = throttle.size(world)
        limits = {group: asdict(limit) for group, limit in hub.limits().items()}
        agents = store.agents_enabled(world)
        requests = world.views.get("hub-requests", dict)()
        return web.json_response({**asdict(hub), "agents": agents, "limits": limits, "requests": requests})

    async def show(_: web.Request) -> web.Response:
        return current()

    async def change(request: web.Request) -> web.Response:
        body = dict(await _body(request))
        agents = _typed(body, "agents", bool, store.agents_enabled(world))
        body.pop("agents", None)
        throttle.resize(world, body)
        store.enable_agents(world, agents)
        return current()

    async def reset(_: web.Request) -> web.Response:
        throttle.resize(world, asdict(throttle.Size()))
        store.enable_agents(world, True)
        return current()

    async def what_was_applied(request: web.Request) -> web.Response:
        limit = request.query.get("limit", "10000")
        if not limit.isdecimal() or int(limit) == 0:
            raise ValueError(f"limit must be a number of at least 1, not {limit!r}")
        return web.json_response(applied.applied(world, after=request.query.get("after", ""), limit=int(limit)))

    async def add(request: web.Request) -> web.Response:
        body = await _body(request)
        made = series.register(
            world,
            _typed(body, "id", str),
            _typed(body, "count", int),
            first=_typed(body, "first", int, 1),
            tags=_typed(body, "tags", dict, {}),
        )
        return web.json_response(asdict(made), status=201)

    return [
        web.get("/hub", show),
        web.put("/hub", change),
        web.delete("/hub", reset),
        web.get("/hub/applied", what_was_applied),
        web.post("/devices", add),
    ]


def _devices(sandbox: Sandbox) -> list[web.RouteDef]:
    world = sandbox.world

    async def device(request: web.Request) -> web.Response:
        body, device_id = await _body(request), request.match_info["id"]
        modules = _typed(body, "modules", str, "")
        if modules and modules not in (edges.RUN, edges.SIMULATE):
            raise ValueError(f"modules must be run or simulate, not {modules!r}")
        if modules:
            world.store.put("device-modules", device_id, modules)
        if "online" in body or not modules:
            faults.set_device_online(world, device_id, _typed(body, "online", bool))
        return web.json_response({})

    async def running(_: web.Request) -> web.Response:
        return web.json_response(world.views.get("modules", dict)())

    async def received(request: web.Request) -> web.Response:
        device_id = request.query.get("device")
        after, limit = (_number(request, "after", 0), _number(request, "limit", messages.MOST_AT_ONCE))
        if device_id is None:
            return web.json_response(messages.counts(world))
        found = messages.messages(world, device_id, after=after, limit=min(limit, messages.MOST_AT_ONCE))
        return web.json_response(
            {"device": device_id, "sent": messages.counts(world).get(device_id, 0), "messages": found}
        )

    async def module(request: web.Request) -> web.Response:
        body = await _body(request)
        kind = _typed(body, "kind", str)
        if kind not in ("pull", "create", "exit"):
            raise ValueError(f"kind must be pull, create or exit, not {kind!r}")
        fault = faults.ModuleFault(
            kind,
            _typed(body, "message", str, ""),
            _typed(body, "exit_code", int, 1),
            _typed(body, "image", str, ""),
            _share(body),
        )
        faults.set_module_fault(world, request.match_info["id"], request.match_info["module"], fault)
        return web.json_response({})

    async def clear_fault(request: web.Request) -> web.Response:
        faults.set_module_fault(world, request.match_info["id"], request.match_info["module"], None)
        return web.json_response({})

    async def agent_fault(request: web.Request) -> web.Response:
        agent_faults.add(world, request.match_info["id"], agent_faults.parse(await _body(request)))
        return web.json_response({}, status=201)

    async def clear_agent_faults(request: web.Request) -> web.Response:
        agent_faults.clear(world, request.match_info["id"])
        return web.json_response({})

    async def log(request: web.Request) -> web.Response:
        body = await _body(request)
        lines, seconds = _typed(body, "lines", list), body.get("seconds", 0)
        if not all(isinstance(line, str) for line in lines) or not isinstance(seconds, int | float):
            raise ValueError("lines must be a list of lines, and seconds a number")
        agent_logs.add(world, request.match_info["id"], request.match_info["module"], lines, seconds=seconds)
        return web.json_response({}, status=201)

    return [
        web.put("/devices/{id}", device),
        web.post("/devices/{id}/agent", agent_fault),
        web.delete("/devices/{id}/agent", clear_agent_faults),
        web.post("/devices/{id}/modules/{module}/log", log),
        web.get("/modules", running),
        web.get("/messages", received),
        web.put("/devices/{id}/modules/{module}", module),
        web.delete("/devices/{id}/modules/{module}", clear_fault),
    ]


def _vaults(sandbox: Sandbox) -> list[web.RouteDef]:
    world = sandbox.world

    def host_of(name: str) -> str:
        masks = (mask.removeprefix("*") for mask in key_vault.HOSTS)
        return next((f"{name}{mask}" for mask in masks if key_vault.serves(world, f"{name}{mask}")), "")

    async def vault(request: web.Request) -> web.Response:
        body, name = await _body(request), request.match_info["name"]
        host = _typed(body, "host", str, host_of(name))
        return web.json_response(key_vault.put_vault(world, name, host=host, denies=_typed(body, "denies", str, "")))

    async def secret(request: web.Request) -> web.Response:
        body, name, host = await _body(request), request.match_info["secret"], host_of(request.match_info["name"])
        if not host:
            raise ValueError(f"there is no vault {request.match_info['name']!r}; create it with PUT /vaults/NAME")
        attributes: dict[str, Any] = {"enabled": _typed(body, "enabled", bool, True)}
        for key, attribute in (("not_before", "nbf"), ("expires", "exp")):
            if key in body:
                attributes[attribute] = int(accounts.parse_time(_typed(body, key, str)))
        sent = {"value": _typed(body, "value", str), "attributes": attributes}
        try:
            made = key_vault.set_secret(world, host, name, sent)
        except key_vault.VaultError as error:
            raise ValueError(str(error)) from error
        return web.json_response({"id": made["id"]})

    return [web.put("/vaults/{name}", vault), web.put("/vaults/{name}/secrets/{secret}", secret)]


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        data = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError("the body must be a JSON object")
    return data


def _number(request: web.Request, key: str, default: int) -> int:
    text = request.query.get(key, str(default))
    if not text.isdecimal():
        raise ValueError(f"{key} must be a number, not {text!r}")
    return int(text)


def _share(body: Mapping[str, Any]) -> float:
    value = body.get("share", 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"share must be from 0 to 1, not {value!r}")
    return float(value)


def _typed(body: Mapping[str, Any], key: str, kind: type, default: Any = None) -> Any:
    value = body.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{key} must be {kind.__name__}, not {value!r}")
    return value
