from __future__ import annotations

import base64
import hashlib
import hmac
import time
from urllib.parse import quote, quote_plus

import pytest
from fakes.hub_service import HubService, content, module, with_hub

from manifestgen.sandbox import entra
from manifestgen.sandbox.hub.auth import connection_string, policy_key


def test_the_first_device_is_there_and_connected() -> None:
    async def work(hub: HubService) -> None:
        device = await hub.get("/devices/edge-01")
        assert device["capabilities"] == {"iotEdge": True}
        assert device["connectionState"] == "Connected"
        assert device["deviceScope"].startswith("ms-azure-iot-edge://edge-01-")
        assert len(base64.b64decode(device["authentication"]["symmetricKey"]["primaryKey"])) == 32

    with_hub(work)


@pytest.mark.parametrize("version", ["2021-04-12", "2024-03-31"])
def test_both_clients_versions_are_served(version: str) -> None:
    async def work(hub: HubService) -> None:
        assert (await hub.call("GET", "/devices/edge-01", version=version)).status == 200

    with_hub(work)


@pytest.mark.parametrize("version", [None, "2016-02-03", "2021-04-12 "])
def test_another_version_is_refused(version: str | None) -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.call("GET", "/devices/edge-01", version=version)
        assert (answer.status, answer.code) == (400, "InvalidProtocolVersion")
        assert answer.json["Message"].startswith("ErrorCode:InvalidProtocolVersion;")
        assert answer.json["ExceptionMessage"].startswith("Tracking ID:")

    with_hub(work)


def signed(resource: str, key: str, policy: str = "iothubowner", expiry: int | None = None) -> str:
    """A signature made by hand, as the service's documentation says."""
    audience, until = quote_plus(resource), str(int(time.time()) + 60 if expiry is None else expiry)
    digest = hmac.digest(base64.b64decode(key), f"{audience}\n{until}".encode(), hashlib.sha256)
    signature = quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={audience}&sig={signature}&se={until}&skn={policy}"


def test_signatures_are_checked() -> None:
    async def work(hub: HubService) -> None:
        key = policy_key(hub.world, "iothubowner")
        host = f"localhost:{hub._client.port}"
        good = [signed(host, key), signed(host.upper(), key), signed(f"{host}/devices", key)]
        bad = {
            "no token": "",
            "no scheme": key,
            "another key": signed(host, base64.b64encode(b"x" * 32).decode()),
            "another host": signed("other.azure-devices.net", key),
            "part of the host": signed("local", key),
            "another path": signed(f"{host}/twins", key),
            "expired": signed(host, key, expiry=int(time.time()) - 1),
            "expiry changed": signed(host, key).replace("&se=", "&se=9"),
            "no number": signed(host, key).replace("&se=", "&se=x"),
            "unknown policy": signed(host, key, policy="root"),
            "policy of another key": signed(host, key, policy="service"),
            "no policy": signed(host, key).partition("&skn")[0],
            "no base64": signed(host, key).replace("sig=", "sig=!"),
            "bearer of nothing": "Bearer abc",
        }
        for token in good:
            assert (await hub.call("GET", "/devices/edge-01", Authorization=token)).status == 200
        for name, token in bad.items():
            answer = await hub.call("GET", "/devices/edge-01", Authorization=token)
            assert (name, answer.status, answer.code) == (name, 401, "IotHubUnauthorizedAccess")

    with_hub(work)


@pytest.mark.parametrize(
    ("policy", "read", "twin", "write"),
    [
        ("iothubowner", 200, 200, 204),
        ("service", 401, 200, 401),
        ("registryRead", 200, 401, 401),
        ("registryReadWrite", 200, 401, 204),
        ("device", 401, 401, 401),
    ],
)
def test_a_policy_grants_its_rights_and_no_more(policy: str, read: int, twin: int, write: int) -> None:
    async def work(hub: HubService) -> None:
        token = hub.token(policy)
        path = "/devices/edge-01/applyConfigurationContent"
        assert (await hub.call("GET", "/devices/edge-01", Authorization=token)).status == read
        assert (await hub.call("GET", "/twins/edge-01", Authorization=token)).status == twin
        assert (await hub.call("POST", path, content(), Authorization=token)).status == write

    with_hub(work)


def test_a_bearer_token_needs_the_hub_s_audience() -> None:
    async def work(hub: HubService) -> None:
        token, _ = entra.issue_token(hub.world, "https://iothubs.azure.net")
        assert (await hub.call("GET", "/twins/edge-01", Authorization=f"Bearer {token}")).status == 200
        other, _ = entra.issue_token(hub.world, "https://management.azure.com")
        answer = await hub.call("GET", "/twins/edge-01", Authorization=f"Bearer {other}")
        assert (answer.status, answer.code) == (401, "IotHubUnauthorizedAccess")
        assert "audience" in answer.json["Message"]

    with_hub(work)


