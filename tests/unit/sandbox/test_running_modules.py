"""Devices of the sandbox that run their modules: processes, an edgeHub, and what reaches the hub."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import QUICK, HubService, content, module, with_hub
from fakes.module_images import put_module_image
from integration.command_line import complaint, in_this_process

from manifestgen.errors import CloudError
from manifestgen.sandbox.hub import messages, series
from manifestgen.sandbox.registry.pull import pull
from manifestgen.sandbox.world import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modules need Unix sockets")

SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"
ROUTES = {
    "in": 'FROM /messages/modules/sensor/* INTO BrokeredEndpoint("/modules/scorer/inputs/amlInput")',
    "up": "FROM /messages/modules/scorer/outputs/amlOutput INTO $upstream",
}
_PACE = replace(QUICK, sensor=0.02, retry=0.05)


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner's packages are those of this Python: nothing is installed."""
    monkeypatch.setattr("manifestgen.context.environment.environment", lambda *_, **__: Path(sys.executable))


def running(work: Any, **more: Any) -> None:
    with_hub(work, pace=_PACE, pull=pull, modules="run", **more)


async def eventually(found: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    for _ in range(int(seconds / 0.02)):
        if value := found():
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"never came about: {what}")


def processes(hub: HubService, device: str = "edge-01") -> Any:
    return hub.world.views["modules"]().get(device, {}).get("modules", {})


def arrived(hub: HubService, device: str = "edge-01") -> list[dict[str, Any]]:
    return messages.messages(hub.world, device)


async def deploy(hub: HubService, image: str, **more: Any) -> None:
    scorer = module(image, restartPolicy="always")
    sensor = module(SENSOR, env={"MessageCount": {"value": "-1"}})
    answer = await hub.apply(content({"sensor": sensor, "scorer": scorer}, routes=ROUTES, **more))
    assert answer.status == 204, answer


def test_the_sensor_s_messages_are_scored_and_reach_the_hub() -> None:
    async def work(hub: HubService) -> None:
        image = put_module_image(hub.world, "ghcr.io", "echo", "1")
        await deploy(hub, image, twins={"scorer": {"logLevel": "warning"}})
        found = await eventually(lambda: len(arrived(hub)) >= 5 and arrived(hub), "no message arrived")
        assert {(message["module"], message["output"]) for message in found} == {("scorer", "amlOutput")}
        assert set(found[0]["body"]["got"]) == {"machine", "ambient", "timeCreated"}
        assert found[0]["properties"]["model"] == "echo"
        assert [message["number"] for message in found] == list(range(1, len(found) + 1))

        agent = await hub.reported()
        assert agent["modules"]["scorer"]["runtimeStatus"] == "running"
        assert "statusDescription" not in agent["modules"]["scorer"]
        assert "statusDescription" not in agent["systemModules"]["edgeHub"]

        # What the runner reports lands in the hub's twin, and a patch of it reaches the runner.
        twin = await hub.until(lambda reported: reported.get("logLevel", {}).get("value") == "warning", "scorer")
        assert twin["model"]["name"] == "echo"
        patch = {"properties": {"desired": {"logLevel": "error"}}}
        assert (await hub.call("PATCH", "/twins/edge-01/modules/scorer", patch)).status == 200
        await hub.until(lambda reported: reported.get("logLevel", {}).get("value") == "error", "scorer")

        called = await hub.call("POST", "/twins/edge-01/modules/scorer/methods", {"methodName": "score", "payload": 7})
        assert called.json == {"status": 200, "payload": {"got": 7}}
        unknown = await hub.call("POST", "/twins/edge-01/modules/scorer/methods", {"methodName": "nothing"})
        assert unknown.json["status"] == 404
        clients = (await hub.reported("$edgeHub"))["clients"]
        assert set(clients) == {"edge-01/scorer", "edge-01/sensor"}

        # A manifest without them ends their processes.
        pids = [entry["pid"] for entry in processes(hub).values()]
        assert (await hub.apply(content())).status == 204
        await eventually(lambda: not any(map(_exists, pids)), "the modules still run")
        assert processes(hub) == {}

    running(work)


def test_no_message_is_lost_when_the_module_s_process_is_killed_again_and_again() -> None:
    async def work(hub: HubService) -> None:
        image = put_module_image(hub.world, "ghcr.io", "echo", "1")
        await deploy(hub, image)
        for number in range(1, 4):
            before = len(arrived(hub))
            await eventually(lambda before=before: len(arrived(hub)) >= before + 10, "messages stopped")  # type: ignore[misc]
            pid = processes(hub)["scorer"]["pid"]
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda number=number: processes(hub)["scorer"]["restarts"] >= number, "not restarted")  # type: ignore[misc]
        reported = await hub.until(lambda agent: agent["modules"]["scorer"].get("restartCount", 0) >= 3)
        assert reported["modules"]["scorer"]["lastRestartTimeUtc"]
        total = len(arrived(hub))
        await eventually(lambda: len(arrived(hub)) >= total + 10, "messages stopped")
        sequence = [int(message["properties"]["sequenceNumber"]) for message in arrived(hub)]
        assert sorted(set(sequence)) == list(range(1, max(sequence) + 1))

    running(work)


def test_a_module_that_cannot_start_is_reported_with_its_exit_code_and_its_reason() -> None:
    async def work(hub: HubService) -> None:
        image = put_module_image(hub.world, "ghcr.io", "broken", "1", "import nosuchmodule\ndef init(): pass\n")
        assert (await hub.apply(content({"scorer": module(image)}))).status == 204
        reported = await hub.until(lambda agent: agent.get("modules", {}).get("scorer", {}).get("exitCode", 0) != 0)
        assert reported["modules"]["scorer"]["runtimeStatus"] == "backoff"
        await hub.until(lambda agent: agent["modules"]["scorer"].get("restartCount", 0) > 0)
        assert any("nosuchmodule" in line for line in processes(hub)["scorer"]["log"])

    running(work)


