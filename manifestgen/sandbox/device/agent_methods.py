"""The direct methods of a device's edgeAgent.

Sources, in Azure/iotedge: edge-agent `RequestManager.cs` (names ignore case; an ArgumentException is 400, everything
else 500), the handlers in `requests/`, and `doc/built-in-logs-pull.md`. That a schema version with another major number
is 400 is an assumption.

Uploads go to the sandbox's own Blob Storage, whose signatures are checked. A support bundle holds the logs of the
modules and a note that it is simulated.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import uuid
import zipfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any, Final

from manifestgen.sandbox import blob, blob_sas
from manifestgen.sandbox.device import agent_faults
from manifestgen.sandbox.device.agent_logs import BadRequest, Logs, form
from manifestgen.sandbox.device.edges import Edges
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json

_OLD_METHODS: Final = ("ping", "GetModuleLogs")
_UPLOAD_SECONDS: Final = 0.2

Answer = tuple[int, Any]


class NoAnswer(Exception):
    """edgeAgent does not answer.

    Attributes:
        seconds: until the hub says so; None for the caller's time.
    """

    def __init__(self, seconds: float | None) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class AgentMethods:
    """The direct methods of edgeAgent, on every device of the sandbox."""

    def __init__(self, store: HubStore, edges: Edges) -> None:
        self._store, self._world, self._edges = store, store.world, edges
        self.logs = Logs(store, edges)
        # By device and correlation ID; in memory, as edgeAgent's own.
        self._tasks: dict[str, dict[str, Json]] = {}
        self._methods: dict[str, Callable[[str, Json], Awaitable[Answer]]] = {
            "ping": self._ping,
            "RestartModule": self._restart,
            "GetModuleLogs": self._get_logs,
            "UploadModuleLogs": self._upload_logs,
            "GetTaskStatus": self._task_status,
            "UploadSupportBundle": self._upload_bundle,
        }

    async def invoke(self, device_id: str, name: str, payload: Any) -> Answer:
        """Status and payload of the response. Raises NoAnswer."""
        fault = agent_faults.strike(self._world, device_id, name)
        if fault is not None and fault.kind == "late":
            await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
        if fault is not None and fault.kind == "restart":
            self.restarted(device_id)
        if fault is not None and fault.kind in ("timeout", "restart"):
            raise NoAnswer(fault.seconds)
        old = fault is not None and fault.kind == "old"
        answer = await self._carry_out(device_id, name, payload, old=old)
        if fault is not None and fault.kind == "lost":
            raise NoAnswer(fault.seconds)
        return answer

    async def _carry_out(self, device_id: str, name: str, payload: Any, *, old: bool) -> Answer:
        known = {each.lower(): each for each in (_OLD_METHODS if old else self._methods)}
        if name.lower() not in known:
            words = f"Command '{name}' not found. The supported commands are - {','.join(known.values())}"
            return 400, {"message": words}
        method = known[name.lower()]
        if method == "ping":
            return await self._ping(device_id, {})
        try:
            request = _request(payload)
            if old:
                return self.logs.answer(device_id, request, old=True)
            return await self._methods[method](device_id, request)
        except BadRequest as error:
            return 400, {"message": str(error)}

    def restarted(self, device_id: str) -> None:
        """EdgeAgent has restarted: its tasks are forgotten, and it reports when."""
        self._tasks.pop(device_id, None)
        self._edges.restart(device_id, "edgeAgent")

    async def _ping(self, device_id: str, payload: Json) -> Answer:
        return 200, None

    async def _restart(self, device_id: str, payload: Json) -> Answer:
        name = payload.get("id")
        if not isinstance(name, str) or not name.strip():
            raise BadRequest("Value cannot be null or white space. (Parameter 'id')")
        container = self.logs.modules(device_id).get(name)
        if container is None:
            return 500, {"message": f"Module {name} not found in the current environment"}
        if name == "edgeAgent":
            self.restarted(device_id)
            raise NoAnswer(None)
        if container["state"] != "running":
            return 500, {"message": f"Module {name} cannot be restarted since it is not running"}
        self._edges.restart(device_id, name)
        return 200, None

    async def _get_logs(self, device_id: str, payload: Json) -> Answer:
        return self.logs.answer(device_id, payload)

    async def _upload_logs(self, device_id: str, payload: Json) -> Answer:
        packed, as_json = form(payload)
        wanted = self.logs.wanted(device_id, payload.get("items"))

        def files() -> dict[str, bytes]:
            found = {}
            for each in wanted:
                lines = each.of(self.logs.log(device_id, each.module))
                raw = self.logs.content(device_id, each.module, lines, as_json=as_json)
                name = f"{each.module}-{self._time()}.{'json' if as_json else 'log'}{'.gz' if packed else ''}"
                found[name] = gzip.compress(raw) if packed else raw
            return found

        return 200, self._started(device_id, payload, files)

    async def _upload_bundle(self, device_id: str, payload: Json) -> Answer:
        runtime_only = payload.get("edgeRuntimeOnly") is True
        moments = {name: payload[name] for name in ("since", "until") if payload.get(name) is not None}
        items = [{"id": "^(edgeAgent|edgeHub)$" if runtime_only else ".*", "filter": moments}]
        wanted = self.logs.wanted(device_id, items)

        def files() -> dict[str, bytes]:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("README.txt", "A support bundle of the sandbox: its device is simulated.\n")
                for each in wanted:
                    lines = each.of(self.logs.log(device_id, each.module))
                    text = self.logs.content(device_id, each.module, lines, as_json=False)
                    archive.writestr(f"logs/{each.module}_log.txt", text)
            return {f"support-bundle-{self._time()}.zip": packed.getvalue()}

        return 200, self._started(device_id, payload, files)

    async def _task_status(self, device_id: str, payload: Json) -> Answer:
        task = payload.get("correlationId")
        if not isinstance(task, str) or not task:
            raise BadRequest("Value cannot be null or white space. (Parameter 'correlationId')")
        known = self._tasks.get(device_id, {}).get(task)
        return 200, known or {"status": "Unknown", "message": "", "correlationId": task}

    def _started(self, device_id: str, payload: Json, files: Callable[[], dict[str, bytes]]) -> Json:
        url = payload.get("sasUrl")
        if not isinstance(url, str) or not url:
            raise BadRequest("Value cannot be null or white space. (Parameter 'sasUrl')")
        task = str(uuid.uuid4())
        tasks = self._tasks.setdefault(device_id, {})
        tasks[task] = {"status": "NotStarted", "message": "", "correlationId": task}
        self._world.spawn(self._upload(device_id, url, files, tasks, task))
        return dict(tasks[task])

    async def _upload(
        self, device_id: str, url: str, files: Callable[[], dict[str, bytes]], tasks: dict[str, Json], task: str
    ) -> None:
        tasks[task] = {**tasks[task], "status": "Running"}
        await asyncio.sleep(_UPLOAD_SECONDS)
        container, problem = blob_sas.writable_container(self._world, url)
        if problem:
            tasks[task] = {**tasks[task], "status": "Failed", "message": problem}
            return
        hub = self._world.names.hub_host.partition(".")[0]
        for name, content in files().items():
            blob.put(self._world, container, f"{hub}/{device_id}/{name}", content)
        tasks[task] = {**tasks[task], "status": "Completed"}

    def _time(self) -> str:
        return datetime.fromtimestamp(self._world.now(), timezone.utc).strftime("%Y-%m-%d--%H-%M-%S")


def _request(payload: Any) -> Json:
    if not isinstance(payload, dict):
        raise BadRequest("Request payload not found")
    version = payload.get("schemaVersion")
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        raise BadRequest(f"The request schema version {version} is not compatible with the expected version 1.0")
    return payload