def test_a_connection_string_has_the_form_that_the_sdk_reads() -> None:
    async def work(hub: HubService) -> None:
        text = connection_string(hub.world, "service")
        assert text.startswith("HostName=sandbox-hub.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=")
        assert hub.world.secret("hub:service") == policy_key(hub.world, "service")

    with_hub(work)


def test_another_hub_s_name_is_not_answered() -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.call("GET", "/devices/edge-01", Host="other.azure-devices.net")
        assert (answer.status, answer.code) == (404, "IotHubNotFound")

    with_hub(work)


def test_a_device_is_made_read_changed_and_deleted() -> None:
    async def work(hub: HubService) -> None:
        made = await hub.call("PUT", "/devices/d1", {"deviceId": "d1", "status": "enabled"})
        assert made.status == 200
        assert made.headers["ETag"] == f'"{made.json["etag"]}"'
        assert "deviceScope" not in made.json
        again = await hub.call("PUT", "/devices/d1", {"deviceId": "d1"})
        assert (again.status, again.code) == (409, "DeviceAlreadyExists")
        body = {"deviceId": "d1", "status": "disabled", "statusReason": "lost"}
        changed = await hub.call("PUT", "/devices/d1", body, If_Match=made.headers["ETag"])
        assert (changed.json["status"], changed.json["statusReason"]) == ("disabled", "lost")
        stale = await hub.call("PUT", "/devices/d1", body, If_Match=made.headers["ETag"])
        assert (stale.status, stale.code) == (412, "PreconditionFailed")
        assert (await hub.call("PUT", "/devices/d1", body, If_Match='"*"')).status == 200
        assert (await hub.call("DELETE", "/devices/d1")).status == 400
        assert (await hub.call("DELETE", "/devices/d1", If_Match=made.headers["ETag"])).status == 412
        assert (await hub.call("DELETE", "/devices/d1", If_Match="*")).status == 204
        gone = await hub.call("GET", "/devices/d1")
        assert (gone.status, gone.code) == (404, "DeviceNotFound")
        assert (await hub.call("PUT", "/devices/d1", body, If_Match="*")).status == 404

    with_hub(work)


@pytest.mark.parametrize(
    "body",
    [
        {"deviceId": "other"},
        {"status": "sleeping"},
        {"authentication": {"type": "magic"}},
        {"authentication": "sas"},
        {"authentication": {"type": "sas", "symmetricKey": {"primaryKey": "short"}}},
        {"capabilities": {"iotEdge": "yes"}},
        {"parentScopes": "ms-azure-iot-edge://x-1"},
        {"capabilities": {"iotEdge": True}, "parentScopes": ["ms-azure-iot-edge://edge-01-1"]},
        [],
    ],
)
def test_a_malformed_device_is_refused(body: object) -> None:
    async def work(hub: HubService) -> None:
        assert (await hub.call("PUT", "/devices/d1", body)).status == 400
        assert (await hub.call("GET", "/devices/d1")).status == 404

    with_hub(work)


@pytest.mark.parametrize("path", ["/devices/a%20b", "/devices/" + "x" * 129, "/devices/%C3%A4"])
def test_an_id_keeps_to_its_characters(path: str) -> None:
    async def work(hub: HubService) -> None:
        assert (await hub.call("PUT", path, {})).status == 400

    with_hub(work)


def test_keys_that_are_given_are_kept() -> None:
    async def work(hub: HubService) -> None:
        keys = {
            "primaryKey": base64.b64encode(b"p" * 32).decode(),
            "secondaryKey": base64.b64encode(b"s" * 32).decode(),
        }
        await hub.call("PUT", "/devices/d1", {"authentication": {"type": "sas", "symmetricKey": keys}})
        assert (await hub.get("/devices/d1"))["authentication"]["symmetricKey"] == keys

    with_hub(work)


def test_a_child_has_its_parent_s_scope() -> None:
    async def work(hub: HubService) -> None:
        scope = (await hub.get("/devices/edge-01"))["deviceScope"]
        body = {"capabilities": {"iotEdge": True}, "parentScopes": [scope]}
        child = (await hub.call("PUT", "/devices/child", body)).json
        assert child["parentScopes"] == [scope]
        assert child["deviceScope"] != scope
        moved = {**body, "deviceScope": scope}
        assert (await hub.call("PUT", "/devices/child", moved, If_Match="*")).status == 400
        leaf = (await hub.call("PUT", "/devices/leaf", {"deviceScope": scope})).json
        assert (leaf["deviceScope"], leaf["parentScopes"]) == (scope, [scope])

    with_hub(work)


