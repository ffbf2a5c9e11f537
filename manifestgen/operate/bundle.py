"""A support bundle: the logs of all modules and the findings of 'iotedge check', uploaded by edgeAgent as one archive.

The destination is the URL of a container with a shared access signature. edgeAgent keeps its tasks in memory only: if
it restarts while it creates a bundle, the task is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from manifestgen.cloud import Hub, MethodResult
from manifestgen.errors import CloudError, FoundError, InputError
from manifestgen.operate.agent import ask, read, refused
from manifestgen.secret import Secret
from manifestgen.target import Patience, rounds

#: `iotedge support-bundle` takes minutes on a slow device.
PATIENCE: Final = Patience(timeout=900.0, first=1.0, longest=10.0)
_HOST: Final = re.compile(r"\.blob\.[a-z0-9.-]+$|^(localhost|127\.0\.0\.1)$", re.IGNORECASE)


@dataclass(frozen=True)
class Destination:
    """A container in a storage account.

    Attributes:
        url: with its signature.
        host, container: without it.
    """

    url: Secret
    host: str
    container: str

    def __str__(self) -> str:
        return f"https://{self.host}/{self.container}"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was uploaded.

    Attributes:
        folder: where it is, without a signature.
        task: edgeAgent's name for the upload.
    """

    folder: str
    task: str
    seconds: float


def destination(url: str, where: str, *, now: datetime | None = None) -> Destination:
    """Parse the URL of a container with a signature; all its errors are found here.

    Args:
        where: the URL's origin.

    Raises:
        InputError: it is not such a URL, it has expired, or it does not allow to write.
    """
    secret = Secret(url)
    fix = "create one with 'az storage container generate-sas', with the permissions to create and write"
    try:
        parts = urlsplit(url)
    except ValueError:  # such as "https://[": its message would quote the signature
        raise InputError("it is not the URL of a container in Azure Storage", where=where, fix=fix) from None
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    container = parts.path.strip("/")
    if parts.scheme != "https" or not parts.hostname or not _HOST.search(parts.hostname):
        raise InputError("it is not the URL of a container in Azure Storage", where=where, fix=fix)
    if "sig" not in query:
        raise InputError("the URL has no shared access signature", where=where, fix=fix)
    Secret(query["sig"])
    if not container or "/" in container:
        raise InputError("the URL names no container, or a blob in one", where=where, fix=fix)
    if "sp" in query and "w" not in query["sp"]:
        raise InputError(f"the signature allows {query['sp']!r}, which is not writing (w)", where=where, fix=fix)
    expiry = _time(query.get("se", ""))
    if expiry is not None and expiry <= (now or datetime.now(timezone.utc)):
        raise InputError(f"the signature expired at {query['se']}", where=where, fix=fix)
    return Destination(secret, parts.netloc, container)


def upload(
    hub: Hub,
    device_id: str,
    to: Destination,
    *,
    since: str | None = None,
    until: str | None = None,
    runtime_only: bool = False,
    patience: Patience = PATIENCE,
    step: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Have edgeAgent create a bundle and upload it; returns after the upload.

    Args:
        since, until: see `logs.moment`.
        runtime_only: whether to leave the logs of the user's modules out.
        step: called with each status.

    Raises:
        FoundError: it failed, timed out, or edgeAgent lost the task.
        CloudError: see `agent.ask`.
    """
    begun = patience.clock()
    payload: dict[str, Any] = {"sasUrl": to.url.reveal(), "edgeRuntimeOnly": runtime_only}
    payload.update({name: value for name, value in (("since", since), ("until", until)) if value is not None})
    answer = ask(hub, device_id, "UploadSupportBundle", payload)
    if answer.status != 200:
        raise refused(device_id, "UploadSupportBundle", answer)
    task = _field(answer, "correlationId")
    status = ""
    for _ in rounds(patience):
        if _field(answer, "status") != status:
            status = _field(answer, "status")
            step(status or "no status")
        if status == "Completed":
            return Bundle(f"{to}/{hub.host.partition('.')[0]}/{device_id}", task, patience.clock() - begun)
        if status in ("Failed", "Cancelled", "Unknown"):
            raise _ended(device_id, to, status, _field(answer, "message"))
        answer = _look(hub, device_id, task, answer)
    raise FoundError(
        f"the bundle is not there after {patience.clock() - begun:.0f} s: {status or 'no status'}",
        where=f"device {device_id!r}",
        fix=f"look into {to} later, or wait longer with --timeout",
    )


def _look(hub: Hub, device_id: str, task: str, last: MethodResult) -> MethodResult:
    """The task's status; the previous one while the device does not answer."""
    try:
        answer = read(hub, device_id, "GetTaskStatus", {"correlationId": task})
    except CloudError:
        return last
    if answer.status != 200:
        raise refused(device_id, "GetTaskStatus", answer)
    return answer


def _ended(device_id: str, to: Destination, status: str, said: str) -> FoundError:
    where = f"device {device_id!r}"
    if status == "Unknown":
        return FoundError(
            "edgeAgent was restarted meanwhile and no longer knows the bundle",
            where=where,
            fix=f"look whether it is in {to}, or run the same command again",
        )
    return FoundError(
        f"the bundle was not uploaded: {status}{f', {said}' if said else ''}",
        where=where,
        fix="check the signature's permissions and expiry, and that the device can reach the storage account",
    )


def _field(answer: MethodResult, name: str) -> str:
    value = answer.payload.get(name) if isinstance(answer.payload, dict) else None
    return " ".join(value.split()) if isinstance(value, str) else ""


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
