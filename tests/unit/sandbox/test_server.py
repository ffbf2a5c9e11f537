"""The proxy, the certificates and the faults, as a client meets them."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from aiohttp import web

from manifestgen.errors import InputError
from manifestgen.sandbox.arm import service as arm
from manifestgen.sandbox.server import Sandbox

_ADMIN = "MANIFESTGEN_SANDBOX"
_LOGIN = "login.microsoftonline.com"
_INSTANCES = f"https://{_LOGIN}/common/discovery/instance"


def _read_until_it_ends(sandbox: Any, address: tuple[str, int], *, through_proxy: bool) -> bytes:
    """Send a request and read the encrypted answer off the wire: Python's ssl hides a reset."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=sandbox.environment["SSL_CERT_FILE"])
    tls = context.wrap_bio(incoming, outgoing, server_hostname=_LOGIN)
    with socket.create_connection(address, timeout=10) as wire:
        if through_proxy:
            wire.sendall(f"CONNECT {_LOGIN}:443 HTTP/1.1\r\nHost: {_LOGIN}:443\r\n\r\n".encode())
            assert wire.recv(4096).startswith(b"HTTP/1.1 200")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.sendall(outgoing.read())
                incoming.write(wire.recv(65536))
        tls.write(f"GET /common/discovery/instance HTTP/1.1\r\nHost: {_LOGIN}\r\n\r\n".encode())
        wire.sendall(outgoing.read())
        received = b""
        while data := wire.recv(65536):
            received += data
        return received


def _proxy_address(sandbox: Any) -> tuple[str, int]:
    host, port = sandbox.environment["HTTPS_PROXY"].removeprefix("http://").split(":")
    return host, int(port)


def test_a_host_that_is_not_served_is_refused_by_name_and_noted(sandbox: Any) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match=r"example\.com is not served by the manifestgen sandbox"):
        requests.get("https://example.com/", timeout=10)
    assert {"method": "CONNECT", "host": "example.com", "path": "", "count": 1} in sandbox.admin("GET", "/unserved")


def test_another_port_of_a_served_host_is_refused(sandbox: Any) -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get(f"https://{_LOGIN}:8443/", timeout=10)


def test_plain_http_through_the_proxy_is_refused_and_noted(sandbox: Any) -> None:
    response = requests.get("http://example.org/path?x=1", timeout=10)
    assert response.status_code == 403
    assert "does not serve 'example.org'" in response.text
    assert {"method": "GET", "host": "example.org", "path": "/path", "count": 1} in sandbox.admin("GET", "/unserved")


@pytest.mark.parametrize("garbage", [b"\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\xff\x00\r\n\r\n"])
def test_garbage_does_not_hurt_the_proxy(sandbox: Any, garbage: bytes) -> None:
    with socket.create_connection(_proxy_address(sandbox), timeout=10) as wire:
        wire.sendall(garbage)
        assert wire.recv(4096).startswith(b"HTTP/1.1 403")
    assert requests.get(_INSTANCES, timeout=10).ok


def test_a_head_without_end_is_cut_off(sandbox: Any) -> None:
    with socket.create_connection(_proxy_address(sandbox), timeout=10) as wire, pytest.raises(ConnectionError):
        for _ in range(64):
            wire.sendall(b"x" * 65536)
        if wire.recv(1) == b"":
            raise ConnectionError
    assert requests.get(_INSTANCES, timeout=10).ok


def test_the_direct_port_of_a_service_is_served_as_localhost(sandbox: Any) -> None:
    port = sandbox.sandbox.port(_LOGIN)
    assert requests.get(f"https://localhost:{port}/common/discovery/instance", timeout=10).ok


