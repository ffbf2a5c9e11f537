"""The connection to an Azure ML workspace: azureml-core, opened once, and our own requests beside it.

Everything that sends or registers goes through the SDK. Builds are polled with our own requests: the SDK's ways to
wait have no timeout, print to stdout, and need the object that started the build.

Note for callers: a request that creates something is sent once. If its answer is lost, the call raises
UnconfirmedError, and the caller looks for what was made before it sends it again.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from manifestgen.azure import aml_sdk
from manifestgen.azure.aml_answer import http_error
from manifestgen.azure.answer import decoded
from manifestgen.azure.patience import Patience
from manifestgen.azure.transport import RetryingTransport, session_of
from manifestgen.project import Project
from manifestgen.project.workspace import WorkspaceId, workspace_of

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_T = TypeVar("_T")

_OPEN_SECONDS = 180.0
_NAME = "Azure ML"
PATIENCE = Patience(answer=60.0)


def open_workspace(project: Project, credential: TokenCredential | None = None) -> Workspace:
    """The workspace that a project names; without a `workspace` section, the one in the nearest config.json.

    Raises:
        InputError: azureml-core is missing, or config.json is missing or wrong.
        NotFoundError, DeniedError, CloudError: the workspace cannot be read.
    """
    return Workspace(workspace_of(project), credential)


class _Details(msgspec.Struct, rename="camel"):
    """The fields that we use of a workspace's details."""

    container_registry: str | None = None


class Workspace:
    """An open workspace.

    Args:
        place: which one.
        credential: of azure-identity; the one of `manifestgen.azure.auth` if None. Nothing ever logs in interactively.
        patience: how long to wait for an answer, and to repeat what failed.

    Attributes:
        sdk: the `azureml.core.Workspace`.
        where: how errors name it.

    Raises:
        InputError: azureml-core is missing.
        NotFoundError, DeniedError, CloudError: the workspace cannot be read.
    """

    def __init__(
        self, place: WorkspaceId, credential: TokenCredential | None = None, *, patience: Patience | None = None
    ) -> None:
        from manifestgen.azure import auth

        if credential is None:
            credential = auth.credential()
        aml_sdk.load()
        from azureml.core import Workspace as SdkWorkspace
        from azureml.core.authentication import TokenAuthentication

        from manifestgen.azure import aml_errors

        self._errors = aml_errors
        self.where = f"workspace {place.name}"
        chosen = credential
        self._transport = RetryingTransport(
            _NAME,
            (patience or PATIENCE).scaled(),
            tokens=auth.tokens_of(chosen),
            failed=lambda response: http_error(response.status_code, response.text, self.where),
        )

        def token(audience: str) -> str:
            return chosen.get_token(audience.rstrip("/") + "/.default").token

        def open_it() -> Any:
            found = SdkWorkspace.get(
                place.name,
                auth=TokenAuthentication(token),
                subscription_id=place.subscription_id,
                resource_group=place.resource_group,
            )
            # Asks for the addresses of its services, without a timeout; later calls find them in its cache.
            _ = found.service_context
            return found

        self.sdk = self.call(open_it, seconds=_OPEN_SECONDS, what="opening the workspace")
        self._session = session_of(self._transport)
        # Characters and bytes of each build log read so far, so that the next read can start there.
        self._read: dict[str, tuple[int, int]] = {}

    def call(
        self, ask: Callable[[], _T], *, folder: Path | None = None, seconds: float | None = None, what: str = ""
    ) -> _T:
        """The result of a call of the SDK: its errors become ours, its side effects are undone; see `aml_sdk`.

        Args:
            folder: the working directory during the call.
            seconds: for the whole call; None for no limit but those of its requests.
            what: is done, for the error.
        """
        with self._errors.translated(self.where), aml_sdk.calling(folder, self._transport):
            return aml_sdk.bounded(ask, seconds, what)

    def registry_id(self) -> str | None:
        """Full ARM id of the workspace's container registry; None before the workspace has built its first image."""
        details = self.call(self.sdk.get_details, seconds=_OPEN_SECONDS, what="reading the workspace")
        return decoded(details, _Details, service=_NAME, where=self.where).container_registry or None

    def get(self, path: str, shape: type[_T], query: Mapping[str, str] | None = None) -> _T:
        """The model management service's response to a GET. Raises CloudError if it is not JSON of this shape."""
        from azureml._model_management._util import _get_mms_url

        with self._errors.translated(self.where):
            headers = self.sdk._auth_object.get_authentication_header()
            url = _get_mms_url(self.sdk) + path
            response = self._session.get(url, params=query, headers=headers)
            if not response.ok:
                raise http_error(response.status_code, response.text, self.where)
            data = response.json()
        return decoded(data, shape, service="Azure ML", where=self.where)

    def read_log(self, url: str, key: str, offset: int) -> str:
        """A build log from character `offset` on.

        Args:
            url: of the log's blob.
            key: of the build, by which the bytes read so far are remembered.
        """
        characters, first = self._read.get(key, (0, 0))
        if characters != offset:
            characters, first = 0, 0
        with self._errors.translated(self.where):
            response = self._session.get(url, headers={"Range": f"bytes={first}-"})
            if response.status_code in (404, 416):
                return ""
            if not response.ok:
                raise http_error(response.status_code, response.text, self.where)
        # The last character may be incomplete: it then waits for the next call.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(response.content)
        self._read[key] = (characters + len(text), first + len(response.content) - len(decoder.getstate()[0]))
        return text[max(0, offset - characters) :]
