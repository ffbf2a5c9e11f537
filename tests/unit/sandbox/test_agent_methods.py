"""edgeAgent's direct methods, as the sandbox's devices answer them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest
from fakes.hub_service import Answer, HubService, content, module, with_hub

from manifestgen.sandbox import blob, blob_sas
from manifestgen.sandbox.device import agent_faults, agent_logs
from manifestgen.sandbox.device.agent_faults import AgentFault

METHODS = "/twins/edge-01/modules/$edgeAgent/methods"
_ALL = ".*"


async def call(hub: HubService, name: str, payload: Any = None, **more: Any) -> Answer:
    return await hub.call("POST", METHODS, {"methodName": name, "payload": payload, **more})


async def asked(hub: HubService, name: str, **payload: Any) -> Any:
    """Status and payload of a method."""
    answer = await call(hub, name, {"schemaVersion": "1.0", **payload})
    assert answer.status == 200, answer
    return answer.json["status"], answer.json["payload"]


async def with_scorer(hub: HubService) -> None:
    await hub.apply(content({"scorer": module(), "scorer-2": module()}))
    await hub.settled()


def items(pattern: str, **chosen: Any) -> dict[str, Any]:
    return {"items": [{"id": pattern, "filter": chosen}]}


def lines(entry: Mapping[str, Any]) -> list[Any]:
    packed = entry.get("payloadBytes")
    text = gzip.decompress(base64.b64decode(packed)).decode() if packed else entry["payload"]
    found = json.loads(text)
    assert isinstance(found, list)
    return found


def test_names_ignore_case_and_an_unknown_one_says_which_there_are() -> None:
    async def work(hub: HubService) -> None:
        for name in ("ping", "Ping", "PING"):
            assert (await call(hub, name)).json == {"status": 200, "payload": None}
        known = "ping,RestartModule,GetModuleLogs,UploadModuleLogs,GetTaskStatus,UploadSupportBundle"
        words = f"Command 'sing' not found. The supported commands are - {known}"
        assert (await call(hub, "sing")).json == {"status": 400, "payload": {"message": words}}

    with_hub(work)


def test_a_request_without_a_payload_or_with_another_major_version_is_400() -> None:
    async def work(hub: HubService) -> None:
        for payload in (None, "text", {}, {"schemaVersion": "2.0"}, {"schemaVersion": 1}):
            assert (await call(hub, "GetModuleLogs", payload)).json["status"] == 400
        assert (await asked(hub, "RestartModule"))[0] == 400
        assert (await asked(hub, "GetTaskStatus"))[0] == 400
        assert (await asked(hub, "UploadSupportBundle"))[0] == 400
        wrong: list[Any] = ["", [], {"id": 3}, {"id": "["}, {"id": ".*", "filter": {"since": "soon"}}]
        for bad in wrong:
            assert (await asked(hub, "GetModuleLogs", items=bad))[0] == 400
        assert (await asked(hub, "GetModuleLogs", items={"id": "x"}, encoding="zip"))[0] == 400

    with_hub(work)


def test_timeouts_may_be_texts_as_az_sends_them() -> None:
    async def work(hub: HubService) -> None:
        answer = await call(hub, "ping", responseTimeoutInSeconds="30", connectTimeoutInSeconds="0")
        assert answer.json == {"status": 200, "payload": None}
        assert (await call(hub, "ping", responseTimeoutInSeconds=4)).status == 400

    with_hub(work)


def test_an_id_is_a_regular_expression_without_anchors() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        for pattern, names in (
            ("scorer", {"scorer", "scorer-2"}),
            ("^SCORER$", {"scorer"}),
            (_ALL, {"edgeAgent", "edgeHub", "scorer", "scorer-2"}),
            ("^nothing$", set()),
        ):
            status, found = await asked(hub, "GetModuleLogs", **items(pattern))
            assert (status, {entry["id"] for entry in found}) == (200, names)
        # One object is as good as a list.
        status, found = await asked(hub, "GetModuleLogs", items={"id": "^scorer$"})
        assert [entry["id"] for entry in found] == ["scorer"]

    with_hub(work)


def test_logs_come_as_text_and_json_plain_and_packed() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        prefix = "<4> 2026-11-29 21:03:44.123 +01:00 "
        agent_logs.add(hub.world, "edge-01", "scorer", [f"{prefix}[WRN] careful", "plain"])
        wanted = items("^scorer$", tail=2)
        _, [text] = await asked(hub, "GetModuleLogs", **wanted)
        assert text == {"id": "scorer", "payload": f"{prefix}[WRN] careful\nplain\n"}
        _, [packed] = await asked(hub, "GetModuleLogs", **wanted, encoding="GZIP", contentType="text")
        assert gzip.decompress(base64.b64decode(packed["payloadBytes"])).decode() == text["payload"]
        for encoding in ("none", "gzip"):
            _, [entry] = await asked(hub, "GetModuleLogs", **wanted, encoding=encoding, contentType="json")
            own = {"iothub": "sandbox-hub.azure-devices.net", "device": "edge-01", "id": "scorer", "stream": "stdout"}
            assert lines(entry) == [
                {**own, "loglevel": 4, "text": "[WRN] careful", "timestamp": "2026-11-29T20:03:44.123Z"},
                {**own, "loglevel": 6, "text": "plain", "timestamp": None},
            ]

    with_hub(work)


def test_filters_take_since_first_then_the_tail_then_the_level_by_equality() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        told = [f"<{level}> line {number}" for number, level in enumerate((3, 4, 6, 4, 3))]
        agent_logs.add(hub.world, "edge-01", "scorer", told, seconds=10.0)

        async def texts(**chosen: Any) -> list[str]:
            _, [entry] = await asked(hub, "GetModuleLogs", **items("^scorer$", **chosen), contentType="json")
            return [line["text"] for line in lines(entry) if "simulated" not in line["text"]]

        # The line about the simulated container is the last but one.
        assert await texts() == [f"line {number}" for number in range(5)]
        assert await texts(since="25s") == ["line 2", "line 3", "line 4"]
        assert await texts(since="25 seconds", tail=3) == ["line 3", "line 4"]
        assert await texts(until="15s") == ["line 0", "line 1", "line 2"]
        assert await texts(loglevel=4) == ["line 1", "line 3"]
        assert await texts(tail=3, loglevel=4) == ["line 3"]
        assert await texts(regex="line [04]") == ["line 0", "line 4"]
        assert await texts(since=str(int(hub.world.now()) - 5)) == ["line 4"]
        assert await texts(since="2099-01-01T00:00:00.1234567Z") == []

    with_hub(work)


def test_more_than_an_answer_holds_is_400_and_an_old_agent_says_so_in_place_of_the_log() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        agent_logs.add(hub.world, "edge-01", "scorer", ["x" * 1000] * 600)
        status, found = await asked(hub, "GetModuleLogs", **items("^scorer$"))
        assert status == 400
        assert found["message"].startswith("The payload is too large for a direct method.")
        assert (await asked(hub, "GetModuleLogs", **items("^scorer$"), encoding="gzip"))[0] == 200
        agent_faults.add(hub.world, "edge-01", AgentFault("old", times=None))
        status, [entry] = await asked(hub, "GetModuleLogs", **items("^scorer$"))
        assert (status, entry["id"]) == (200, "scorer")
        assert entry["payload"].startswith("The payload is too large for a direct method.")
        _, [entry] = await asked(hub, "GetModuleLogs", **items("^scorer$"), encoding="gzip", contentType="json")
        assert len(lines(entry)) == 500
        assert (await asked(hub, "RestartModule", id="scorer"))[0] == 400

    with_hub(work)


def test_a_simulated_module_says_in_its_log_that_it_is() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        status, found = await asked(hub, "GetModuleLogs", **items(_ALL), contentType="json")
        assert status == 200 and len(found) == 4
        assert all("simulated" in line["text"] for entry in found for line in lines(entry))

    with_hub(work)


def test_a_restarted_module_reports_when_and_counts_no_restart() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        before = (await hub.reported())["modules"]["scorer"]
        assert await asked(hub, "RestartModule", id="scorer") == (200, None)
        after = await hub.until(
            lambda reported: reported["modules"]["scorer"]["lastStartTimeUtc"] != before["lastStartTimeUtc"]
        )
        found = after["modules"]["scorer"]
        assert (found["runtimeStatus"], found["restartCount"]) == ("running", 0)
        status, said = await asked(hub, "RestartModule", id="scoerr")
        assert (status, said) == (500, {"message": "Module scoerr not found in the current environment"})
        await hub.apply(content({"scorer": module(status="stopped")}))
        await hub.settled()
        status, said = await asked(hub, "RestartModule", id="scorer")
        assert (status, said["message"]) == (500, "Module scorer cannot be restarted since it is not running")

    with_hub(work)


def test_faults_hit_the_calls_that_they_name() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        for fault in (
            AgentFault("timeout", times=2, after=1, seconds=0.0),
            AgentFault("lost", method="restartmodule", seconds=0.0),
            AgentFault("late", method="GetModuleLogs", seconds=0.05),
        ):
            agent_faults.add(hub.world, "edge-01", fault)
        pings = [await call(hub, "ping") for _ in range(4)]
        assert [answer.status for answer in pings] == [200, 504, 504, 200]
        assert json.loads(pings[1].json["Message"])["errorCode"] == 504101
        before = (await hub.reported())["modules"]["scorer"]["lastStartTimeUtc"]
        assert (await call(hub, "RestartModule", {"schemaVersion": "1.0", "id": "scorer"})).status == 504
        await hub.until(lambda reported: reported["modules"]["scorer"]["lastStartTimeUtc"] != before)
        assert (await asked(hub, "GetModuleLogs", **items("^scorer$")))[0] == 200

    with_hub(work)


@pytest.mark.parametrize(
    "data",
    [{}, {"kind": "x"}, {"kind": "late", "times": "often"}, {"kind": "late", "seconds": "1"}, {"kind": "late", "x": 1}],
)
def test_a_fault_that_cannot_be_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|known keys"):
        agent_faults.parse(data)


def bundle_url(hub: HubService, permissions: str = "cw") -> str:
    token = blob_sas.container_sas(hub.world, "support", permissions)
    return f"https://{blob_sas.host(hub.world)}/support?{token}"


async def task(hub: HubService, answer: Any) -> Any:
    for _ in range(200):
        found = (await asked(hub, "GetTaskStatus", correlationId=answer["correlationId"]))[1]
        if found["status"] not in ("NotStarted", "Running"):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


def test_a_bundle_and_logs_are_uploaded_where_the_signature_allows() -> None:
    async def work(hub: HubService) -> None:
        await with_scorer(hub)
        status, answer = await asked(hub, "UploadSupportBundle", sasUrl=bundle_url(hub), edgeRuntimeOnly=True)
        assert (status, answer["status"]) == (200, "NotStarted")
        assert (await task(hub, answer))["status"] == "Completed"
        [name] = blob.names(hub.world, "support", "sandbox-hub/edge-01")
        file = blob.local_file(hub.world, "support", name)
        assert file is not None and name.endswith(".zip")
        with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
            assert sorted(archive.namelist()) == ["README.txt", "logs/edgeAgent_log.txt", "logs/edgeHub_log.txt"]
        _, answer = await asked(hub, "UploadModuleLogs", sasUrl=bundle_url(hub), **items("^scorer$"), encoding="gzip")
        assert (await task(hub, answer))["status"] == "Completed"
        names = [name for name in blob.names(hub.world, "support", "sandbox-hub/edge-01") if "scorer-" in name]
        assert len(names) == 1 and names[0].endswith(".log.gz")

    with_hub(work)


def test_an_upload_fails_where_the_signature_does_not_allow_it() -> None:
    async def work(hub: HubService) -> None:
        for url in (bundle_url(hub, "r"), bundle_url(hub) + "x", "https://evil.example/c?sig=x", "https://x/"):
            _, answer = await asked(hub, "UploadSupportBundle", sasUrl=url)
            found = await task(hub, answer)
            assert found["status"] == "Failed" and found["message"]

    with_hub(work)


def test_a_restarted_agent_has_forgotten_its_tasks() -> None:
    async def work(hub: HubService) -> None:
        _, answer = await asked(hub, "UploadSupportBundle", sasUrl=bundle_url(hub))
        agent_faults.add(hub.world, "edge-01", AgentFault("restart", seconds=0.0))
        assert (await call(hub, "ping")).status == 504
        assert (await task(hub, answer))["status"] == "Unknown"

    with_hub(work)
