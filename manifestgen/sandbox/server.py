"""A running sandbox: its services on loopback, the proxy in front of them, and the environment variables for clients.

Each service is a module with `HOSTS`, the host names that it serves (`*` matches any part), and `create(world)`, which
creates its aiohttp application. An optional `serves(world, host)` says which of those hosts exist. Each service has its
own TLS port. The proxy picks the port by the host that the client connects to, so a service never sees the requests of
another, whatever they look like.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
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

from manifestgen.edge.authority import Authority
from manifestgen.errors import InputError
from manifestgen.sandbox import accounts, blob, entra, key_vault, pipelines
from manifestgen.sandbox.admin import service as admin
from manifestgen.sandbox.aml import service as aml
from manifestgen.sandbox.arm import service as arm
from manifestgen.sandbox.environment import environment
from manifestgen.sandbox.error_response import error_response, unsupported
from manifestgen.sandbox.faults import Faults
from manifestgen.sandbox.hub import service as hub
from manifestgen.sandbox.proxy import Proxy, close_server, end_all, run_pending
from manifestgen.sandbox.registry import service as registry
from manifestgen.sandbox.traffic import Handler, Traffic
from manifestgen.sandbox.world import Store, World

_LOG = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 0.2


class Service(Protocol):
    """The interface of a service's module."""

    @property
    def HOSTS(self) -> tuple[str, ...]:
        """The host names, or patterns of host names, that the service serves."""
        ...

    def create(self, world: World) -> web.Application:
        """Create the service's application; background work starts in its `on_startup`."""
        ...


_SERVICES: Sequence[Service] = (entra, arm, registry, aml, blob, hub, key_vault, pipelines)


class Sandbox:
    """One sandbox. `start` it, give `environment` to clients, `stop` it.

    Args:
        state: folder that keeps the state between runs; by default a temporary one that `stop` removes.
        services: the services to run; all by default.
        modules: `run` if devices run the modules whose files the sandbox has, else `simulate`.

    Raises:
        InputError: the folder cannot be used, or another sandbox uses it.
    """

    def __init__(
        self, state: Path | None = None, services: Sequence[Service] | None = None, *, modules: str = "simulate"
    ) -> None:
        self._temporary = state is None
        self.folder = Path(tempfile.mkdtemp(prefix="manifestgen-sandbox-")) if state is None else state.resolve()
        self.home = self.folder / "home"
        blobs = self.folder / "blobs"
        self._lock = FileLock(self.folder / "lock", timeout=0)
        try:
            for folder in (self.folder, self.home, blobs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire()
            self.world = World(Store(self.folder / "state.sqlite"), blobs, modules=modules)
        except Timeout as error:
            words = "another sandbox uses this folder"
            raise InputError(words, where=str(self.folder), fix="stop it, or choose another folder") from error
        except (OSError, sqlite3.Error) as error:
            words = f"cannot write the sandbox's state to this folder: {error}"
            raise InputError(words, where=str(self.folder), fix="choose a folder that you can write to") from error
        accounts.add_first_registry(self.world)
        self.faults = Faults()
        self.traffic = Traffic()
        self.admin_token = secrets.token_urlsafe(24)
        self.stopping = asyncio.Event()
        self._services = _SERVICES if services is None else services
        self._ports: list[tuple[Service, int]] = []
        self._runners: list[web.AppRunner] = []
        self._servers: list[asyncio.Server] = []
        self._handshakes: set[asyncio.Task[Any]] = set()
        self._proxy = Proxy(self._route, self.traffic.note_unserved)
        self._environment: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point a client at this sandbox."""
        return dict(self._environment)

    @property
    def ports(self) -> dict[str, int]:
        """The served host names, or patterns of host names, each with its loopback TLS port."""
        return {mask: port for service, port in self._ports for mask in service.HOSTS}

    async def start(self) -> None:
        """Start everything; when it returns, all services accept requests."""
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
            admin=f"http://{admin.USER}:{self.admin_token}@127.0.0.1:{admin_port}",
            home=self.home,
        )

    async def stop(self) -> None:
        """Stop everything and remove temporary files."""
        self.stopping.set()
        await self._proxy.stop()
        for server in self._servers:
            await close_server(server)
        await end_all(self._handshakes)
        await end_all(self.world.tasks)
        for runner in self._runners:
            await runner.cleanup()
        await run_pending()
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
        # A client may keep its connection open as long as it runs, so stopping waits for none of them.
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        self._runners.append(runner)
        make = runner.server
        if make is None:
            raise AssertionError("it was set up above")

        def protocol() -> asyncio.Protocol:
            # Called by the task that accepts a connection and then waits for its TLS handshake. Nothing else tracks
            # that task: a client that connects and sends nothing would keep it waiting after the sandbox has stopped.
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
            async def respond(request: web.Request) -> web.StreamResponse:
                try:
                    return await handler(request)
                except web.HTTPException as error:
                    if request.match_info.http_exception is None:
                        raise
                    # The service has no such path, and did not respond to it itself.
                    return unsupported(request.host, error.status, request.method, request.path)
                except ConnectionError:
                    raise  # the client has disconnected
                except Exception:
                    # A bug in the sandbox: it is logged, and the client sees an outage of the service.
                    _LOG.exception("the sandbox failed at %s %s%s", request.method, request.host, request.path)
                    return error_response(request.host, 500, "The sandbox failed; its log says why.")

            async def strike(request: web.Request) -> web.StreamResponse:
                return await self.faults.strike(request, respond)

            return await self.traffic.log(request, strike)

        return around
