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

from aiohttp import web
from aiohttp.typedefs import Middleware

from manifestgen.sandbox import faults
from manifestgen.sandbox.admin import devices, hub, pipelines, services
from manifestgen.sandbox.admin.values import body_of
from manifestgen.sandbox.control import Sandbox
from manifestgen.sandbox.traffic import Handler

#: The user's name before the token in the admin API's address.
USER = "sandbox"


def create(sandbox: Sandbox) -> web.Application:
    """The admin API of a sandbox."""
    app = web.Application(middlewares=[_explain, _guard(sandbox.admin_token)])
    app.add_routes(
        [
            *_about(sandbox),
            *_requests(sandbox),
            *services.routes(sandbox.world),
            *hub.routes(sandbox.world),
            *devices.routes(sandbox.world),
            *pipelines.routes(sandbox.world),
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
        fault = faults.parse_fault(await body_of(request))
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
