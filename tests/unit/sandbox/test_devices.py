from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from fakes.hub_service import HubService, Images, content, module, with_hub

from manifestgen.sandbox import faults
from manifestgen.sandbox.device import edge_agent
from manifestgen.sandbox.faults import ModuleFault
from manifestgen.sandbox.hub.store import enable_agents
from manifestgen.sandbox.registry.pull import PullResult
from manifestgen.sandbox.world import Pace, Store, World

SCORER = "acme.azurecr.io/scorer:1"


def code(reported: Any) -> Any:
    return reported.get("lastDesiredStatus", {}).get("code")


def state(reported: Any, name: str = "scorer", section: str = "modules") -> Any:
    return reported.get(section, {}).get(name, {}).get("runtimeStatus")


async def refused(hub: HubService, expected: int) -> Any:
    return await hub.until(lambda reported: code(reported) == expected)


def test_a_new_device_reports_that_its_configuration_is_empty() -> None:
    async def work(hub: HubService) -> None:
        reported = await refused(hub, 417)
        assert reported["lastDesiredStatus"]["description"].startswith("This device has an empty configuration")
        assert reported["runtime"]["platform"]["architecture"] == "x86_64"
        assert reported["systemModules"]["edgeAgent"]["runtimeStatus"] == "running"
        assert reported["modules"] == {}
        assert reported["lastDesiredVersion"] == -1

    with_hub(work)


def test_a_manifest_comes_to_run() -> None:
    async def work(hub: HubService) -> None:
        options = '{"HostConfig": {"Binds": ["' + "x" * 1200 + ':/data"]}}'
        scorer = module("acme.azurecr.io/scorer", createOptions=options, env={"LEVEL": {"value": 3}}, startupOrder=2)
        await hub.apply(content({"scorer": scorer}))
        reported = await hub.settled()
        found = reported["modules"]["scorer"]
        assert (found["runtimeStatus"], found["status"], found["exitCode"], found["restartCount"]) == (
            "running",
            "running",
            0,
            0,
        )
        assert found["settings"]["image"] == "acme.azurecr.io/scorer:latest"
        assert found["settings"]["imageHash"] == "sha256:" + "a" * 64
        assert found["env"] == {"LEVEL": {"value": "3"}}
        assert (found["startupOrder"], found["restartPolicy"], found["imagePullPolicy"]) == (2, "always", "on-create")
        pieces = [found["settings"][key] for key in ("createOptions", "createOptions01", "createOptions02")]
        assert [len(piece) for piece in pieces[:2]] == [512, 512]
        assert "".join(pieces) == options.replace(" ", "")
        assert state(reported, "edgeHub", "systemModules") == "running"
        assert "status" not in reported["systemModules"]["edgeAgent"]
        hub_reported = await hub.reported("$edgeHub")
        assert hub_reported["lastDesiredStatus"] == {"code": 200, "description": ""}
        assert hub_reported["clients"]["edge-01/scorer"]["status"] == "Connected"

    with_hub(work)


def test_the_first_report_of_a_version_still_shows_the_modules_of_before() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module()}))
        first = await hub.until(lambda reported: code(reported) == 200)
        assert first["lastDesiredVersion"] == 2
        assert first["modules"] == {}
        await hub.until(lambda reported: state(reported) == "running")

    with_hub(work, pace=Pace(0, 0, start=0.1, retry=60))


