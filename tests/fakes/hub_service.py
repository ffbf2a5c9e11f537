"""The simulated hub on its own, without TLS and without registries, for tests of what it answers."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from fakes.other_client import signature

from manifestgen.sandbox.device.devices import Pull
from manifestgen.sandbox.hub import service as hub
from manifestgen.sandbox.hub.auth import policy_key
from manifestgen.sandbox.registry.pull import PullResult
from manifestgen.sandbox.world import Pace, Store, World

QUICK = Pace(image_build=0.0, pull=0.0, start=0.0, retry=0.01)
VERSION = "2021-04-12"
DIGEST = "sha256:" + "a" * 64


@dataclass
class Answer:
    """An answer of the hub."""

    status: int
    headers: Mapping[str, str]
    json: Any

    @property
    def code(self) -> str:
        return self.headers.get("iothub-errorcode", "")


@dataclass
class Images:
    """Registries that have every image but those named here."""

    problems: dict[str, str] = field(default_factory=dict)
    platforms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pulled: list[tuple[str, Mapping[str, str] | None]] = field(default_factory=list)

    async def pull(self, world: World, image: str, credential: Mapping[str, str] | None) -> PullResult:
        self.pulled.append((image, credential))
        problem = self.problems.get(image)
        return PullResult(error=problem) if problem else PullResult("", DIGEST, self.platforms.get(image, ()))


class HubService:
    """The hub under test."""

    def __init__(self, client: Any, world: World, images: Images) -> None:
        self._client = client
        self.world = world
        self.images = images

    def token(self, policy: str = "iothubowner", *, audience: str | None = None, ttl: int = 3600) -> str:
        """A signature made by the service SDK itself, where there is one."""
        host = f"localhost:{self._client.port}"
        return signature(audience or host, policy_key(self.world, policy), policy, ttl)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = VERSION,
        raw: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Ask the hub; `If_Match="…"` gives the header `If-Match`."""
        sent = {"Authorization": self.token(), **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        address = f"http://localhost:{self._client.port}{path}"
        query = {} if version is None else {"api-version": version}
        async with self._client.session.request(method, address, params=query, data=data, headers=sent) as response:
            text = await response.text()
            return Answer(response.status, response.headers, json.loads(text) if text else None)

    async def get(self, path: str) -> Any:
        """The JSON of a GET that must work."""
        answer = await self.call("GET", path)
        assert answer.status == 200, answer
        return answer.json

    async def apply(self, content: Any, device: str = "edge-01") -> Answer:
        return await self.call("POST", f"/devices/{device}/applyConfigurationContent", content)

    async def reported(self, module: str = "$edgeAgent", device: str = "edge-01") -> Any:
        return (await self.get(f"/twins/{device}/modules/{module}"))["properties"]["reported"]

    async def until(self, done: Callable[[Any], bool], module: str = "$edgeAgent", device: str = "edge-01") -> Any:
        """Reported properties, once they are as told."""
        for _ in range(4000):
            reported = await self.reported(module, device)
            if done(reported):
                return reported
            await asyncio.sleep(0.005)
        reported.pop("$metadata", None)
        raise AssertionError(f"never came: {json.dumps(reported)}")

    async def settled(self, code: int = 200, device: str = "edge-01") -> Any:
        """What edgeAgent reports, once it is done and has come to this code for the desired properties of now.

        Read where the hub keeps it, in one go with whether the agent is done: the first report of a version still shows
        the containers of before, and an answer over HTTP may be older than the end of the work.
        """
        for _ in range(4000):
            twin = (self.world.store.get("hub:modules", device) or {}).get("$edgeAgent", {}).get("twin")
            if twin is not None and not self.world.tasks:
                reported = twin["reported"]["value"]
                came = reported.get("lastDesiredVersion"), reported.get("lastDesiredStatus", {}).get("code")
                if came == (twin["desired"]["version"], code):
                    return reported
            await asyncio.sleep(0.005)
        raise AssertionError(f"never came: {json.dumps(twin)}")

    async def add(self, device: str, *, edge: bool = True, tags: Any = None) -> Any:
        answer = await self.call("PUT", f"/devices/{device}", {"deviceId": device, "capabilities": {"iotEdge": edge}})
        assert answer.status == 200, answer
        if tags:
            answer = await self.call("PATCH", f"/twins/{device}", {"tags": tags})
            assert answer.status == 200, answer
        return answer.json


def with_hub(
    work: Callable[[HubService], Coroutine[Any, Any, None]],
    *,
    store: Store | None = None,
    pace: Pace = QUICK,
    pull: Pull | None = None,
    modules: str = "simulate",
    folder: Path | None = None,
) -> None:
    """Run a test against a hub of its own; with another `pull`, its devices ask the registries in its world.

    With `modules="run"` they run the modules whose images have files; `folder` keeps these from one hub to the next.
    """

    async def run() -> None:
        images = Images()
        with tempfile.TemporaryDirectory() as temporary:
            world = World(store or Store(), folder or Path(temporary), pace=pace, modules=modules)
            server = TestServer(hub.create(world, pull or images.pull), host="127.0.0.1")
            async with TestClient(server) as client:
                await work(HubService(client, world, images))
            for task in tuple(world.tasks):
                task.cancel()
            await asyncio.gather(*world.tasks, return_exceptions=True)
        if store is None:
            world.store.close()

    asyncio.run(run())


def module(image: str = "mcr.microsoft.com/sensor:1.0", **more: Any) -> dict[str, Any]:
    """A user module as a manifest has it."""
    settings = {"image": image, "createOptions": more.pop("createOptions", "{}")}
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings, **more}


def content(modules: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A manifest with these user modules; `credentials`, `routes`, `twins`, `agent_schema`, `hub_options` as given."""
    hub_options = more.get("hub_options", "{}")
    agent = {
        "schemaVersion": more.get("agent_schema", "1.1"),
        "runtime": {"type": "docker", "settings": {"registryCredentials": more.get("credentials", {})}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}},
            "edgeHub": module("mcr.microsoft.com/azureiotedge-hub:1.6", createOptions=hub_options),
        },
        "modules": dict(modules or {}),
    }
    edge_hub = {
        "schemaVersion": "1.1",
        "routes": more.get("routes", {"up": "FROM /messages/* INTO $upstream"}),
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    twins = {name: {"properties.desired": value} for name, value in more.get("twins", {}).items()}
    return {
        "modulesContent": {
            "$edgeAgent": {"properties.desired": agent},
            "$edgeHub": {"properties.desired": edge_hub},
            **twins,
        }
    }
