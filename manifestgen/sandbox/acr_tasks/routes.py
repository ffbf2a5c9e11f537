"""ACR Tasks in ARM: uploads of sources, runs, their logs.

Source: the operations `Registries_GetBuildSourceUploadUrl`, `Registries_ScheduleRun` and `Runs_*` of the specification
of Microsoft.ContainerRegistry, 2019-06-01-preview and 2025-03-01-preview.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

from aiohttp import web

from manifestgen.sandbox import accounts, blob_sas
from manifestgen.sandbox.acr_tasks import request as run_request
from manifestgen.sandbox.acr_tasks import runs, settings
from manifestgen.sandbox.acr_tasks.runs import Run
from manifestgen.sandbox.arm.provider import KIND, ONE, find_registry
from manifestgen.sandbox.arm.request import Arm, ArmError, Route, body_of, not_found

_FILTER: Final = re.compile(r"(?i)\s*(runId|status|runType|agentPoolName)\s+eq\s+'([^']*)'\s*")
_MOST: Final = 100


def routes() -> list[Route]:
    """The routes of ACR Tasks."""
    run = f"{ONE}/runs/{{run}}"
    table = [
        ("POST", f"{ONE}/listBuildSourceUploadUrl", _upload_url),
        ("POST", f"{ONE}/scheduleRun", _schedule),
        ("GET", f"{ONE}/runs", _list),
        ("GET", run, _get),
        ("POST", f"{run}/listLogSasUrl", _log_url),
        ("POST", f"{run}/cancel", _cancel),
    ]
    return [Route(method, path, "registries/runs", run_request.VERSIONS, handle) for method, path, handle in table]


async def _upload_url(arm: Arm, request: web.Request) -> web.Response:
    registry = find_registry(arm, request)
    path = f"tasks-source/{uuid.uuid4().hex[:12]}/{uuid.uuid4().hex}.tar.gz"
    # A source may be used by runs of its registry only.
    arm.world.store.put("acr-source", path, registry["name"].lower())
    seconds = settings.get(arm.world, registry["name"]).sas_seconds
    url = blob_sas.sas_url(arm.world, runs.CONTAINER, path, "cw", seconds=seconds)
    return web.json_response({"uploadUrl": url, "relativePath": path})


async def _schedule(arm: Arm, request: web.Request) -> web.Response:
    registry = find_registry(arm, request)
    known = settings.get(arm.world, registry["name"])
    if not known.allowed:
        raise ArmError(
            400,
            "TasksOperationsNotAllowed",
            f"ACR Tasks requests for the registry {registry['name']} and {arm.world.names.subscription_id} are not "
            "permitted. Please file an Azure support request at http://aka.ms/azuresupport for assistance.",
        )
    parsed = run_request.parse(await body_of(request), request.query["api-version"], known.pools)
    return web.json_response(_view(arm, registry, runs.schedule(arm.world, registry["name"], parsed)))


async def _list(arm: Arm, request: web.Request) -> web.Response:
    """The runs, newest first; `$filter` compares fields for equality, `$top` limits their number."""
    registry = find_registry(arm, request)
    conditions = _conditions(request.query.get("$filter", ""))
    top = request.query.get("$top", str(_MOST))
    if not top.isdecimal() or int(top) == 0:
        raise ArmError(400, "InvalidTop", f"The value '{top}' of $top is not a positive number.")
    after = request.query.get("$skipToken", "")
    found = [
        view
        for run in runs.newest_first(arm.world, registry["name"])
        if not after or run.key < after
        if _fits(view := _view(arm, registry, run), conditions)
    ]
    some = found[: min(int(top), _MOST)]
    answer: dict[str, Any] = {"value": some}
    if len(found) > len(some):
        last = runs.find(arm.world, registry["name"], some[-1]["properties"]["runId"])
        assert last is not None  # noqa: S101 - it is one of those above
        answer["nextLink"] = str(request.url.with_scheme("https").update_query({"$skipToken": last.key}))
    return web.json_response(answer)


async def _get(arm: Arm, request: web.Request) -> web.Response:
    return web.json_response(_view(arm, *_found(arm, request)))


async def _log_url(arm: Arm, request: web.Request) -> web.Response:
    registry, run = _found(arm, request)
    seconds = settings.get(arm.world, registry["name"]).sas_seconds
    return web.json_response(
        {"logLink": blob_sas.sas_url(arm.world, runs.CONTAINER, run.log_path, "r", seconds=seconds)}
    )


async def _cancel(arm: Arm, request: web.Request) -> web.Response:
    _, run = _found(arm, request)
    if run.status not in runs.ACTIVE:
        raise ArmError(409, "RunAlreadyFinished", f"The run '{run.id}' is in the state '{run.status}'.")
    runs.cancel(arm.world, run)
    return web.Response(status=202)


def _found(arm: Arm, request: web.Request) -> tuple[Any, Run]:
    registry = find_registry(arm, request)
    name = request.match_info["run"]
    run = runs.find(arm.world, registry["name"], name)
    if run is None:
        raise not_found(f"{KIND}/{registry['name']}/runs", name, registry["group"])
    return registry, run


def _view(arm: Arm, registry: Any, run: Run) -> dict[str, Any]:
    os, architecture, variant = run.request["platform"]
    times = {
        "createTime": run.created,
        "startTime": run.started,
        "finishTime": run.finished,
        "lastUpdatedTime": run.updated,
    }
    properties = {
        "runId": run.id,
        "status": run.status,
        **{name: accounts.iso(time) for name, time in times.items() if time is not None},
        "runType": "QuickBuild",
        "platform": {"os": os, "architecture": architecture, **({"variant": variant} if variant else {})},
        "agentConfiguration": {"cpu": 2},
        "sourceRegistryAuth": run.request["identity"] or "default",
        "customRegistries": sorted(run.request["custom_registries"]),
        "provisioningState": "Succeeded",
        "isArchiveEnabled": False,
        **({"agentPoolName": run.request["agent_pool"]} if run.request["agent_pool"] else {}),
        **({"runErrorMessage": run.error} if run.error else {}),
        **({"outputImages": list(run.outputs)} if run.outputs else {}),
    }
    return {
        "id": f"{arm.registry_id(registry)}/runs/{run.id}",
        "name": run.id,
        "type": f"{KIND}/runs",
        "properties": properties,
    }


def _conditions(text: str) -> list[tuple[str, str]]:
    if not text.strip():
        return []
    found = []
    for part in re.split(r"(?i)\sand\s", text):
        match = _FILTER.fullmatch(part)
        if match is None:
            raise ArmError(400, "InvalidFilter", f"The filter '{text}' is not supported.")
        found.append((match[1].lower(), match[2].lower()))
    return found


def _fits(view: dict[str, Any], conditions: list[tuple[str, str]]) -> bool:
    known = {key.lower(): str(value).lower() for key, value in view["properties"].items()}
    return all(known.get(name, "") == value for name, value in conditions)