REFUSED = {
    "schema version": (content(agent_schema="1.2"), 412),
    "no schema version": (content(agent_schema=None), 400),
    "blank schema version": (content(agent_schema=" "), 412),
    "no status": (content({"scorer": {"type": "docker", "settings": {"image": SCORER}}}), 400),
    "image with tag and digest": (content({"scorer": module("a/b:1@sha256:" + "0" * 64)}), 400),
    "placeholder": (content({"scorer": module("${MODULES.scorer}")}), 400),
    "restart policy": (content({"scorer": module(restartPolicy="sometimes")}), 400),
    "pull policy": (content({"scorer": module(imagePullPolicy="always")}), 400),
    "create options": (content({"scorer": module(createOptions="{")}), 400),
    "blank password": (content(credentials={"a": {"address": "a.io", "username": "u", "password": " "}}), 400),
    "env": (content({"scorer": module(env={"A": "b"})}), 400),
    "no such type": (content({"scorer": {**module(), "type": "Docker"}}), 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_manifest_leaves_the_old_version_and_its_modules(name: str) -> None:
    sent, status = REFUSED[name]

    async def work(hub: HubService) -> None:
        await hub.apply(content({"old": module()}))
        before = await hub.settled()
        assert (await hub.apply(sent)).status == 204
        after = await refused(hub, status)
        assert after["lastDesiredVersion"] == before["lastDesiredVersion"]
        assert state(after, "old") == "running"
        assert "scorer" not in after["modules"]
        if status == 400:
            assert after["lastDesiredStatus"]["description"] == "Agent configuration format is invalid."

    with_hub(work)


def test_a_user_module_with_a_reserved_name_fails_with_the_old_version() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content())
        before = await hub.settled()
        await hub.apply(content({"edgeHub": module()}))
        after = await refused(hub, 500)
        assert after["lastDesiredVersion"] == before["lastDesiredVersion"]
        assert "same key" in after["lastDesiredStatus"]["description"]

    with_hub(work)


def test_a_failed_pull_is_500_with_the_new_version_and_docker_s_words() -> None:
    async def work(hub: HubService) -> None:
        hub.images.problems[SCORER] = "unauthorized: authentication required"
        await hub.apply(content({"scorer": module(SCORER), "other": module()}))
        reported = await hub.until(lambda now: code(now) == 500 and state(now, "other") == "running")
        assert reported["lastDesiredStatus"]["description"] == (
            "One or more errors occurred. (Error calling Create module scorer: Could not create module scorer\n"
            f"\tcaused by: Could not pull image {SCORER}\n\tcaused by: unauthorized: authentication required)"
        )
        assert "scorer" not in reported["modules"]
        hub.images.problems.clear()
        reported = await hub.settled(200)
        assert state(reported) == "running"

    with_hub(work)


def test_an_update_whose_pull_fails_stays_on_the_old_image() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module("acme.azurecr.io/scorer:1")}))
        await hub.settled()
        hub.images.problems["acme.azurecr.io/scorer:2"] = "manifest unknown"
        await hub.apply(content({"scorer": module("acme.azurecr.io/scorer:2")}))
        reported = await hub.settled(500)
        assert reported["modules"]["scorer"]["settings"]["image"] == "acme.azurecr.io/scorer:1"
        assert state(reported) == "running"

    with_hub(work)


def test_several_failures_are_reported_together() -> None:
    async def work(hub: HubService) -> None:
        hub.images.problems |= {"a.io/x:1": "no such host", "a.io/y:1": "no such host"}
        await hub.apply(content({"x": module("a.io/x:1"), "y": module("a.io/y:1")}))
        description = (await hub.settled(500))["lastDesiredStatus"]["description"]
        assert description.count("(Error calling Create module") == 2

    with_hub(work)


def credential(address: str) -> dict[str, str]:
    return {"address": address, "username": "user", "password": "pass-word"}


@pytest.mark.parametrize(
    ("image", "address", "used"),
    [
        ("acme.azurecr.io/scorer:1", "acme.azurecr.io", True),
        ("acme.azurecr.io/scorer:1", "ACME.azurecr.io", True),
        ("acme.azurecr.io:443/scorer:1", "acme.azurecr.io:443", True),
        ("user/scorer:1", "https://index.docker.io/v1/", True),
        ("docker.io/user/scorer:1", "docker.io", True),
        ("acme.azurecr.io/scorer:1", "https://acme.azurecr.io", False),
        ("acme.azurecr.io/scorer:1", "acme.azurecr.io/", False),
        ("acme.azurecr.io/scorer:1", "other.azurecr.io", False),
        ("user/scorer:1", "docker.io", False),
        ("scorer:1", "https://index.docker.io/v1/", False),
    ],
)
def test_a_credential_is_used_if_its_address_is_the_image_s_host(image: str, address: str, used: bool) -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module(image)}, credentials={"acme": credential(address)}))
        await hub.settled()
        sent = dict(hub.images.pulled)[image]
        assert sent == (credential(address) if used else None)

    with_hub(work)


