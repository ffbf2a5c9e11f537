"""What the hub's adapter says and does when things go wrong; the service is the sandbox."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from fakes.hub_service import content, module
from fakes.other_client import OtherClient

from manifestgen.azure import auth
from manifestgen.azure.auth import credential
from manifestgen.azure.iot_hub import IotHub, connect
from manifestgen.azure.patience import Patience
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError, NotFoundError, UnconfirmedError
from manifestgen.sandbox.hub.auth import connection_string
from manifestgen.secret import Secret

pytestmark = pytest.mark.usefixtures("hub_client")

QUICK = Patience(total=0.4, unreachable=0.1, first=0.01, longest=0.05)
EDGE = "edge-01"
APPLY = "applyConfigurationContent"


@pytest.fixture
def hub(sandbox: Any) -> IotHub:
    return connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]), patience=QUICK)


@pytest.fixture
def patient(sandbox: Any) -> IotHub:
    """A hub for what is to succeed at last, however slow the machine is."""
    patience = Patience(total=60.0, unreachable=60.0, first=0.01, longest=0.05)
    return connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]), patience=patience)


def requests_to(sandbox: Any, path: str) -> list[dict[str, Any]]:
    return [entry for entry in sandbox.admin("GET", "/requests") if path in entry["path"]]


def direct(sandbox: Any, **limits: Any) -> IotHub:
    """The hub without the proxy, where a connection that is cut is seen as what it is."""
    host = f"localhost:{sandbox.sandbox.port(sandbox.world.names.hub_host)}"
    return connect(
        connection_string=Secret(connection_string(sandbox.world, "iothubowner", host=host)),
        patience=replace(QUICK, **limits),
    )


READS: list[Callable[[IotHub], Any]] = [
    lambda hub: hub.device(EDGE),
    lambda hub: list(hub.devices()),
    lambda hub: hub.modules(EDGE),
    lambda hub: hub.module_twin(EDGE, "$edgeAgent"),
    lambda hub: hub.connection_string(EDGE),
]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_reads_are_repeated(sandbox: Any, patient: IotHub, read: Callable[[IotHub], Any], status: int) -> None:
    sandbox.fault("status", status=status, times=2)
    read(patient)
    assert [entry["status"] for entry in requests_to(sandbox, "/")] == [status, status, 200]


@pytest.mark.parametrize("kind", ["reset", "reset_after", "truncate"])
def test_reads_are_repeated_after_lost_answers(sandbox: Any, patient: IotHub, kind: str) -> None:
    sandbox.fault(kind, times=2)
    assert patient.module_twin(EDGE, "$edgeAgent") is not None
    assert len(requests_to(sandbox, "/twins/")) == 3


def test_a_slow_answer_is_not_waited_for(sandbox: Any) -> None:
    hub = direct(sandbox, answer=0.5, total=60.0)
    sandbox.fault("latency", seconds=2, times=1)
    assert hub.device(EDGE).id == EDGE
    assert hub.device(EDGE).id == EDGE


def test_endless_throttling_is_said_to_be_that(sandbox: Any) -> None:
    pauses: list[float] = []  # which alone take time: a busy machine could use it all up with the first request
    patience = Patience(total=60.0, first=1.0, longest=20.0, clock=lambda: sum(pauses), sleep=pauses.append)
    hub = connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]), patience=patience)
    sandbox.fault("status", status=429, times="forever")
    with pytest.raises(CloudError) as caught:
        hub.device(EDGE)
    assert "still throttled after" in caught.value.what
    assert "429 ThrottlingException" in caught.value.what
    assert len(requests_to(sandbox, "/twins/")) > 2


def test_retry_after_is_obeyed(sandbox: Any) -> None:
    pauses: list[float] = []
    patience = Patience(total=60.0, sleep=pauses.append)
    hub = connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]), patience=patience)
    sandbox.fault("status", status=429, times=2, retry_after=7)
    hub.set_modules(EDGE, content())
    assert pauses == [7.0, 7.0]


def test_a_pause_longer_than_the_patience_is_not_begun(sandbox: Any, hub: IotHub) -> None:
    sandbox.fault("status", status=429, times=1, retry_after=600)
    with pytest.raises(CloudError, match="asks to wait 600 s"):
        hub.device(EDGE)
    assert len(requests_to(sandbox, "/twins/")) == 1


def test_pauses_grow_and_are_random(sandbox: Any) -> None:
    pauses: list[float] = []
    patience = Patience(total=60.0, first=1.0, longest=4.0, sleep=pauses.append)
    hub = connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]), patience=patience)
    sandbox.fault("status", status=503, times=8)
    hub.device(EDGE)
    assert len(pauses) == 8
    assert all(0 <= pause <= 4 for pause in pauses)
    assert len(set(pauses)) == 8


@pytest.mark.parametrize(("status", "retry_after"), [(429, None), (429, 0), (503, 0)])
def test_throttled_applies_are_repeated(sandbox: Any, patient: IotHub, status: int, retry_after: int | None) -> None:
    sandbox.fault("status", status=status, retry_after=retry_after, times=3, path=APPLY)
    patient.set_modules(EDGE, content({"scorer": module()}))
    assert [entry["status"] for entry in requests_to(sandbox, APPLY)] == [status] * 3 + [204]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 500}, {"kind": "status", "status": 503}, {"kind": "status", "status": 504}]
    + [{"kind": kind} for kind in ("reset", "reset_after", "truncate")],
)
@pytest.mark.parametrize("way", ["proxy", "direct"])
def test_an_apply_whose_answer_is_lost_is_sent_once(sandbox: Any, hub: IotHub, fault: dict[str, Any], way: str) -> None:
    asked = hub if way == "proxy" else direct(sandbox)
    sandbox.fault(**fault, times=1, path=APPLY)
    with pytest.raises(UnconfirmedError) as caught:
        asked.set_modules(EDGE, content())
    assert "response to a change was lost" in caught.value.what
    assert EDGE in caught.value.where
    assert len(requests_to(sandbox, APPLY)) == 1


def test_an_apply_that_is_too_slow_is_unconfirmed(sandbox: Any, hub: IotHub, hub_client: str) -> None:
    hub.register_device(f"edge-slow-{hub_client}")  # which the change reaches some time later
    impatient = direct(sandbox, answer=0.2)
    sandbox.fault("latency", seconds=1, times=1, path=APPLY)
    with pytest.raises(UnconfirmedError):
        impatient.set_modules(f"edge-slow-{hub_client}", content())


def test_an_unknown_device_is_named_in_the_service_s_words(hub: IotHub) -> None:
    with pytest.raises(NotFoundError) as caught:
        hub.set_modules("edge-99", content())
    assert caught.value.where == f"device 'edge-99' in {hub.host}"
    assert "404 DeviceNotFound Device edge-99 not registered" in caught.value.what


def test_a_device_of_another_kind_cannot_run_modules(sandbox: Any, hub: IotHub, hub_client: str) -> None:
    leaf = f"leaf-{hub_client}"
    OtherClient(sandbox.environment["IOTHUB_CONNECTION_STRING"]).register(leaf)
    with pytest.raises(CloudError) as caught:
        hub.set_modules(leaf, content())
    assert caught.value.what == "it is not an IoT Edge device, so it cannot run modules"
    assert "device register" in caught.value.fix
    with pytest.raises(CloudError, match="cannot be a parent"):
        hub.register_device("child-01", parent=leaf)


def test_a_refused_manifest_comes_with_the_service_s_words(hub: IotHub) -> None:
    with pytest.raises(CloudError) as caught:
        hub.set_modules(EDGE, content({"scorer": module(createOptions="x" * 5000)}))
    assert "400 ArgumentInvalid Property or Tag value should be maximum 4096 bytes" in caught.value.what
    with pytest.raises(CloudError) as caught:
        hub.set_modules(EDGE, content({f"m{number}": module(createOptions="x" * 4000) for number in range(9)}))
    assert "DeviceModelMaxPropertiesExceeded" in caught.value.what
    assert not isinstance(caught.value, DeniedError)


def test_a_wrong_key_names_the_policy(sandbox: Any) -> None:
    wrong = connection_string(sandbox.world, "iothubowner").partition("SharedAccessKey=")[0] + "SharedAccessKey="
    with pytest.raises(DeniedError) as caught:
        connect(connection_string=Secret(wrong + "d3Jvbmcta2V5LXdyb25nLWtleQ=="), patience=QUICK).device(EDGE)
    assert "401 IotHubUnauthorizedAccess" in caught.value.what
    assert "iothubowner" in caught.value.fix


def test_a_policy_without_the_right_is_denied(sandbox: Any) -> None:
    hub = connect(connection_string=Secret(connection_string(sandbox.world, "service")), patience=QUICK)
    assert hub.device(EDGE).id == EDGE
    with pytest.raises(DeniedError, match="does not grant RegistryWrite") as caught:
        hub.set_modules(EDGE, content())
    assert "RegistryWrite" in caught.value.fix


def test_an_identity_without_the_role_is_told_which(sandbox: Any) -> None:
    environment = sandbox.environment
    principal = ClientSecretCredential(
        environment["AZURE_TENANT_ID"], environment["AZURE_CLIENT_ID"], environment["AZURE_CLIENT_SECRET"]
    )
    hub = connect(host=environment["IOTHUB_HOST"], credential=principal, patience=QUICK)
    assert hub.device(EDGE).id == EDGE
    sandbox.fault("status", status=403, code="IotHubUnauthorizedAccess", message="no assigned permissions", times=1)
    with pytest.raises(DeniedError) as caught:
        hub.device(EDGE)
    assert "403 IotHubUnauthorizedAccess no assigned permissions" in caught.value.what
    assert "'IoT Hub Data Contributor'" in caught.value.fix
    principal.close()


def test_the_login_of_all_adapters_opens_the_hub(sandbox: Any) -> None:
    auth._credential.cache_clear()  # the tokens of a test before this one have expired
    hub = connect(host=sandbox.environment["IOTHUB_HOST"], credential=credential(), patience=QUICK)
    hub.set_modules(EDGE, content())


def test_an_expired_token_is_replaced_once(sandbox: Any) -> None:
    auth._credential.cache_clear()
    hub = connect(host=sandbox.environment["IOTHUB_HOST"], credential=credential(), patience=QUICK)
    hub.set_modules(EDGE, content())
    for _ in range(2):
        sandbox.admin("POST", "/tokens/expire")
        hub.set_modules(EDGE, content())
    assert [entry["status"] for entry in requests_to(sandbox, APPLY)] == [204, 401, 204, 401, 204]


def test_a_login_that_is_rejected_for_good_is_no_missing_role(sandbox: Any) -> None:
    hub = connect(host=sandbox.environment["IOTHUB_HOST"], credential=credential(), patience=QUICK)
    sandbox.fault("status", status=401, times="forever", path="/twins/")
    with pytest.raises(DeniedError, match="the login has expired or was revoked") as caught:
        hub.device(EDGE)
    assert "az login" in caught.value.fix and "Contributor" not in caught.value.fix
    assert len(requests_to(sandbox, "/twins/")) == 2


class _NoToken:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        raise ClientAuthenticationError("AADSTS7000215: Invalid client secret provided.\nTrace ID: 1")


def test_a_credential_without_a_token_is_denied(sandbox: Any) -> None:
    hub = connect(host=sandbox.environment["IOTHUB_HOST"], credential=_NoToken(), patience=QUICK)
    with pytest.raises(DeniedError) as caught:
        hub.device(EDGE)
    assert caught.value.what == "no token for the hub: AADSTS7000215: Invalid client secret provided."
    assert "az login" in caught.value.fix


def test_a_host_that_nobody_answers_under_is_named(sandbox: Any) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    text = connection_string(sandbox.world, "iothubowner", host=f"localhost:{port}")
    hub = connect(connection_string=Secret(text), patience=QUICK)
    for ask in (lambda: hub.device(EDGE), lambda: hub.set_modules(EDGE, content())):
        with pytest.raises(CloudError) as caught:
            ask()
        assert type(caught.value) is CloudError
        assert str(caught.value).startswith(f"localhost:{port}: the hub could not be reached:")


def test_a_host_that_the_proxy_refuses_is_unreachable(sandbox: Any) -> None:
    text = connection_string(sandbox.world, "iothubowner", host="mistyped.example.net")
    hub = connect(connection_string=Secret(text), patience=QUICK)
    with pytest.raises(CloudError, match=r"^mistyped.example.net: the hub could not be reached:"):
        hub.set_modules(EDGE, content())


BAD_STRINGS = {
    "": "has no HostName",
    "HostName=h.azure-devices.net": "has no SharedAccessKeyName",
    "HostName=h.azure-devices.net;SharedAccessKeyName=owner": "has no SharedAccessKey",
    "HostName=h.azure-devices.net;DeviceId=d;SharedAccessKey=c2VjcmV0": "it is a device's",
    "HostName=h.azure-devices.net;SharedAccessKeyName=owner;SharedAccessKey=canary!": "is not base64",
    "HostName=https://h/;SharedAccessKeyName=owner;SharedAccessKey=c2VjcmV0": "HostName is not a host name",
    "HostName=h.net;SharedAccessKeyName=owner;SharedAccessKey=c2VjcmV0;Colour=red": "unknown or duplicate parts",
    "HostName=h.net;SharedAccessKeyName=owner;SharedAccessKey=c2VjcmV0;": "unknown or duplicate parts",
}


@pytest.mark.parametrize(("text", "words"), BAD_STRINGS.items())
def test_a_bad_connection_string_is_not_shown(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        connect(connection_string=Secret(text))
    assert words in caught.value.what
    for part in ("c2VjcmV0", "canary"):
        assert part not in str(caught.value) + caught.value.fix


@pytest.mark.parametrize("host", ["https://h.azure-devices.net", "h.azure-devices.net/path", "", "two words"])
def test_a_bad_host_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="is not the host name"):
        connect(host=host, credential=_NoToken())


def test_a_connection_string_in_place_of_a_host_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        connect(host="HostName=h;SharedAccessKeyName=owner;SharedAccessKey=canary-", credential=_NoToken())
    assert "canary" not in caught.value.message
    assert "IOTHUB_CONNECTION_STRING" in caught.value.fix


def test_no_hub_at_all_says_how_to_give_one() -> None:
    with pytest.raises(InputError) as caught:
        connect()
    assert "IOTHUB_CONNECTION_STRING" in caught.value.fix


@pytest.mark.parametrize("device_id", ["", "a/b"])
def test_what_is_no_id_is_not_sent(hub: IotHub, device_id: str) -> None:
    with pytest.raises(InputError):
        hub.device(device_id)


@pytest.fixture
def connections(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each connection that this process opens to the sandbox's proxy."""
    proxy_port = int(sandbox.environment["HTTPS_PROXY"].rpartition(":")[2])
    opened: list[Any] = []
    connect_socket = socket.socket.connect

    def connect_and_count(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[1] == proxy_port:
            opened.append(address)
        connect_socket(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_and_count)
    return opened


def test_connections_are_reused(hub: IotHub, connections: list[Any]) -> None:
    for _ in range(5):
        hub.device(EDGE)
        hub.module_twin(EDGE, "$edgeHub")
        hub.set_modules(EDGE, content())
        list(hub.devices())
    assert len(connections) == 1


def test_no_more_connections_than_threads(sandbox: Any, hub: IotHub, connections: list[Any]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: hub.module_twin(EDGE, "$edgeAgent"), range(40)))
    assert 1 <= len(connections) <= 4, requests_to(sandbox, "/")


