"""Every call goes through Microsoft's SDK and through the REST client, and what each of them sends is compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

import pytest
import requests
from fakes.hub_service import content, module

from manifestgen.azure.iot_hub import IotHub, connect, wire
from manifestgen.azure.patience import Patience
from manifestgen.cloud import Configuration
from manifestgen.secret import Secret

uamqp = pytest.importorskip("uamqp", reason="Microsoft's SDK for IoT Hub is not installed")

# With every character that an id may have and a path may not.
DEVICE: Final = "compared:.+%_#*?!(),=@;$'"
TEXT: Final = "größer, 'quoted' and \"so\" \\ 100 %"

# Headers in which the two differ, and why that is right.
EXPLAINED: Final = {
    "User-Agent": "each names itself and its libraries; both name manifestgen and its version",
    "Authorization": "a signature holds the second at which it ends; its resource and policy are compared",
}
# What the hub makes anew for each device, and the bodies repeat.
RANDOM: Final = {rb"ms-azure-iot-edge://(.*?)-\d{15,}": rb"ms-azure-iot-edge://\1-SCOPE"}


@dataclass(frozen=True)
class Sent:
    """A request as it went to the socket."""

    method: str
    path: str
    query: tuple[str, ...]
    headers: dict[str, str] = field(compare=False)
    body: bytes

    @property
    def operation(self) -> tuple[str, str]:
        path = self.path.replace(quote(DEVICE, safe=""), "{device}").replace("%24edgeAgent", "{module}")
        return self.method, path.replace("compared-configuration", "{configuration}")


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sent]]:
    """What this process sends to a hub in the meantime; both clients send it with requests."""
    found: list[Sent] = []
    send = requests.adapters.HTTPAdapter.send

    def record(self: Any, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        assert request.url is not None
        path, _, query = request.url.partition("azure-devices.net")[2].partition("?")
        body = request.body or b""
        parts = tuple(sorted(query.split("&")))
        sent = body.encode() if isinstance(body, str) else bytes(body)
        for pattern, name in RANDOM.items():
            sent = re.sub(pattern, name, sent)
        found.append(Sent(str(request.method), path, parts, dict(request.headers), sent))
        return send(self, request, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(requests.adapters.HTTPAdapter, "send", record)
        yield found


def every_call(hub: IotHub) -> None:
    """Every method of `cloud.Hub` and `cloud.BulkHub`, with values that are easily written in two ways."""
    hub.register_device(DEVICE, tags={"site": TEXT, "none": None, "deep": {"list": [1, 2.5, None, {}]}})
    hub.register_device(f"{DEVICE}-child", parent=DEVICE)
    hub.device(DEVICE)
    list(hub.devices())
    hub.connection_string(DEVICE)
    hub.modules(DEVICE)
    hub.module_twin(DEVICE, "$edgeAgent")
    env = {"TEXT": {"value": TEXT}, "EMPTY": {"value": ""}}
    twins: dict[str, Any] = {
        "scorer": {"limit": 5, "half": 0.5, "yes": True, "gone": None, "names": ["ä", {"x": [None, {}]}], "e": {}}
    }
    sent = content({"scorer": module("acme.azurecr.io/scorer:1", env=env)}, twins=twins)
    hub.set_modules(DEVICE, sent)
    hub.set_tags(DEVICE, {"site": None, "line": 7})
    payloads: tuple[Any, ...] = (
        None,
        {"schemaVersion": "1.0", "id": TEXT, "none": None, "list": []},
        "text",
        5,
        False,
        [1, None],
    )
    for payload in payloads:
        hub.invoke_method(DEVICE, "$edgeAgent", "ping", payload, response_timeout=20, connect_timeout=3)
    wanted = Configuration(
        "compared-configuration", sent, "tags.line = 7", 3, {"team": TEXT}, {"m": "SELECT deviceId FROM devices"}
    )
    hub.create_configuration(wanted)
    found = hub.configuration(wanted.id)
    hub.update_configuration(replace(found, priority=0, labels={}, metrics={}, condition=""))
    hub.configurations()
    hub.test_queries("tags.line = 7", {"m": "SELECT deviceId FROM devices"})
    hub.test_queries("", {})
    list(hub.query("SELECT deviceId FROM devices"))
    hub.delete_configuration(hub.configuration(wanted.id))
    bulk = hub.bulk()
    bulk.set_modules(DEVICE, json.dumps(sent).encode())
    bulk.desired(DEVICE, "$edgeAgent")
    hub.delete_device(f"{DEVICE}-child")
    hub.delete_device(DEVICE)


def made_by(client: str, sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> Sequence[Sent]:
    monkeypatch.setenv("MANIFESTGEN_HUB_CLIENT", client)
    monkeypatch.setattr("manifestgen.azure.iot_hub.hub._PAGE", 2)
    monkeypatch.setattr("manifestgen.azure.iot_hub.configurations._PAGE", 1)
    text = sandbox.environment["IOTHUB_CONNECTION_STRING"]
    hub = connect(connection_string=Secret(text), patience=Patience(total=0, unreachable=0))
    with recorded(monkeypatch) as found:
        every_call(hub)
    return found


@pytest.fixture
def both(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Sequence[Sent], Sequence[Sent]]:
    return made_by("sdk", sandbox, monkeypatch), made_by("rest", sandbox, monkeypatch)


def test_both_clients_send_the_same(both: tuple[Sequence[Sent], Sequence[Sent]]) -> None:
    sdk, rest = both
    assert len(sdk) == len(rest)
    operations = {(one.method, one.path) for one in vars(wire).values() if isinstance(one, wire.Operation)}
    assert operations <= {sent.operation for sent in sdk}, "an operation is not compared"
    differing: set[str] = set()
    for one, other in zip(sdk, rest, strict=True):
        assert one.method == other.method
        assert one == other, one.operation
        for name in one.headers.keys() | other.headers.keys():
            if one.headers.get(name) != other.headers.get(name):
                differing.add(name)
                assert name in EXPLAINED, (one.operation, name, one.headers.get(name), other.headers.get(name))
    assert differing == EXPLAINED.keys(), "an explanation is out of date"
    print(f"\n{len(sdk)} requests, {len(operations)} operations compared; only these headers differ: {EXPLAINED}")


def test_what_differs_differs_only_as_explained(both: tuple[Sequence[Sent], Sequence[Sent]]) -> None:
    for one, other in zip(*both, strict=True):
        fields = [sent.headers["Authorization"].split("&") for sent in (one, other)]
        assert [[part.partition("=")[0] for part in found] for found in fields] == [
            ["SharedAccessSignature sr", "sig", "se", "skn"]
        ] * 2
        assert (fields[0][0], fields[0][3]) == (fields[1][0], fields[1][3])
        assert all("manifestgen/" in sent.headers["User-Agent"] for sent in (one, other))