def test_what_did_not_change_is_not_pulled_again() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module(SCORER)}))
        started = (await hub.settled())["modules"]["scorer"]["lastStartTimeUtc"]
        hub.images.pulled.clear()
        await hub.apply(content({"scorer": module(SCORER, restartPolicy="never"), "new": module()}))
        reported = await hub.settled()
        assert [image for image, _ in hub.images.pulled] == ["mcr.microsoft.com/sensor:1.0"]
        assert reported["modules"]["scorer"]["lastStartTimeUtc"] == started
        assert reported["modules"]["scorer"]["restartPolicy"] == "never"
        await hub.apply(content({"scorer": module(SCORER, env={"A": {"value": "b"}}, restartPolicy="never")}))
        reported = await hub.settled()
        assert reported["modules"]["scorer"]["lastStartTimeUtc"] > started
        assert "new" not in reported["modules"]

    with_hub(work)


def test_modules_start_in_their_order() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(
            content(
                {
                    "a": module("a.io/a:1"),
                    "b": module("a.io/b:1", startupOrder=1),
                    "c": module("a.io/c:1", startupOrder=0),
                }
            )
        )
        await hub.settled()
        images = [image for image, _ in hub.images.pulled]
        assert [image for image in images if image.startswith("a.io/")] == ["a.io/c:1", "a.io/b:1", "a.io/a:1"]
        assert images[0].startswith("mcr.microsoft.com/azureiotedge-agent")

    with_hub(work)


@pytest.mark.parametrize("status", ["stopped", "failed", "Stopped"])
def test_only_running_modules_are_started(status: str) -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module(status=status)}))
        assert state(await hub.settled()) == "stopped"
        await hub.apply(content({"scorer": module()}))
        assert state(await hub.settled()) == "running"
        await hub.apply(content({"scorer": module(status=status)}))
        assert state(await hub.settled()) == "stopped"

    with_hub(work)


def published(port: str) -> str:
    return '{"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "' + port + '"}]}}}'


def test_a_host_port_is_taken_once() -> None:
    async def work(hub: HubService) -> None:
        both = {name: module(createOptions=published("8080")) for name in ("first", "second")}
        await hub.apply(content(both))
        reported = await hub.settled(500)
        assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in reported["lastDesiredStatus"]["description"]
        assert "Error calling start module second" in reported["lastDesiredStatus"]["description"]
        assert (state(reported, "first"), state(reported, "second")) == ("running", "stopped")
        await hub.apply(content({"first": both["first"], "second": module(createOptions=published("8081"))}))
        assert state(await hub.settled(), "second") == "running"

    with_hub(work)


def test_a_container_that_cannot_be_made_is_reported_in_docker_s_words() -> None:
    async def work(hub: HubService) -> None:
        faults.set_module_fault(hub.world, "edge-01", "scorer", ModuleFault("create", "invalid mount config"))
        await hub.apply(content({"scorer": module()}))
        reported = await hub.settled(500)
        assert "caused by: invalid mount config" in reported["lastDesiredStatus"]["description"]
        faults.set_module_fault(hub.world, "edge-01", "scorer", None)
        assert state(await hub.settled(200)) == "running"

    with_hub(work)


def test_a_pull_can_be_made_to_fail() -> None:
    async def work(hub: HubService) -> None:
        faults.set_module_fault(hub.world, "edge-01", "*", ModuleFault("pull", "i/o timeout", image=SCORER))
        await hub.apply(content({"scorer": module(SCORER), "other": module()}))
        reported = await hub.until(lambda now: code(now) == 500 and state(now, "other") == "running")
        assert "i/o timeout" in reported["lastDesiredStatus"]["description"]

    with_hub(work)


def test_a_module_that_ends_is_started_again_and_again() -> None:
    async def work(hub: HubService) -> None:
        faults.set_module_fault(hub.world, "edge-01", "scorer", ModuleFault("exit", exit_code=3))
        await hub.apply(content({"scorer": module()}))
        reported = await hub.until(
            lambda reported: reported.get("modules", {}).get("scorer", {}).get("restartCount", 0) > 1
        )
        found = reported["modules"]["scorer"]
        assert (found["runtimeStatus"], found["exitCode"], code(reported)) == ("backoff", 3, 200)
        faults.set_module_fault(hub.world, "edge-01", "scorer", None)
        reported = await hub.until(lambda reported: state(reported) == "running")
        assert reported["modules"]["scorer"]["exitCode"] == 0

    with_hub(work)