def test_what_cannot_run_stays_simulated_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> Path:
        raise CloudError("the package index could not be reached", fix="check the network")

    async def work(hub: HubService) -> None:
        monkeypatch.setattr("manifestgen.context.environment.environment", unreachable)
        image = put_module_image(hub.world, "ghcr.io", "echo", "1")
        public = "mcr.microsoft.com/azureiotedge-diagnostics:1.5"
        assert (await hub.apply(content({"a": module(image), "b": module(public)}))).status == 204
        reported = await hub.settled()
        assert {name: one["runtimeStatus"] for name, one in reported["modules"].items()} == dict.fromkeys(
            "ab", "running"
        )
        assert reported["modules"]["a"]["statusDescription"] == (
            "simulated: its packages could not be installed: the package index could not be reached"
        )
        assert reported["modules"]["b"]["statusDescription"].startswith("simulated: the sandbox has no files")
        assert reported["systemModules"]["edgeHub"]["statusDescription"] == "simulated"
        assert processes(hub) == {}

    running(work)


def test_the_devices_of_a_series_and_those_told_not_to_run_nothing() -> None:
    async def work(hub: HubService) -> None:
        image = put_module_image(hub.world, "ghcr.io", "echo", "1")
        series.register(hub.world, "truck-{number}", 2)
        hub.world.store.put("device-modules", "edge-01", "simulate")
        hub.world.store.put("device-modules", "truck-2", "run")
        for device in ("edge-01", "truck-1", "truck-2"):
            assert (await hub.apply(content({"scorer": module(image)}), device)).status == 204
        await eventually(lambda: processes(hub, "truck-2"), "the device told to run does not")
        for device in ("edge-01", "truck-1"):
            reported = await hub.settled(device=device)
            assert reported["modules"]["scorer"]["statusDescription"] == "simulated"
        assert set(hub.world.views["modules"]()) == {"truck-2"}

    running(work)


def test_a_sandbox_that_starts_again_with_its_state_runs_its_modules_again(tmp_path: Path) -> None:
    store = Store()

    async def first(hub: HubService) -> None:
        await deploy(hub, put_module_image(hub.world, "ghcr.io", "echo", "1"))
        await eventually(lambda: arrived(hub), "no message arrived")

    async def second(hub: HubService) -> None:
        before = messages.counts(hub.world)["edge-01"]
        await eventually(lambda: messages.counts(hub.world)["edge-01"] > before, "no message arrived again")

    running(first, store=store, folder=tmp_path)
    running(second, store=store, folder=tmp_path)
    store.close()


def test_a_device_that_is_disconnected_keeps_its_messages() -> None:
    async def work(hub: HubService) -> None:
        from manifestgen.sandbox import faults

        await deploy(hub, put_module_image(hub.world, "ghcr.io", "echo", "1"))
        await eventually(lambda: arrived(hub), "no message arrived")
        faults.set_device_online(hub.world, "edge-01", False)
        await eventually(
            lambda: hub.world.views["modules"]()["edge-01"]["waiting"].get("upstream", 0) > 3, "none waits"
        )
        before = messages.counts(hub.world)["edge-01"]
        faults.set_device_online(hub.world, "edge-01", True)
        await eventually(lambda: messages.counts(hub.world)["edge-01"] > before + 3, "they never arrived")
        sequence = [int(message["properties"]["sequenceNumber"]) for message in arrived(hub)]
        assert sorted(set(sequence)) == list(range(1, max(sequence) + 1))

    running(work)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_sandbox_without_such_devices_imports_no_agent_and_no_edge_hub() -> None:
    names = (
        "[name for name in sys.modules if name.startswith(('manifestgen.edge.agent', 'manifestgen.edge.hub', 'paho'))]"
    )
    program = f"import sys, manifestgen.sandbox.server; print({names})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_the_admin_api_and_the_command_show_what_arrived(new_sandbox: Any) -> None:
    async def send() -> None:
        now = datetime(2026, 11, 30, 8, 0, tzinfo=timezone.utc)
        for body in (b'{"anomaly": true}', b"hot"):
            messages.keep(new_sandbox.world, "edge-01", "scorer", "out", body, {"model": "m"}, {}, now)

    new_sandbox.call(send())
    assert new_sandbox.admin("GET", "/messages") == {"edge-01": 2}
    found = new_sandbox.admin("GET", "/messages?device=edge-01&after=1")
    assert (found["sent"], [message["text"] for message in found["messages"]]) == (2, ["hot"])
    assert new_sandbox.admin("GET", "/modules") == {}
    new_sandbox.admin("PUT", "/devices/edge-01", {"modules": "run"})
    assert new_sandbox.world.store.get("device-modules", "edge-01") == "run"

    shown = in_this_process("sandbox", "messages")
    assert shown.code == 0
    assert shown.stdout.splitlines() == [
        '2026-11-30T08:00:00.000Z  scorer/out  {"anomaly": true}',
        "2026-11-30T08:00:00.000Z  scorer/out  hot",
    ]
    assert in_this_process("sandbox", "messages", "--output", "json").json["sent"] == 2
    summary = in_this_process("sandbox", "messages", "--summary", "--count", "2").stdout
    assert summary == "messages  2 scored by scorer, 1 anomaly, last hot\n"
    late = in_this_process("sandbox", "messages", "--count", "3", "--timeout", "0")
    assert (late.code, late.stderr) == (1, "device 'edge-01' has sent 2 messages in 0 s\n")
    assert "cannot be used together" in complaint(in_this_process("sandbox", "messages", "--follow", "--summary"), 2)