def test_a_redirect_is_not_followed(sandbox: Any, hub: IotHub, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def redirect(self: Any, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        asked.append(request.url)
        response = requests.Response()
        response.status_code, response.request, response.url = 307, request, str(request.url)
        response.raw, response._content = (
            urllib3.HTTPResponse(
                io.BytesIO(), {"Location": "https://elsewhere.example.net/"}, 307, preload_content=False
            ),
            b"",
        )
        return response

    with monkeypatch.context() as patch:
        patch.setattr(requests.adapters.HTTPAdapter, "send", redirect)
        for ask in (lambda: hub.device(EDGE), lambda: hub.set_modules(EDGE, content())):
            with pytest.raises(CloudError, match="a redirect to another server"):
                ask()
    assert len(asked) == 2


def test_a_password_in_netrc_does_not_replace_the_signature(
    sandbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    hub = connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"]), patience=QUICK)

    assert hub.device(EDGE).id == EDGE


def test_bodies_are_compact(sandbox: Any, hub: IotHub) -> None:
    sent = content({"scorer": module("acme.azurecr.io/scorer:1", env={"NAME": {"value": "a b, c: d"}})})
    hub.set_modules(EDGE, sent)
    assert requests_to(sandbox, APPLY)[-1]["size"] == len(json.dumps(sent, separators=(",", ":")))
    twin = hub.module_twin(EDGE, "$edgeAgent")
    assert twin is not None
    assert twin.desired == sent["modulesContent"]["$edgeAgent"]["properties.desired"]


def test_all_pages_of_devices_are_read(
    sandbox: Any, hub: IotHub, hub_client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manifestgen.azure.iot_hub.hub._PAGE", 2)
    for number in range(5):
        hub.register_device(f"paged-{hub_client}-{number}")
    sandbox.admin("DELETE", "/requests")
    found = [device.id for device in hub.devices()]
    assert {f"paged-{hub_client}-{number}" for number in range(5)} <= set(found)
    assert len(found) == len(set(found))
    assert len(requests_to(sandbox, "/devices/query")) >= 3


def test_what_was_registered_is_not_registered_again_after_a_lost_answer(
    sandbox: Any, patient: IotHub, hub_client: str
) -> None:
    device = f"half-made-{hub_client}"
    sandbox.fault("reset_after", times=1, method="PUT", path=f"/devices/{device}")
    with pytest.raises(UnconfirmedError):
        patient.register_device(device)
    assert len(requests_to(sandbox, f"/devices/{device}")) == 1
    with pytest.raises(CloudError, match="409 DeviceAlreadyExists"):
        patient.register_device(device)


def test_a_device_without_a_key_has_no_connection_string(sandbox: Any, hub: IotHub, hub_client: str) -> None:
    other = OtherClient(sandbox.environment["IOTHUB_CONNECTION_STRING"])
    device = f"certified-{hub_client}"
    other.register(device, {"authentication": {"type": "certificateAuthority"}})
    with pytest.raises(CloudError, match="'certificateAuthority'"):
        hub.connection_string(device)


def test_reported_times_are_those_of_the_hub(sandbox: Any, hub: IotHub, hub_client: str) -> None:
    timed = f"timed-{hub_client}"
    hub.register_device(timed)
    twin = hub.module_twin(timed, "$edgeAgent")
    for _ in range(200):
        if twin is not None and twin.reported:
            break
        twin = hub.module_twin(timed, "$edgeAgent")
    assert twin is not None
    assert twin.reported_at.keys() == twin.reported.keys()
    assert all(time.tzinfo is not None for time in twin.reported_at.values())
    assert not {"$metadata", "$version"} & (twin.reported.keys() | twin.desired.keys())


def test_errors_are_of_the_one_family(sandbox: Any, hub: IotHub) -> None:
    for status in (400, 401, 403, 404, 405, 409, 412, 413, 418, 501):
        sandbox.fault("status", status=status, times=1)
        with pytest.raises(ManifestgenError) as caught:
            hub.set_modules(EDGE, content())
        assert str(status) in caught.value.what
        assert caught.value.fix
        assert caught.value.exit_code == 3