@pytest.mark.parametrize(
    ("policy", "exit_code", "expected"),
    [
        ("always", 0, "backoff"),
        ("on-failure", 1, "backoff"),
        ("on-failure", 0, "stopped"),
        ("on-unhealthy", 1, "backoff"),
        ("never", 1, "failed"),
        ("never", 0, "stopped"),
    ],
)
def test_the_restart_policy_decides_what_becomes_of_a_module_that_ended(
    policy: str, exit_code: int, expected: str
) -> None:
    async def work(hub: HubService) -> None:
        faults.set_module_fault(hub.world, "edge-01", "scorer", ModuleFault("exit", exit_code=exit_code))
        await hub.apply(content({"scorer": module(restartPolicy=policy)}))
        reported = await hub.settled()
        assert state(reported) == expected
        assert reported["modules"]["scorer"]["exitCode"] == exit_code
        # Another look at the same manifest does not bring it back.
        await hub.apply(content({"scorer": module(restartPolicy=policy)}))
        assert state(await hub.settled()) == expected

    with_hub(work, pace=Pace(0, 0, 0, retry=60))


def test_edge_agent_gives_up_after_twenty_restarts() -> None:
    async def work(hub: HubService) -> None:
        faults.set_module_fault(hub.world, "edge-01", "scorer", ModuleFault("exit", exit_code=1))
        await hub.apply(content({"scorer": module()}))
        reported = await hub.until(lambda reported: state(reported) == "failed")
        assert reported["modules"]["scorer"]["restartCount"] == 20

    with_hub(work, pace=Pace(0, 0, 0, retry=0.0001))


def test_pauses_double_up_to_thirty_times_the_first() -> None:
    pauses = [edge_agent.pause(failures, 10.0) for failures in (1, 2, 3, 6, 20, 21)]
    assert pauses == [10.0, 20.0, 40.0, 300.0, 300.0, None]


@pytest.mark.parametrize(
    ("platforms", "words"),
    [
        (("linux/arm64",), "exec format error"),
        (("linux/arm64", "linux/arm/v7"), "no matching manifest for linux/amd64"),
    ],
)
def test_an_image_for_another_platform_does_not_run(platforms: tuple[str, ...], words: str) -> None:
    async def work(hub: HubService) -> None:
        hub.images.platforms[SCORER] = platforms
        await hub.apply(content({"scorer": module(SCORER)}))
        assert words in (await hub.settled(500))["lastDesiredStatus"]["description"]

    with_hub(work)


def test_an_image_that_may_not_be_pulled_must_be_there_already() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module(SCORER, imagePullPolicy="never")}))
        assert f"No such image: {SCORER}" in (await hub.settled(500))["lastDesiredStatus"]["description"]
        assert SCORER not in dict(hub.images.pulled)

    with_hub(work)


def test_a_device_that_is_offline_takes_its_modules_when_it_comes_back() -> None:
    async def work(hub: HubService) -> None:
        await refused(hub, 417)
        faults.set_device_online(hub.world, "edge-01", False)
        assert (await hub.get("/devices/edge-01"))["connectionState"] == "Disconnected"
        assert (await hub.get("/twins/edge-01/modules/$edgeAgent"))["connectionState"] == "Disconnected"
        await hub.apply(content({"scorer": module()}))
        for _ in range(10):
            await asyncio.sleep(0.002)
        assert code(await hub.reported()) == 417
        assert hub.images.pulled == []
        faults.set_device_online(hub.world, "edge-01", True)
        assert state(await hub.settled()) == "running"

    with_hub(work)


def test_a_disabled_device_is_not_connected() -> None:
    async def work(hub: HubService) -> None:
        body = {"status": "disabled", "capabilities": {"iotEdge": True}}
        await hub.call("PUT", "/devices/edge-01", body, If_Match="*")
        assert (await hub.get("/devices/edge-01"))["connectionState"] == "Disconnected"

    with_hub(work)


def test_a_report_that_is_too_large_is_not_taken() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content())
        await hub.settled()
        # Desired properties just below 32 KB: what is reported adds status, times and hashes.
        options = '{"Labels":{"a":"' + "x" * 3900 + '"}}'
        sent = content({f"m{number}": module(createOptions=options) for number in range(8)})
        assert (await hub.apply(sent)).status == 204
        reported = await hub.settled()
        assert len(hub.images.pulled) == 10
        # The first report, of the old modules, was small enough; the one that shows the new modules never comes.
        assert reported["modules"] == {}

    with_hub(work)


