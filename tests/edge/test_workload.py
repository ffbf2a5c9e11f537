"""The workload API, asked as modules ask it: over its socket, and by our runner's own client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from manifestgen.edge.identity import Identity
from manifestgen.edge.workload import AT_ONCE, Workload
from manifestgen.errors import InputError
from manifestgen.runner.identity import from_environment

SIGN = "/modules/scorer%20a/genid/638%20gen/sign?api-version=2018-06-28"


@pytest.fixture
def workload(tmp_path: Path) -> Iterator[Workload]:
    workload = Workload(Identity("acme.azure-devices.net", "edge-1"), "scorer a", "638 gen", tmp_path / "w.sock")
    workload.start()
    yield workload
    workload.stop()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self._path)


def _ask(workload: Workload, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    connection = _Connection(workload.uri.removeprefix("unix://"))
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, target, data)
    with connection.getresponse() as response:
        status, content = response.status, response.read()
    connection.close()
    return status, json.loads(content)


def _request(data: bytes = b"x", **changed: object) -> dict[str, object]:
    return {"keyId": "primary", "algo": "HMACSHA256", "data": base64.b64encode(data).decode()} | changed


def test_a_module_gets_its_data_signed_with_its_key(tmp_path: Path) -> None:
    identity = Identity("acme.azure-devices.net", "edge-1")
    identity.add("scorer", b"a key")
    workload = Workload(identity, "scorer", "1", tmp_path / "w.sock")
    workload.start()
    status, answer = _ask(workload, "POST", "/modules/scorer/genid/1/sign?api-version=2022-08-03", _request(b"data"))
    workload.stop()
    assert status == 200
    assert base64.b64decode(answer["digest"]) == hmac.new(b"a key", b"data", hashlib.sha256).digest()
    assert not (tmp_path / "w.sock").exists()


def test_the_trust_bundle_is_the_authority_s_certificate(workload: Workload) -> None:
    status, answer = _ask(workload, "GET", "/trust-bundle?api-version=2019-01-30")
    assert status == 200
    assert answer["certificate"].startswith("-----BEGIN CERTIFICATE-----")


def test_only_the_user_may_use_the_socket(workload: Workload) -> None:
    assert stat.S_IMODE(Path(workload.uri.removeprefix("unix://")).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", SIGN, _request(), 200),
        ("POST", SIGN.replace("scorer%20a", "other"), _request(), 403),
        ("POST", SIGN.replace("638", "639"), _request(), 404),
        ("POST", SIGN.partition("?")[0], _request(), 400),
        ("POST", SIGN, _request() | {"data": "!"}, 400),
        ("POST", SIGN, _request(algo="MD5"), 400),
        ("POST", SIGN, {}, 400),
        ("POST", SIGN, b"[1]", 400),
        ("POST", SIGN, b"\xff", 400),
        ("GET", SIGN, None, 405),
        ("POST", SIGN, b"x" * 70_000, 413),
        ("GET", "/trust-bundle?api-version=2017-01-01", None, 400),
        ("GET", "/manifest-trust-bundle?api-version=2022-08-03", None, 404),
        ("GET", "/nothing?api-version=2022-08-03", None, 404),
    ],
)
def test_a_request_is_answered_with(workload: Workload, method: str, target: str, body: Any, status: int) -> None:
    assert _ask(workload, method, target, body)[0] == status


def test_above_ten_requests_at_once_a_connection_is_closed_without_an_answer(workload: Workload) -> None:
    path = workload.uri.removeprefix("unix://")
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            held = stack.enter_context(socket.socket(socket.AF_UNIX))
            held.connect(path)
            held.sendall(b"GET /trust-bundle")
        more = stack.enter_context(socket.socket(socket.AF_UNIX))
        more.settimeout(5)
        more.connect(path)
        assert more.recv(100) == b""
    # The runner's client repeats such a request.
    variables = {"IOTEDGE_WORKLOADURI": workload.uri}
    identity = Identity("acme.azure-devices.net", "edge-1")
    found = from_environment({**identity.environment("scorer a", "638 gen", workload.uri), **variables})
    assert found is not None
    assert found[1].trust_bundle().startswith("-----BEGIN")


def test_a_socket_that_was_left_behind_is_replaced(workload: Workload, tmp_path: Path) -> None:
    again = Workload(Identity("h", "d"), "m", "1", tmp_path / "w.sock")
    again.start()
    assert _ask(again, "GET", "/trust-bundle?api-version=2022-08-03")[0] == 200
    again.stop()


@pytest.mark.parametrize("name", ["x" * 120, "gone/w.sock"])
def test_a_path_that_cannot_be_a_socket_is_an_error_of_the_user(tmp_path: Path, name: str) -> None:
    workload = Workload(Identity("h", "d"), "m", "1", tmp_path / name)
    with pytest.raises(InputError, match="the workload socket cannot be made"):
        workload.start()
    workload.stop()
