"""Calls of edgeAgent's direct methods, with an error for each cause of a failure.

Sources: edge-agent `requests/` in Azure/iotedge, where names ignore case, the major schema version is 1, an unknown
method is 400 and a request that cannot be carried out 500, each with `{"message"}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from manifestgen.cloud import Hub, MethodResult, Twin
from manifestgen.errors import CloudError, NotFoundError, OfflineError, UnconfirmedError

AGENT: Final = "$edgeAgent"
SCHEMA: Final = "1.0"
#: Seconds that edgeAgent gets for an answer; IoT Hub's own default.
RESPONSE_SECONDS: Final = 30
_EDGE_ONLY: Final = "use an edge device; 'manifestgen device list' shows them"


def ask(
    hub: Hub, device_id: str, name: str, payload: Mapping[str, Any] | None = None, *, seconds: int = RESPONSE_SECONDS
) -> MethodResult:
    """Call a method that may change something, once. The status is edgeAgent's; a method that it lacks is an error.

    Args:
        payload: its fields but `schemaVersion`.
        seconds: that edgeAgent may take, 5 to 300.

    Raises:
        NotFoundError: the hub has no such device.
        OfflineError: the device is not connected.
        UnconfirmedError: no answer arrived; the method may have run.
        CloudError: the device is not an edge device, or its edgeAgent has no such method.
    """
    sent = {"schemaVersion": SCHEMA, **(payload or {})}
    try:
        answer = hub.invoke_method(device_id, AGENT, name, sent, response_timeout=seconds)
    except NotFoundError as error:
        raise _not_found(hub, device_id, error) from error
    said = message_of(answer)
    if answer.status == 400 and "not found. The supported commands" in said:
        raise CloudError(
            f"its IoT Edge runtime has no method {name!r}: {said}",
            where=f"device {device_id!r}",
            fix="update the IoT Edge runtime on the device, edgeAgent's image too",
        )
    return answer


def read(
    hub: Hub, device_id: str, name: str, payload: Mapping[str, Any] | None = None, *, seconds: int = RESPONSE_SECONDS
) -> MethodResult:
    """Call a method that changes nothing, once more if its answer was lost; see `ask`.

    Raises:
        CloudError: neither answer arrived.
    """
    try:
        return ask(hub, device_id, name, payload, seconds=seconds)
    except UnconfirmedError:
        pass
    try:
        return ask(hub, device_id, name, payload, seconds=seconds)
    except UnconfirmedError as error:
        raise CloudError(
            f"edgeAgent did not answer twice: {error.what}",
            where=f"device {device_id!r}",
            fix="check the device's network and load with 'iotedge check' there, and try again",
        ) from error


def ping(hub: Hub, device_id: str, *, clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds until edgeAgent answered. Raises CloudError with what to look at if it does not; see `ask`."""
    begun = clock()
    try:
        answer = ask(hub, device_id, "ping")
    except OfflineError as error:
        device = hub.device(device_id)
        last = f", and was last active at {device.last_activity:%Y-%m-%d %H:%M:%S} UTC" if device.last_activity else ""
        disabled = "" if device.enabled else ", and its identity is disabled in the hub"
        raise OfflineError(f"{error.what}{last}{disabled}", where=error.where, fix=error.fix) from error
    except UnconfirmedError as error:
        raise CloudError(
            f"the device is connected, but its edgeAgent does not answer: {error.what}",
            where=f"device {device_id!r}",
            fix="run 'iotedge check' on the device, and 'iotedge system restart' if edgeAgent hangs",
        ) from error
    if answer.status != 200:
        raise refused(device_id, "ping", answer)
    return clock() - begun


def refused(device_id: str, name: str, answer: MethodResult) -> CloudError:
    """The error for a status that no caller expects."""
    return CloudError(
        f"edgeAgent rejected {name!r} with {answer.status}: {message_of(answer) or 'without a reason'}",
        where=f"device {device_id!r}",
        fix=f"see what it logs with 'manifestgen logs --device {device_id} edgeAgent'",
    )


def message_of(answer: MethodResult) -> str:
    """The message of edgeAgent about a failure, on one line; may be empty."""
    payload = answer.payload
    said = payload.get("message") if isinstance(payload, dict) else payload if isinstance(payload, str) else ""
    return " ".join(said.split()).rstrip(".") if isinstance(said, str) else ""


def agent_twin(hub: Hub, device_id: str) -> Twin:
    """The twin of a device's edgeAgent.

    Raises:
        NotFoundError: the hub has no such device.
        CloudError: the device is not an edge device.
    """
    twin = hub.module_twin(device_id, AGENT)
    if twin is None:
        raise CloudError("it is not an IoT Edge device", where=f"device {device_id!r}", fix=_EDGE_ONLY)
    return twin


def _not_found(hub: Hub, device_id: str, error: NotFoundError) -> CloudError:
    """Why the hub knows no edgeAgent of a device: no such device, or none that runs IoT Edge."""
    if hub.device(device_id).edge:  # raises for one that is unknown
        return error
    return CloudError(
        "it is not an IoT Edge device, so no edgeAgent answers for it",
        where=f"device {device_id!r} in {hub.host}",
        fix=_EDGE_ONLY,
    )