def test_a_route_that_edge_hub_cannot_parse_refuses_them_all() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content())
        await hub.settled()
        await hub.apply(content(routes={"good": "FROM /* INTO $upstream", "bad": "FORM /* INTO $upstream"}))
        reported = await hub.until(lambda reported: code(reported) == 400, "$edgeHub")
        assert reported["lastDesiredStatus"]["description"].startswith("Error while parsing desired properties - ")
        twin = await hub.get("/twins/edge-01/modules/$edgeHub")
        assert reported["lastDesiredVersion"] == twin["properties"]["desired"]["$version"]
        assert state(await hub.settled(), "edgeHub", "systemModules") == "running"

    with_hub(work)


WRONG_TYPE = "FROM /messages/* WHERE temperature > 30 INTO $upstream"


def test_a_route_that_does_not_compile_is_reported_as_fine() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content())
        await hub.settled()
        await hub.apply(content(routes={"up": WRONG_TYPE}))
        reported = await hub.settled()
        assert state(reported, "edgeHub", "systemModules") == "running"
        assert code(await hub.reported("$edgeHub")) == 200
        assert hub.world.store.get("hub:agent", "edge-01")["routes"] == {"up": "FROM /messages/* INTO $upstream"}

    with_hub(work)


@pytest.mark.parametrize(("route", "status"), [(WRONG_TYPE, 200), ("FORM /* INTO $upstream", 400)])
def test_an_edge_hub_that_never_had_routes_stops(route: str, status: int) -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content(routes={"up": route}))
        reported = await hub.settled()
        assert state(reported, "edgeHub", "systemModules") == "backoff"
        assert code(await hub.reported("$edgeHub")) == status
        await hub.apply(content())
        await hub.until(lambda reported: state(reported, "edgeHub", "systemModules") == "running")

    with_hub(work)


def test_a_sandbox_that_starts_again_resumes() -> None:
    store = Store()

    async def begin(hub: HubService) -> None:
        await refused(hub, 417)
        await hub.apply(content({"scorer": module()}))

    async def finish(hub: HubService) -> None:
        assert state(await hub.settled()) == "running"
        assert await hub.get("/devices") != []

    with_hub(begin, store=store, pace=Pace(0, pull=60, start=0, retry=0.01))
    assert store.count("hub:unsettled") == 1
    with_hub(finish, store=store)
    assert store.count("hub:unsettled") == 0
    store.close()


def test_a_first_device_that_was_deleted_does_not_come_back() -> None:
    store = Store()

    async def delete(hub: HubService) -> None:
        assert (await hub.call("DELETE", "/devices/edge-01", If_Match="*")).status == 204

    async def look(hub: HubService) -> None:
        assert await hub.get("/devices") == []

    with_hub(delete, store=store)
    with_hub(look, store=store)
    store.close()


def test_without_agents_devices_are_rows_only() -> None:
    async def work(hub: HubService) -> None:
        enable_agents(hub.world, False)
        await hub.add("d1")
        assert (await hub.apply(content({"scorer": module()}), device="d1")).status == 204
        assert (await hub.get("/devices/d1"))["connectionState"] == "Disconnected"
        assert "lastDesiredVersion" not in await hub.reported(device="d1")
        assert hub.world.store.get("hub:unsettled", "d1") is None

    with_hub(work)


def test_a_deleted_device_leaves_nothing() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module()}))
        await hub.settled()
        await hub.call("DELETE", "/devices/edge-01", If_Match="*")
        await asyncio.sleep(0.02)
        assert {kind for kind, number in hub.world.store.counts().items() if number} == {"secret", "hub-setting"}

    with_hub(work)


def test_many_devices_do_not_all_wake_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = 0
    most = 0

    async def pull(self: Images, world: World, image: str, credential: Mapping[str, str] | None) -> PullResult:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return PullResult(digest="sha256:0")

    monkeypatch.setattr(Images, "pull", pull)

    async def work(hub: HubService) -> None:
        names = [f"d{number}" for number in range(150)]
        for name in names:
            await hub.add(name)
        body = {"content": content({"scorer": module()}), "targetCondition": "*", "priority": 1}
        assert (await hub.call("PUT", "/configurations/all", body)).status == 201
        for name in names:
            await hub.settled(device=name)
        assert 1 < most <= 64

    with_hub(work)