def test_the_direct_port_does_not_pretend_to_be_another_host(sandbox: Any) -> None:
    context = ssl.create_default_context(cafile=sandbox.environment["SSL_CERT_FILE"])
    with (
        socket.create_connection(("127.0.0.1", sandbox.sandbox.port(_LOGIN)), timeout=10) as wire,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(wire, server_hostname="example.com")


def test_an_unknown_host_has_no_port(sandbox: Any) -> None:
    with pytest.raises(LookupError, match=r"example\.com"):
        sandbox.sandbox.port("example.com")


def test_an_unknown_path_is_answered_in_the_services_shape_and_noted(sandbox: Any) -> None:
    response = requests.get("https://management.azure.com/no/such/path?secret=1", timeout=10)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "NotFound"
    unserved = {entry["path"] for entry in sandbox.admin("GET", "/unserved")}
    assert "/no/such/path" in unserved


@pytest.mark.parametrize("kind", ["reset", "reset_after"])
@pytest.mark.parametrize("through_proxy", [True, False])
def test_a_reset_is_a_reset_on_the_wire(sandbox: Any, kind: str, through_proxy: bool) -> None:
    sandbox.fault(kind, path="discovery/instance")
    address = _proxy_address(sandbox) if through_proxy else ("127.0.0.1", sandbox.sandbox.port(_LOGIN))
    with pytest.raises(ConnectionResetError):
        _read_until_it_ends(sandbox, address, through_proxy=through_proxy)
    assert sandbox.admin("GET", "/requests")[-1]["status"] == 0


def test_reset_happens_before_the_request_is_handled_and_reset_after_once_it_was(sandbox: Any) -> None:
    url = f"https://management.azure.com{sandbox.world.names.registry_arm_id}?api-version=2025-04-01"

    def admin_enabled() -> bool:
        return bool(sandbox.admin("PUT", "/registries/sandboxmodels")["admin_enabled"])

    token = _token(sandbox)
    for kind, expected in (("reset", True), ("reset_after", False)):
        sandbox.fault(kind, method="PATCH")
        with pytest.raises(requests.ConnectionError):
            requests.patch(
                url,
                json={"properties": {"adminUserEnabled": False}},
                headers={"Authorization": f"Bearer {token}"},
                timeout=10,
            )
        assert admin_enabled() is expected
    sandbox.admin("PUT", "/registries/sandboxmodels", {"admin_enabled": True})


def test_a_truncated_answer_ends_in_the_middle(sandbox: Any) -> None:
    whole = requests.get(_INSTANCES, timeout=10).content
    sandbox.fault("truncate", path="discovery/instance")
    with pytest.raises(
        requests.exceptions.ChunkedEncodingError, match=f"IncompleteRead\\({len(whole) // 2} bytes read"
    ):
        requests.get(_INSTANCES, timeout=10)


def test_latency_delays_the_answer(sandbox: Any) -> None:
    sandbox.fault("latency", seconds=0.3)
    assert requests.get(_INSTANCES, timeout=10).elapsed.total_seconds() >= 0.3
    assert sandbox.admin("GET", "/requests")[-1]["seconds"] >= 0.3


def test_a_request_that_was_being_answered_when_the_log_was_cleared_is_not_in_it(sandbox: Any) -> None:
    sandbox.fault("latency", seconds=0.3, times=1)
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(_INSTANCES, timeout=0.1)
    sandbox.admin("DELETE", "/requests")
    requests.get(f"{_INSTANCES}?later", timeout=10)
    time.sleep(0.4)
    assert ["later" in entry["query"] for entry in sandbox.admin("GET", "/requests")] == [True]


def test_a_slow_answer_comes_whole_and_late(sandbox: Any) -> None:
    whole = requests.get(_INSTANCES, timeout=10).content
    sandbox.fault("slow", path="discovery/instance", seconds=0.4)
    slow = requests.get(_INSTANCES, timeout=0.3)
    assert slow.content == whole
    assert sandbox.admin("GET", "/requests")[-1]["seconds"] >= 0.4


@pytest.mark.parametrize(
    ("url", "marks"),
    [
        (_INSTANCES, ['"error_description": "AADSTS']),
        ("https://management.azure.com/subscriptions", ['{"error": {"code": "TooManyRequests"']),
        ("https://sandbox-hub.azure-devices.net/devices", ['"ErrorCode:ThrottlingException;slow down"', "Tracking ID"]),
        ("https://sandboxmodels.azurecr.io/v2/", ['{"errors": [{"code": "TOOMANYREQUESTS"']),
        ("https://sandboxmodelstore.blob.core.windows.net/x", ["<Code>TooManyRequests</Code>"]),
    ],
)
def test_a_status_is_answered_in_the_shape_of_the_service(sandbox: Any, url: str, marks: list[str]) -> None:
    sandbox.fault("status", status=429, retry_after=7, message="slow down")
    response = requests.get(url, timeout=10)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    for mark in [*marks, "slow down"]:
        assert mark in response.text


def test_a_status_is_answered_to_a_large_upload_too(sandbox: Any) -> None:
    sandbox.fault("status", status=503)
    url = f"https://{sandbox.world.names.storage_account}.blob.core.windows.net/x/y"
    assert requests.put(url, data=bytes(3 << 20), timeout=10).status_code == 503


def test_a_fault_spares_the_first_and_ends_after_its_times(sandbox: Any) -> None:
    sandbox.fault("status", status=503, after=1, times=2)
    assert [requests.get(_INSTANCES, timeout=10).status_code for _ in range(4)] == [200, 503, 503, 200]


def test_a_fault_hits_only_what_it_matches(sandbox: Any) -> None:
    sandbox.fault("status", match={"host": r"login\..*", "method": "post", "path": "/token$"}, times="forever")
    assert requests.get(_INSTANCES, timeout=10).ok
    assert requests.post(f"https://{_LOGIN}/x/oauth2/token", timeout=10).status_code == 503
    assert requests.post("https://management.azure.com/token", timeout=10).status_code == 404


class Broken:
    """A service with a bug."""

    HOSTS = ("broken.azurecr.io",)

    @staticmethod
    def create(world: Any) -> web.Application:
        async def handler(request: web.Request) -> web.Response:
            raise ZeroDivisionError

        async def background() -> None:
            raise ZeroDivisionError("in the background")

        async def start(app: web.Application) -> None:
            world.spawn(background())

        app = web.Application()
        app.router.add_get("/v2/", handler)
        app.on_startup.append(start)
        return app


def test_a_bug_is_reported_and_is_an_outage_to_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> tuple[int, str]:
        sandbox = Sandbox(services=[Broken()])
        await sandbox.start()
        try:
            trust = ssl.create_default_context(cafile=sandbox.environment["SSL_CERT_FILE"])
            proxy = sandbox.environment["HTTPS_PROXY"]
            async with (
                aiohttp.ClientSession() as session,
                session.get("https://broken.azurecr.io/v2/", proxy=proxy, ssl=trust) as response,
            ):
                return response.status, await response.text()
        finally:
            await sandbox.stop()

    status, text = asyncio.run(ask())
    assert (status, "The sandbox failed" in text) == (500, True)
    assert "the sandbox failed at GET broken.azurecr.io/v2/" in caplog.text
    assert "ZeroDivisionError: in the background" in caplog.text


def test_the_certificate_authority_is_another_one_each_time(tmp_path: Path) -> None:
    from manifestgen.edge.authority import Authority

    for name in ("one", "two"):
        Authority().write(tmp_path / name)
    assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()
    assert b"PRIVATE" not in (tmp_path / "one").read_bytes()


async def _start_and_stop(state: Path | None) -> Sandbox:
    sandbox = Sandbox(state, services=[])
    await sandbox.start()
    await sandbox.stop()
    return sandbox


def test_a_temporary_state_is_removed_and_a_named_one_kept(tmp_path: Path) -> None:
    temporary = asyncio.run(_start_and_stop(None))
    assert not temporary.folder.exists()
    kept = asyncio.run(_start_and_stop(tmp_path / "state"))
    assert (kept.folder / "state.sqlite").is_file()


def test_secrets_are_kept_with_the_state(tmp_path: Path) -> None:
    first, second = (asyncio.run(_start_and_stop(tmp_path / "state")) for _ in range(2))
    for name in ("AZURE_CLIENT_SECRET", "IOTHUB_CONNECTION_STRING"):
        assert first.environment[name] == second.environment[name]


def test_two_sandboxes_do_not_share_a_state(tmp_path: Path) -> None:
    async def clash() -> None:
        first = Sandbox(tmp_path, services=[])
        await first.start()
        try:
            with pytest.raises(InputError, match="another sandbox uses this folder"):
                Sandbox(tmp_path, services=[])
        finally:
            await first.stop()

    asyncio.run(clash())


def test_a_state_that_is_a_file_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the sandbox's state to this folder"):
        Sandbox(tmp_path / "file", services=[])


def _token(sandbox: Any) -> str:
    from manifestgen.sandbox.entra import ARM, issue_token

    return issue_token(sandbox.world, ARM)[0]


@pytest.mark.parametrize("kind", ["straight to a service", "to the proxy", "through the proxy", "to the admin API"])
@pytest.mark.parametrize("turns", [0, 2, 5])
def test_a_client_that_says_nothing_leaves_nothing_behind(kind: str, turns: int) -> None:
    async def run() -> None:
        sandbox = Sandbox(None, [arm])
        await sandbox.start()
        proxy, admin = (int(sandbox.environment[name].rpartition(":")[2]) for name in ("HTTPS_PROXY", _ADMIN))
        service = sandbox.port("management.azure.com")
        port = {"straight to a service": service, "to the admin API": admin}.get(kind, proxy)
        with socket.create_connection(("127.0.0.1", port)) as client:
            if kind == "through the proxy":
                client.sendall(b"CONNECT management.azure.com:443 HTTP/1.1\r\n\r\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.wait_for(sandbox.stop(), 10)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    loop = asyncio.new_event_loop()
    loop.run_until_complete(run())
    loop.close()
    gc.collect()  # what was left open would warn now, and warnings are errors


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/devices/edge-01/messages"), ("POST", "/jobs/create"), ("TRACE", "/devices")]
)
def test_what_the_hub_does_not_support_is_never_a_missing_device(sandbox: Any, method: str, path: str) -> None:
    response = requests.request(
        method, f"https://{sandbox.world.names.hub_host}{path}?api-version=2021-04-12", timeout=10
    )
    assert (response.status_code, response.headers["iothub-errorcode"]) == (501, "NotSupportedBySandbox")
    assert path in {entry["path"] for entry in sandbox.admin("GET", "/unserved")}
