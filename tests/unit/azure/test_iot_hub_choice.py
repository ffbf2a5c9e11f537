"""What sends the requests to a hub: Microsoft's SDK where it can be imported, else the REST API."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from manifestgen.azure.iot_hub import CLIENT, connect
from manifestgen.errors import InputError
from manifestgen.secret import Secret

TEXT = "HostName=h.azure-devices.net;SharedAccessKeyName=owner;SharedAccessKey=Y2FuYXJ5"

_BLOCKED = f"""\
import sys
for name in ("uamqp", "msrest", "azure.iot"):
    sys.modules[name] = None  # as if it were not installed
from manifestgen.azure.iot_hub import connect
from manifestgen.errors import InputError
from manifestgen.secret import Secret
try:
    hub = connect(connection_string=Secret({TEXT!r}))
    print(hub.client)
except InputError as error:
    print(error.message)
    print(error.fix)
"""


def without_the_sdk(chosen: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    if chosen is None:
        monkeypatch.delenv(CLIENT, raising=False)
    else:
        monkeypatch.setenv(CLIENT, chosen)
    ended = subprocess.run([sys.executable, "-c", _BLOCKED], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("chosen", [None, "", "rest"])
def test_rest_is_used_where_the_sdk_is_not_installed(chosen: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_the_sdk(chosen, monkeypatch).startswith("REST over azure-core 1.")


def test_the_sdk_cannot_be_chosen_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    what, fix = without_the_sdk("sdk", monkeypatch).splitlines()
    assert what.startswith("MANIFESTGEN_HUB_CLIENT: azure-iot-hub cannot be imported: ")
    assert "set it to rest" in fix and "x86-64 with CPython 3.10 to 3.13" in fix


@pytest.mark.parametrize("chosen", [None, ""])
def test_the_sdk_is_used_where_it_is_installed(chosen: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uamqp")
    if chosen is None:
        monkeypatch.delenv(CLIENT, raising=False)
    else:
        monkeypatch.setenv(CLIENT, chosen)
    assert connect(connection_string=Secret(TEXT)).client.startswith("azure-iot-hub 2.")


def test_another_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLIENT, "amqp")
    with pytest.raises(InputError) as caught:
        connect(connection_string=Secret(TEXT))
    assert caught.value.message == "MANIFESTGEN_HUB_CLIENT: 'amqp' is not a client for IoT Hub"
    assert caught.value.fix == "set it to sdk or rest, or unset it"


def test_rest_imports_nothing_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLIENT, "rest")
    script = (
        "import sys\n"
        "from manifestgen.azure.iot_hub import connect\n"
        "from manifestgen.secret import Secret\n"
        f"connect(connection_string=Secret({TEXT!r}))\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('msrest', 'uamqp', 'six') "
        "or name.startswith('azure.iot')])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[]\n"


def test_a_signature_is_kept_and_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.core.pipeline import PipelineContext, PipelineRequest
    from azure.core.rest import HttpRequest

    from manifestgen.azure.iot_hub import rest

    now = 1_800_000_000.0
    monkeypatch.setattr("manifestgen.azure.iot_hub.rest.time.time", lambda: now)
    signature = rest._Signature("h.azure-devices.net:8443", "owner", Secret("Y2FuYXJ5"))

    def header() -> Any:
        request: Any = PipelineRequest(HttpRequest("GET", "https://h.azure-devices.net:8443/"), PipelineContext(None))
        signature.on_request(request)
        return request.http_request.headers["Authorization"]

    first = header()
    assert first.startswith("SharedAccessSignature sr=h.azure-devices.net%3A8443&sig=")
    assert first.endswith("&se=1800003600&skn=owner")
    now += 3299
    assert header() == first
    now += 2
    assert header().endswith("&se=1800006901&skn=owner")
    assert "Y2FuYXJ5" not in first
