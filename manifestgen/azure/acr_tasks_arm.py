"""The calls of ACR Tasks in Azure Resource Manager.

They are sent as they are documented, not through an SDK: azure-mgmt-containerregistry has them up to version 13, in 14
only for two api-versions, in 15 not at all (docs/decisions/acr-tasks.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from manifestgen.azure import arm
from manifestgen.azure.answer import one_line
from manifestgen.azure.auth import EXPIRED, LOG_IN_AGAIN
from manifestgen.azure.auth import credential as default_credential
from manifestgen.azure.rest import Answer, Rest
from manifestgen.cloud import RegistryInfo
from manifestgen.errors import CloudError, DeniedError, NotFoundError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

#: The first with `sourceRegistry.identity`.
VERSION: Final = "2025-03-01-preview"
_ROLE: Final = "give the identity the role 'Contributor' or 'Container Registry Tasks Contributor' on the registry"
LOCAL: Final = "build with 'builder: local', which needs docker, podman or buildah on this machine"

ABAC: Final = "AbacRepositoryPermissions"
ACTIVE: Final = frozenset({"Queued", "Started", "Running"})
SUCCEEDED: Final = "Succeeded"


@dataclass(frozen=True)
class Run:
    """A run of ACR Tasks.

    Attributes:
        status: `Queued`, `Started`, `Running`, `Succeeded`, `Failed`, `Canceled`, `Error` or `Timeout`.
        platform: such as `linux/arm64`.
        error: the service's words about a failure.
        digests: of the pushed images, by `repository:tag`.
    """

    id: str
    status: str
    platform: str = ""
    error: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it is not over yet."""
        return self.status in ACTIVE


@dataclass(frozen=True)
class Place:
    """How a registry lets images be built and pushed.

    Attributes:
        by_repository: whether roles are for repositories (ABAC), not for the whole registry.
        closed: whether ACR's shared agents cannot reach it.
    """

    by_repository: bool
    closed: bool


class Tasks:
    """ACR Tasks of one registry.

    Args:
        registry: the registry.
        credential: of azure-identity; None for that of `manifestgen.azure.auth`.
    """

    def __init__(self, registry: RegistryInfo, credential: TokenCredential | None = None) -> None:
        self.registry = registry
        self._rest = Rest(arm.NAME, credential or default_credential(), arm.SCOPE)
        self._url = f"{arm.URL}{registry.id}"

    @property
    def where(self) -> str:
        """The registry, for messages."""
        return f"registry {self.registry.login_server}"

    def place(self) -> Place:
        """How the registry lets images be built."""
        properties = _object(self._ask("GET", "").get("properties"))
        rules = _object(properties.get("networkRuleSet"))
        closed = properties.get("publicNetworkAccess") == "Disabled" or rules.get("defaultAction") == "Deny"
        return Place(properties.get("roleAssignmentMode") == ABAC, closed)

    def offer(self) -> str:
        """The quota ID of the registry's subscription, such as `FreeTrial_2014-09-01`; empty if it is not shown."""
        subscription = self.registry.id.split("/")[2]
        answer = self._rest.send(
            "GET", f"{arm.URL}/subscriptions/{subscription}?api-version={arm.SUBSCRIPTIONS_VERSION}"
        )
        return str(_object(self._checked(answer).get("subscriptionPolicies")).get("quotaId") or "")

    def upload_place(self) -> tuple[str, str]:
        """Where to put a source: a URL that grants access, and the source's path for `schedule`."""
        found = self._ask("POST", "/listBuildSourceUploadUrl")
        url, path = found.get("uploadUrl"), found.get("relativePath")
        if not isinstance(url, str) or not isinstance(path, str):
            raise self._unusable("no place to upload the source to")
        return _granting(url), path

    def schedule(self, body: Mapping[str, Any]) -> Run:
        """Queue a run.

        Raises:
            UnconfirmedError: the answer was lost, so the run may exist.
            DeniedError: the subscription may not use ACR Tasks, or the identity may not queue runs.
            CloudError: ACR rejected the request.
        """
        return self._run(self._ask("POST", "/scheduleRun", body=body))

    def run(self, run_id: str) -> Run:
        """A run. Raises NotFoundError."""
        return self._run(self._ask("GET", f"/runs/{run_id}"))

    def latest(self, most: int) -> Sequence[Run]:
        """The latest runs, newest first."""
        found = self._ask("GET", "/runs", query=f"&$top={most}").get("value")
        return [self._run(_object(entry)) for entry in (found if isinstance(found, list) else [])]

    def log_url(self, run_id: str) -> str:
        """The URL of a run's log, which grants access for about an hour."""
        link = self._ask("POST", f"/runs/{run_id}/listLogSasUrl").get("logLink")
        if not isinstance(link, str):
            raise self._unusable(f"no address for the log of run {run_id}")
        return _granting(link)

    def cancel(self, run_id: str) -> None:
        """End a run; one that is over already stays as it is."""
        answer = self._rest.send("POST", self._address(f"/runs/{run_id}/cancel"))
        if answer.status != 409:
            self._checked(answer)

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def _address(self, path: str, query: str = "") -> str:
        return f"{self._url}{path}?api-version={VERSION}{query}"

    def _ask(self, method: str, path: str, *, body: Any = None, query: str = "") -> dict[str, Any]:
        return self._checked(self._rest.send(method, self._address(path, query), body=body))

    def _checked(self, answer: Answer) -> dict[str, Any]:
        """The answer's object. Raises CloudError for a rejection, by its cause."""
        if answer.ok:
            return answer.data
        error = _object(answer.data.get("error"))
        code = str(error.get("code") or "")
        words = one_line(str(error.get("message") or "")) or f"status {answer.status}"
        if code == "TasksOperationsNotAllowed":
            raise DeniedError(
                "the subscription may not use ACR Tasks: free and credit subscriptions do not include them",
                where=self.where,
                fix=f"{LOCAL}; or ask for it at https://aka.ms/azuresupport",
            )
        if code == "AgentPoolNotFound":
            raise NotFoundError(words, where=self.where, fix="check image.agent_pool, or create the agent pool")
        if answer.status == 401:
            raise DeniedError(f"{EXPIRED}: {words}", where=self.where, fix=LOG_IN_AGAIN)
        if answer.status == 403:
            raise DeniedError(f"access is denied: {words}", where=self.where, fix=_ROLE)
        if answer.status == 404:
            raise NotFoundError(words, where=self.where, fix="run the same command again to build anew")
        said = f"{code}: {words}" if code else words
        raise CloudError(
            f"ACR Tasks rejected the request: {said}", where=self.where, fix=f"check the section 'image', or {LOCAL}"
        )

    def _run(self, data: Mapping[str, Any]) -> Run:
        properties = _object(data.get("properties"))
        run_id, status = properties.get("runId"), properties.get("status")
        if not isinstance(run_id, str) or not re.fullmatch(r"[A-Za-z0-9]+", run_id) or not isinstance(status, str):
            raise self._unusable("a run without an ID or a state")
        platform = _object(properties.get("platform"))
        parts = [str(platform.get(key) or "").lower() for key in ("os", "architecture", "variant")]
        if parts[1:] == ["arm64", "v8"]:
            parts.pop()
        return Run(
            run_id,
            status,
            "/".join(filter(None, parts)),
            one_line(str(properties.get("runErrorMessage") or "")),
            _digests(properties.get("outputImages")),
        )

    def _unusable(self, what: str) -> CloudError:
        return CloudError(f"ACR Tasks returned {what}", where=self.where, fix=f"run the same command again, or {LOCAL}")


