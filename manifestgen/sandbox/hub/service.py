"""The simulated IoT hub: its service REST API and its edge devices.

Based on the contracts of azure-iot-hub 2.7 and az's IoT extension. Each group of requests has its own module here;
`device.devices` simulates the devices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from manifestgen.sandbox.device.devices import Agents, Pull
from manifestgen.sandbox.device.edges import Edges
from manifestgen.sandbox.hub import deployments, identities, methods, properties, queries
from manifestgen.sandbox.hub.auth import POLICIES, policy_key
from manifestgen.sandbox.hub.deployments import Engine
from manifestgen.sandbox.hub.documents import new_device, sas_authentication, system_modules
from manifestgen.sandbox.hub.errors import HubError
from manifestgen.sandbox.hub.requests import Route, guarded
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.tally import Tallies
from manifestgen.sandbox.hub.throttle import Throttle
from manifestgen.sandbox.registry.pull import pull as pull_image
from manifestgen.sandbox.world import World

# `localhost` for clients that cannot use a proxy.
HOSTS = ("*.azure-devices.net", "*.service.azure-devices.net", "localhost")

_LARGEST_BODY = 4 * 1024 * 1024


def create(world: World, pull: Pull = pull_image) -> web.Application:
    """Create the hub's application; its devices start with it and pull their images with `pull`."""
    for policy in POLICIES:
        policy_key(world, policy)
    store = HubStore(world)
    agents = Agents(store, pull)
    engine = Engine(store)
    store.desired_changed = agents.wake
    store.device_changed = engine.evaluate
    store.devices_added = engine.devices_added
    tallies = Tallies(store)
    store.touched = tallies.touched
    _register_first_device(store)
    app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_only_this_hub(world)])
    throttle = Throttle(world)
    world.views["hub-requests"] = lambda: throttle.counts
    world.views["modules"] = agents.edges.describe
    for route in _routes(store, engine, tallies, agents.edges):
        app.router.add_route(route.method, route.path, guarded(world, throttle, route))

    async def devices(_: web.Application) -> AsyncIterator[None]:
        agents.start()
        engine.start()
        yield
        agents.stop()
        await agents.edges.stop_all()

    app.cleanup_ctx.append(devices)
    return app


def _routes(store: HubStore, engine: Engine, tallies: Tallies, edges: Edges) -> Sequence[Route]:
    # Fixed paths before paths with an ID in the same place.
    return [
        *queries.routes(store, tallies),
        *deployments.routes(store, engine, tallies),
        *identities.routes(store),
        *methods.routes(store, edges),
        *properties.routes(store),
    ]


def _register_first_device(store: HubStore) -> None:
    """Create the device of a new sandbox; if it was deleted, it does not come back."""
    device_id = store.world.names.device
    if store.world.store.get("hub-setting", "first-device") is not None:
        return
    store.world.store.put("hub-setting", "first-device", {"id": device_id})
    store.put_modules(device_id, system_modules(store.now))
    store.put_device(device_id, new_device(device_id, store.now, sas_authentication(), edge=True))
    store.desired_changed(device_id)


def _only_this_hub(world: World):  # type: ignore[no-untyped-def] # noqa: ANN202 - aiohttp's own type is private
    @web.middleware
    async def check(request: web.Request, handler):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        name = request.host.partition(":")[0].lower()
        if name not in (world.names.hub_host, world.names.hub_service_host, "localhost", "127.0.0.1"):
            return HubError(404, "IotHubNotFound", f"No hub answers under {name}.").response()
        return await handler(request)

    return check
