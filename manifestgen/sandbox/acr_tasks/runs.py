"""Runs of ACR Tasks: queued, started, running, over; each with a log that grows and an image that is pushed.

kind           key                value
acr-run        REGISTRY/NUMBER    the run, see `Run`; the number has leading zeros, so that keys sort
acr-run-count  REGISTRY           number of runs so far
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from manifestgen.sandbox import accounts, blob
from manifestgen.sandbox.acr_tasks import bases, push, settings, source
from manifestgen.sandbox.acr_tasks.bases import PullError
from manifestgen.sandbox.acr_tasks.build import Builder, Stopped
from manifestgen.sandbox.acr_tasks.dockerfile import DockerfileError, needed_images, parse
from manifestgen.sandbox.acr_tasks.image import Image
from manifestgen.sandbox.acr_tasks.push import RunFailed
from manifestgen.sandbox.acr_tasks.request import RunRequest
from manifestgen.sandbox.acr_tasks.source import Entry, SourceError
from manifestgen.sandbox.faults import build_failure
from manifestgen.sandbox.packages import SIMULATED, SWITCHED_OFF, in_background, install
from manifestgen.sandbox.world import World

_LOG = logging.getLogger(__name__)

#: Container of sources and logs in the sandbox's storage account.
CONTAINER: Final = "acr-tasks"
ACTIVE: Final = frozenset({"Queued", "Started", "Running"})

_TICK: Final = 0.05
# The value of the log's metadata `Complete`, by the run's final state.
_COMPLETE: Final = {
    "Succeeded": "successful",
    "Failed": "failed",
    "Canceled": "canceled",
    "Timeout": "timedout",
    "Error": "internalerror",
}


@dataclass(frozen=True)
class Run:
    """A run, as kept in the store.

    Attributes:
        id: such as `cb1`.
        registry: name of the registry.
        request: the fields of the `RunRequest`.
        cancelled: whether it is to be cancelled.
        outputs: the pushed images, in ARM's form.
    """

    id: str
    registry: str
    request: Mapping[str, Any]
    created: float
    status: str = "Queued"
    started: float | None = None
    finished: float | None = None
    updated: float = 0.0
    cancelled: bool = False
    error: str = ""
    outputs: Sequence[Mapping[str, str]] = field(default_factory=list)

    @property
    def log_path(self) -> str:
        """Path of the blob with the log."""
        return f"{self.registry.lower()}/logs/{self.id}/rawtext.log"

    @property
    def key(self) -> str:
        """Key in the store."""
        return _key(self.registry, self.id)


def _key(registry: str, run_id: str) -> str:
    number = run_id.removeprefix("cb")
    return f"{registry.lower()}/{number.zfill(9)}"


def find(world: World, registry: str, run_id: str) -> Run | None:
    """A run by its ID."""
    data = world.store.get("acr-run", _key(registry, run_id.lower()))
    return None if data is None else Run(**data)


def newest_first(world: World, registry: str) -> Iterator[Run]:
    """The runs of a registry."""
    found = list(world.store.items("acr-run", prefix=f"{registry.lower()}/"))
    return (Run(**data) for _, data in reversed(found))


def schedule(world: World, registry: str, request: RunRequest) -> Run:
    """Queue a run, and carry it out in the background."""
    number = (world.store.get("acr-run-count", registry.lower()) or 0) + 1
    world.store.put("acr-run-count", registry.lower(), number)
    now = world.now()
    run = Run(f"cb{number}", registry, asdict(request), now, updated=now)
    _save(world, run)
    world.spawn(_work(world, run.key))
    return run


def cancel(world: World, run: Run) -> None:
    """Ask a run to end; it does within a moment."""
    _save(world, replace(run, cancelled=True))


def resume(world: World) -> None:
    """Carry out the runs that a stopped sandbox left unfinished, from their beginning."""
    for key, data in world.store.items("acr-run"):
        if data["status"] in ACTIVE:
            world.spawn(_work(world, key))


def _save(world: World, run: Run) -> None:
    world.store.put("acr-run", run.key, asdict(run))


def _load(world: World, key: str) -> Run:
    return Run(**world.store.get("acr-run", key))


def _request(run: Run) -> RunRequest:
    data = dict(run.request)
    logins = {host: (pair[0], pair[1]) for host, pair in data["custom_registries"].items()}
    return RunRequest(**{**data, "platform": tuple(data["platform"]), "custom_registries": logins})


async def _work(world: World, key: str) -> None:
    """Carry out a run to its end."""
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=world.blobs))
    try:
        work = _Work(world, key, folder)
        try:
            state, error = await asyncio.wait_for(work.outcome(), timeout=_load(world, key).request["timeout"])
        except asyncio.TimeoutError:
            state, error = "Timeout", "the run exceeded its timeout"
        except Exception:
            # A bug in the sandbox: it is logged, and the client sees a run that failed within the service.
            _LOG.exception("the sandbox failed in run %s", key)
            state, error = "Error", "The sandbox failed; its log says why."
        finally:
            work.stop.set()
        work.end(state, error)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class _Work:
    """One run on its way.

    Attributes:
        stop: is set once what runs in a thread must end.
    """

    def __init__(self, world: World, key: str, folder: Path) -> None:
        self._world = world
        self._key = key
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._settings = settings.get(world, _load(world, key).registry)
        self.stop = threading.Event()

    async def outcome(self) -> tuple[str, str]:
        """Carry out everything; returns the final state and the service's error message."""
        try:
            await self._carry_out()
        except Stopped:
            return "Canceled", ""
        except RunFailed as error:
            for line in str(error).splitlines():
                self._say(line)
            return error.state, error.message
        return "Succeeded", ""

    def end(self, state: str, error: str) -> None:
        """Record the end, and mark the log as complete."""
        run = _load(self._world, self._key)
        now = self._world.now()
        seconds = round(now - (run.started or run.created))
        words = "was successful after" if state == "Succeeded" else f"{state.lower()} after"
        self._say(f"Run ID: {run.id} {words} {seconds}s{f'. Error: {error}' if error else ''}")
        if self._settings.runs != "open-log":
            blob.annotate(self._world, CONTAINER, run.log_path, {"Complete": _COMPLETE[state]})
        _save(self._world, replace(_load(self._world, self._key), status=state, error=error, finished=now, updated=now))

    def _say(self, line: str) -> None:
        blob.append(self._world, CONTAINER, _load(self._world, self._key).log_path, f"{line}\r\n")

    def _say_with_time(self, line: str) -> None:
        self._say(f"{datetime.fromtimestamp(self._world.now(), timezone.utc):%Y/%m/%d %H:%M:%S} {line}")

    def _enter(self, status: str) -> None:
        run, now = _load(self._world, self._key), self._world.now()
        _save(self._world, replace(run, status=status, started=run.started or now, updated=now))

    async def _pause(self, seconds: float) -> None:
        """Wait. Raises Stopped once the run is cancelled."""
        while True:
            if _load(self._world, self._key).cancelled:
                self.stop.set()
                raise Stopped
            if seconds <= 0:
                return
            await asyncio.sleep(min(_TICK, seconds))
            seconds -= _TICK

    async def _carry_out(self) -> None:
        run = _load(self._world, self._key)
        request = _request(run)
        host = _login_server(self._world, run.registry)
        third = self._world.pace.image_build / 3
        await self._pause(float("inf") if self._settings.runs == "queue" else third)
        self._enter("Started")
        self._say_with_time("Downloading source code...")
        files = await self._source(run, request)
        self._say_with_time("Finished downloading source code")
        await self._pause(third)
        self._enter("Running")
        self._log_in(run, request, host)
        await self._pause(third)
        self._fail()
        image = await self._build(request, host, files)
        await self._hang()
        if request.push:
            self._push(run, request, host, image)

    def _fail(self) -> None:
        ways = self._settings.runs
        if ways == "error":
            raise RunFailed("the agent was lost", "Error", "internal error: the agent was lost")
        if ways == "timeout":
            raise RunFailed("context deadline exceeded", "Timeout", "the run exceeded its timeout")

    async def _hang(self) -> None:
        line = 0
        while self._settings.runs == "hang":
            line += 1
            self._say(f"still building ({line})")
            await self._pause(2 * _TICK)

    async def _source(self, run: Run, request: RunRequest) -> dict[str, Entry]:
        uploaded = blob.local_file(self._world, CONTAINER, request.source)
        issued = self._world.store.get("acr-source", request.source)
        if uploaded is None or issued != run.registry.lower():
            raise RunFailed("failed to download context. Please check if the URL is incorrect.")
        if uploaded.stat().st_size > self._settings.source_limit:
            raise RunFailed(
                f"failed to download context: the source has {uploaded.stat().st_size} bytes; at most "
                f"{self._settings.source_limit} are accepted"
            )
        archive = self._folder / "source.tar"

        def unpack() -> dict[str, Entry]:
            source.decompress(uploaded, archive)
            return source.index(archive)

        try:
            return await asyncio.to_thread(unpack)
        except SourceError as error:
            raise RunFailed(f"failed to extract the context: {error}") from error

    def _log_in(self, run: Run, request: RunRequest, host: str) -> None:
        if self._settings.firewall and not request.agent_pool:
            raise RunFailed(
                f"failed to login, ran out of retries: failed to set docker credentials: Error response from daemon: "
                f'Get "https://{host}/v2/": denied: {{"errors":[{{"code":"DENIED","message":"client with IP '
                "'20.61.0.1' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.\"}]}"
            )
        if request.login:
            self._say_with_time(f"Logging in to registry: {host}")
            self._say_with_time(f"Successfully logged into {host}")
        self._say_with_time("Executing step ID: build")

    async def _build(self, request: RunRequest, host: str, files: Mapping[str, Entry]) -> Image:
        """The image that the Dockerfile describes."""
        name = request.dockerfile.removeprefix("./")
        entry = files.get(name)
        if entry is None or entry.content is None:
            raise RunFailed(
                "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat "
                f"/workspace/{name}: no such file or directory"
            )
        if ".dockerignore" in files:
            self._say(f"{SIMULATED} .dockerignore: clients apply it when they pack the source")
        fault = build_failure(self._world)
        if fault is not None:
            raise RunFailed("\n".join(fault.log), message=fault.message)
        self._say(f"Sending build context to Docker daemon  {sum(_size(one) for one in files.values())}B")
        try:
            steps = parse(b"".join(entry.content.chunks()))
            found = {
                one: bases.find(self._world, request, host, one, self._folder)
                for one in needed_images(steps, request.arguments)
            }

            def say(line: str) -> None:
                self._loop.call_soon_threadsafe(self._say, line)

            installs = install if self._world.pace.packages else lambda *_: SWITCHED_OFF
            work = Builder(files, found, request.arguments, self._folder, say, self.stop.is_set, installs)
            building = asyncio.ensure_future(in_background(lambda: work.carry_out(steps, request.target)))
            while not building.done():
                await asyncio.wait([building], timeout=_TICK)
                if _load(self._world, self._key).cancelled:
                    self.stop.set()
            return await building
        except (DockerfileError, PullError, SourceError) as error:
            step = "failed to run step ID: build: exit status 1"
            raise RunFailed(f"{error}\n{step}") from error

    def _push(self, run: Run, request: RunRequest, host: str, image: Image) -> None:
        outputs = push.push(self._world, request, host, run.id, image, self._settings, self._say)
        self._say_with_time("Step ID: push marked as successful")
        _save(self._world, replace(_load(self._world, self._key), outputs=outputs))


def _login_server(world: World, registry: str) -> str:
    found = accounts.registry(world, registry)
    assert found is not None  # noqa: S101 - registries are never deleted
    return str(found["login_server"]).lower()


def _size(entry: Entry) -> int:
    return entry.content.size if entry.content else 0