def test_a_device_becomes_an_edge_device_and_stays_one() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("d1", edge=False)
        assert await hub.get("/devices/d1/modules") == []
        await hub.call("PUT", "/devices/d1", {"capabilities": {"iotEdge": True}}, If_Match="*")
        assert [entry["moduleId"] for entry in await hub.get("/devices/d1/modules")] == ["$edgeAgent", "$edgeHub"]
        assert (await hub.call("PUT", "/devices/d1", {}, If_Match="*")).status == 400

    with_hub(work)


def test_devices_are_listed_up_to_top() -> None:
    async def work(hub: HubService) -> None:
        for number in range(3):
            await hub.add(f"d{number}", edge=False)
        assert [entry["deviceId"] for entry in await hub.get("/devices")] == ["d0", "d1", "d2", "edge-01"]
        assert len(await hub.get("/devices?top=2")) == 2
        assert (await hub.call("GET", "/devices?top=x")).status == 400

    with_hub(work)


def test_modules_are_made_read_and_deleted() -> None:
    async def work(hub: HubService) -> None:
        path = "/devices/edge-01/modules/mine"
        made = await hub.call("PUT", path, {"deviceId": "edge-01", "moduleId": "mine", "managedBy": "me"})
        assert (made.status, made.json["managedBy"]) == (201, "me")
        assert (await hub.call("PUT", path, {})).code == "ModuleAlreadyExistsOnDevice"
        changed = await hub.call("PUT", path, {"managedBy": "you"}, If_Match=made.headers["ETag"])
        assert (changed.status, changed.json["managedBy"]) == (200, "you")
        assert (await hub.call("PUT", path, {}, If_Match=made.headers["ETag"])).status == 412
        assert (await hub.call("DELETE", path, If_Match="*")).status == 204
        assert (await hub.call("GET", path)).code == "ModuleNotFound"
        assert (await hub.call("DELETE", "/devices/edge-01/modules/$edgeAgent", If_Match="*")).status == 400
        assert (await hub.call("GET", "/devices/nobody/modules")).code == "DeviceNotFound"
        assert (await hub.call("PUT", path, {"moduleId": "other"})).status == 400

    with_hub(work)


def test_modules_of_other_tools_survive_a_manifest() -> None:
    async def work(hub: HubService) -> None:
        await hub.call("PUT", "/devices/edge-01/modules/mine", {"managedBy": "me"})
        await hub.apply(content({"scorer": module()}))
        await hub.apply(content())
        names = {entry["moduleId"]: entry["managedBy"] for entry in await hub.get("/devices/edge-01/modules")}
        assert names == {"$edgeAgent": "iotEdge", "$edgeHub": "iotEdge", "mine": "me"}

    with_hub(work)


def test_statistics_count_devices() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("d1", edge=False)
        await hub.call("PUT", "/devices/d1", {"status": "disabled"}, If_Match="*")
        counts = await hub.get("/statistics/devices")
        assert counts == {"totalDeviceCount": 2, "enabledDeviceCount": 1, "disabledDeviceCount": 1}
        assert await hub.get("/statistics/service") == {"connectedDeviceCount": 1}

    with_hub(work)


def test_both_keys_of_a_policy_sign() -> None:
    async def work(hub: HubService) -> None:
        host = f"localhost:{hub._client.port}"
        for second in (False, True):
            key = policy_key(hub.world, "iothubowner", secondary=second)
            assert (await hub.call("GET", "/devices/edge-01", Authorization=signed(host, key))).status == 200
        other = signed(host, policy_key(hub.world, "service", secondary=True))
        assert (await hub.call("GET", "/devices/edge-01", Authorization=other)).status == 401

    with_hub(work)


def test_an_empty_key_asks_for_a_new_one() -> None:
    async def work(hub: HubService) -> None:
        keys = {"primaryKey": "", "secondaryKey": ""}
        device = await hub.call("PUT", "/devices/of-node", {"authentication": {"type": "sas", "symmetricKey": keys}})
        made = device.json["authentication"]["symmetricKey"]
        assert {len(base64.b64decode(made[name])) for name in keys} == {32}
        module = {"moduleId": "m", "deviceId": "of-node", "authentication": {"symmetricKey": keys}}
        made = (await hub.call("PUT", "/devices/of-node/modules/m", module)).json["authentication"]["symmetricKey"]
        assert {len(base64.b64decode(made[name])) for name in keys} == {32}

    with_hub(work)


def test_devices_are_listed_at_the_address_with_a_slash_too() -> None:
    async def work(hub: HubService) -> None:
        assert [device["deviceId"] for device in await hub.get("/devices/")] == ["edge-01"]

    with_hub(work)