def request_body(
    *,
    image: str,
    dockerfile: str,
    platform: str,
    source: str,
    arguments: Mapping[str, str],
    timeout: int,
    by_repository: bool,
    agent_pool: str,
) -> dict[str, Any]:
    """The body for `Tasks.schedule`: build one image for one platform, and push it.

    Args:
        image: `repository:tag`.
        dockerfile: its path in the source.
        platform: such as `linux/arm/v7`.
        source: path of the uploaded source.
        arguments: build arguments.
        timeout: in seconds.
        by_repository: whether the registry's roles are for repositories; the run then acts as the caller.
        agent_pool: empty for ACR's shared agents.
    """
    os, architecture, *variant = platform.split("/")
    registry = {"loginMode": "Default", **({"identity": "[caller]"} if by_repository else {})}
    return {
        "type": "DockerBuildRequest",
        "imageNames": [image],
        "isPushEnabled": True,
        "noCache": False,
        "dockerFilePath": dockerfile,
        "arguments": [{"name": name, "value": value, "isSecret": False} for name, value in sorted(arguments.items())],
        "timeout": timeout,
        "platform": {
            "os": os.capitalize(),
            "architecture": architecture,
            **({"variant": variant[0]} if variant else {}),
        },
        **({"agentPoolName": agent_pool} if agent_pool else {"agentConfiguration": {"cpu": 2}}),
        "sourceLocation": source,
        "credentials": {"sourceRegistry": registry},
    }


def _granting(url: str) -> str:
    """A URL whose query grants access: it is hidden from now on, wherever it may be printed."""
    Secret(url.partition("?")[2])
    return url


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _digests(found: Any) -> dict[str, str]:
    entries = [_object(entry) for entry in (found if isinstance(found, list) else [])]
    return {
        f"{entry.get('repository')}:{entry.get('tag')}": str(entry["digest"])
        for entry in entries
        if re.fullmatch(r"sha256:[0-9a-f]{64}", str(entry.get("digest")))
    }
