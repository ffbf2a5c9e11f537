"""A manifest, with its passwords, goes to the hub that was asked for and to no server that this names."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from fakes.hostile_server import hostile_server
from fakes.hub_service import content, module

from manifestgen.azure.iot_hub import connect
from manifestgen.errors import CloudError
from manifestgen.secret import Secret

pytestmark = [
    # The SDKs leave sockets of their sessions to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("NO_PROXY", "localhost")
    return ca


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_hub_that_redirects_gets_the_manifest_and_no_one_else(
    status: int, authority: trustme.CA, hub_client: str
) -> None:
    with hostile_server(authority, "answers", answer=b"HTTP/1.1 204 No Content\r\n\r\n") as other:
        answer = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {other.base}/x\r\nContent-Length: 0\r\n\r\n".encode()
        with hostile_server(authority, "answers", answer=answer) as server:
            text = f"HostName={server.host};SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5a2V5"
            hub = connect(connection_string=Secret(text))
            with pytest.raises(CloudError, match=f"redirect to another server, '{other.host}'"):
                hub.set_modules("edge-01", content({"scorer": module("acme.azurecr.io/scorer:1")}))
    ((line, body),) = server.asked
    assert line.startswith("POST /devices/edge-01/applyConfigurationContent") and b"scorer:1" in body
    assert other.asked == []
