"""A running sandbox: its services on loopback, the proxy that leads to them, and what a client must know to use them.

Each service is a module with `HOSTS`, the host names it answers under (`*` stands for any part), and `create(world)`,
which makes its aiohttp application; `serves(world, host)`, where there is one, tells which of those hosts exist. Each
gets a TLS port of its own, and the proxy picks the port by the host that the client connects to; so a service never
sees another one's requests, whatever they look like.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import ssl
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware
from filelock import FileLock, Timeout

from manifestgen.errors import InputError
from manifestgen.sandbox import blob, entra, key_vault
from manifestgen.sandbox.aml import service as aml
from manifestgen.sandbox.arm import service as arm
from manifestgen.sandbox.certificates import Authority
from manifestgen.sandbox.environment import environment
from manifestgen.sandbox.faults import Faults
from manifestgen.sandbox.hub import service as hub
from manifestgen.sandbox.proxy import Proxy, close_server, end_all, turns
from manifestgen.sandbox.refusal import refusal
from manifestgen.sandbox.registry import service as registry
from manifestgen.sandbox.traffic import Handler, Traffic
from manifestgen.sandbox.world import Store, World

_LOG = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 0.2


class Service(Protocol):
    """What a service's module offers."""

    @property
    def HOSTS(self) -> tuple[str, ...]:
        """The host names, or masks of them, that it answers under."""
        ...

    def create(self, world: World) -> web.Application:
        """The service's application; background work starts in its `on_startup`."""
        ...


_SERVICES: Sequence[Service] = (entra, arm, registry, aml, blob, hub, key_vault)


class Sandbox:
    """One sandbox. `start` it, give `environment` to clients, `stop` it.

    Args:
        state: folder that keeps everything between runs; without it a temporary one that `stop` removes.
        services: the services to run, all by default.

    Raises:
        InputError: the folder cannot be used, or another sandbox uses it.
    """

    def __init__(self, state: Path | None = None, services: Sequence[Service] | None = None) -> None:
        self._temporary = state is None
        self.folder = Path(tempfile.mkdtemp(prefix="manifestgen-sandbox-")) if state is None else state.resolve()
        self.home = self.folder / "home"
        blobs = self.folder / "blobs"
        self._lock = FileLock(self.folder / "lock", timeout=0)
        try:
            for folder in (self.folder, self.home, blobs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire()
            self.world = World(Store(self.folder / "state.sqlite"), blobs)
        except Timeout as error:
            words = "another sandbox keeps its state here"
            raise InputError(words, where=str(self.folder), fix="stop it, or give another folder") from error
        except (OSError, sqlite3.Error) as error:
            words = f"cannot keep the sandbox's state here: {error}"
            raise InputError(words, where=str(self.folder), fix="give a folder that can be written to") from error
        self.faults = Faults()
        self.traffic = Traffic()
        self.stopping = asyncio.Event()
        self._services = _SERVICES if services is None else services
        self._ports: list[tuple[Service, int]] = []
        self._runners: list[web.AppRunner] = []
        self._servers: list[asyncio.Server] = []
        self._handshakes: set[asyncio.Task[Any]] = set()
        self._proxy = Proxy(self._route, self.traffic.refused)
        self._environment: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        return dict(self._environment)

    @property
    def ports(self) -> dict[str, int]:
        """The host names, or masks of them, that are served, each with its loopback TLS port."""
        return {mask: port for service, port in self._ports for mask in service.HOSTS}

    async def start(self) -> None:
        """Start everything; once it returns, all services answer."""
        from manifestgen.sandbox import admin

        authority = Authority()
        certificate = self.folder / "ca.pem"
        authority.write(certificate)
        context = authority.server_context(lambda host: self._port(host) is not None)
        for service in self._services:
            app = service.create(self.world)
            app.middlewares.insert(0, self._middleware())
            self._ports.append((service, await self._serve(app, context)))
        admin_port = await self._serve(admin.create(self), None)
        proxy_port = await self._proxy.start()
        self._environment = environment(
            self.world,
            proxy=f"http://127.0.0.1:{proxy_port}",
            certificate=certificate,
            admin=f"http://127.0.0.1:{admin_port}",
        )

    async def stop(self) -> None:
        """Stop everything and remove what is temporary."""
        self.stopping.set()
        await self._proxy.stop()
        for server in self._servers:
            await close_server(server)
        await end_all(self._handshakes)
        await end_all(self.world.tasks)
        for runner in self._runners:
            await runner.cleanup()
        await turns()
        self.world.store.close()
        self._lock.release()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def port(self, host: str) -> int:
        """The loopback TLS port behind a served host, for clients that cannot use a proxy. Raises LookupError."""
        port = self._port(host)
        if port is None:
            raise LookupError(f"the sandbox does not serve {host!r}")
        return port

    def _port(self, host: str) -> int | None:
        for service, port in self._ports:
            if any(fnmatchcase(host, mask) for mask in service.HOSTS):
                serves = getattr(service, "serves", None)
                return port if serves is None or serves(self.world, host) else None
        return None

    def _route(self, host: str, port: int) -> int | None:
        return self._port(host) if port == 443 else None

    async def _serve(self, app: web.Application, context: ssl.SSLContext | None) -> int:
        # A client may hold its connection open for as long as it lives: nothing waits for it at the end.
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        self._runners.append(runner)
        make = runner.server
        if make is None:
            raise AssertionError("it has been set up above")

        def protocol() -> asyncio.Protocol:
            # Called by the task that accepts a connection and then waits for its TLS handshake, of which nobody else
            # knows: a client that connects and says nothing would keep it waiting beyond the end.
            accepting = asyncio.current_task()
            if accepting is not None:
                self._handshakes.add(accepting)
                accepting.add_done_callback(self._handshakes.discard)
            return make()

        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def _middleware(self) -> Middleware:
        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            async def answer(request: web.Request) -> web.StreamResponse:
                try:
                    return await handler(request)
                except web.HTTPException as error:
                    if request.match_info.http_exception is None:
                        raise
                    # The service has no such path, and did not say so itself.
                    words = f"No route {request.method} {request.path} in this service."
                    return refusal(request.host, error.status, words)
                except ConnectionError:
                    raise  # the client has gone
                except Exception:
                    # A bug of the sandbox: it is told, and to the client it is an outage of the service.
                    _LOG.exception("the sandbox failed at %s %s%s", request.method, request.host, request.path)
                    return refusal(request.host, 500, "The sandbox failed; its log says why.")

            async def strike(request: web.Request) -> web.StreamResponse:
                return await self.faults.strike(request, answer)

            return await self.traffic.log(request, strike)

        return around
