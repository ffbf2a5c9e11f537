"""One request a call: nothing is repeated, and every failure says whether asking again may help."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.hub_service import content, module

from manifestgen.azure.iot_hub import connect
from manifestgen.azure.iot_hub.bulk import BulkIotHub
from manifestgen.errors import BusyError, CloudError, DeniedError, NotFoundError, UnconfirmedError
from manifestgen.secret import Secret

pytestmark = pytest.mark.usefixtures("hub_client")

EDGE = "edge-01"
BODY = json.dumps(content({"scorer": module()}), separators=(",", ":")).encode()


@pytest.fixture
def bulk(sandbox: Any) -> BulkIotHub:
    return connect(connection_string=Secret(sandbox.environment["IOTHUB_CONNECTION_STRING"])).bulk()


def asked(sandbox: Any) -> list[int]:
    return [entry["status"] for entry in sandbox.admin("GET", "/requests") if "/devices/" in entry["path"]]


@pytest.mark.parametrize("retry_after", [None, 7])
def test_a_throttled_request_is_busy_with_the_hub_s_own_pause(
    sandbox: Any, bulk: BulkIotHub, retry_after: int | None
) -> None:
    sandbox.fault("status", status=429, retry_after=retry_after)
    with pytest.raises(BusyError, match="the hub returned 429") as caught:
        bulk.set_modules(EDGE, BODY)
    assert (caught.value.retry_after, caught.value.throttled) == (retry_after, True)
    assert asked(sandbox) == [429]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_of_the_service_leaves_open_whether_it_was_done(sandbox: Any, bulk: BulkIotHub, status: int) -> None:
    sandbox.fault("status", status=status)
    with pytest.raises(UnconfirmedError):
        bulk.set_modules(EDGE, BODY)
    assert asked(sandbox) == [status]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_read_that_fails_is_busy(sandbox: Any, bulk: BulkIotHub, status: int) -> None:
    sandbox.fault("status", status=status)
    with pytest.raises(BusyError) as caught:
        bulk.desired(EDGE, "$edgeAgent")
    assert caught.value.throttled == (status == 429)


@pytest.mark.parametrize("kind", ["reset", "reset_after"])
def test_a_connection_that_is_cut_is_a_lost_answer(sandbox: Any, bulk: BulkIotHub, kind: str) -> None:
    sandbox.fault(kind)
    with pytest.raises(UnconfirmedError):
        bulk.set_modules(EDGE, BODY)


def test_a_read_that_is_cut_is_busy(sandbox: Any, bulk: BulkIotHub) -> None:
    sandbox.fault("reset")
    with pytest.raises(BusyError):
        bulk.desired(EDGE, "$edgeAgent")


def test_a_hub_that_cannot_be_reached_is_busy() -> None:
    text = "HostName=localhost:1;SharedAccessKeyName=a;SharedAccessKey=a2V5a2V5"
    with pytest.raises(BusyError, match="could not be reached"):
        connect(connection_string=Secret(text)).bulk().set_modules(EDGE, BODY)


def test_a_used_up_day_is_busy_and_no_fault_of_the_device(sandbox: Any, bulk: BulkIotHub) -> None:
    sandbox.fault("status", status=403, code="IotHubQuotaExceeded")
    with pytest.raises(BusyError, match="IotHubQuotaExceeded"):
        bulk.set_modules(EDGE, BODY)


@pytest.mark.parametrize(("status", "kind"), [(401, DeniedError), (404, NotFoundError), (400, CloudError)])
def test_a_refusal_is_final(sandbox: Any, bulk: BulkIotHub, status: int, kind: type[CloudError]) -> None:
    sandbox.fault("status", status=status, message="no")
    with pytest.raises(kind) as caught:
        bulk.set_modules(EDGE, BODY)
    assert not isinstance(caught.value, BusyError | UnconfirmedError)


def test_the_body_is_sent_as_it_is(sandbox: Any, bulk: BulkIotHub) -> None:
    body = BODY.replace(b'"scorer"', b'"scorer"  ')
    sandbox.admin("DELETE", "/requests")
    bulk.set_modules(EDGE, body)
    (entry,) = [entry for entry in sandbox.admin("GET", "/requests") if entry["method"] == "POST"]
    assert (entry["status"], entry["size"]) == (204, len(body))
