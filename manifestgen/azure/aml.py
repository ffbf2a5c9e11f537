"""The connection to an Azure ML workspace: azureml-core, opened once, and requests of our own beside it.

Everything that sends or registers goes through the SDK. Builds are polled with requests of our own: the SDK's ways to
wait have no timeout, print to stdout, and need the object that started the build.

What callers must know about azureml-core, 1.61 and earlier:

- It retries a POST after a 5xx or a lost answer, so a second version of a model or an image can appear. Callers look
  for it after each such call and log a warning to `manifestgen.azure.aml`, which the command line shows.
- It retries a 429 three times; see `aml_sdk` for the pauses.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from manifestgen.azure import aml_sdk
from manifestgen.azure.answer import decoded
from manifestgen.project import Project
from manifestgen.project.workspace import WorkspaceId, workspace_of

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_T = TypeVar("_T")

_OPEN_SECONDS = 180.0
_TIMEOUT = (10.0, 60.0)  # to connect, to wait for the next bytes
# For our own requests. Together the pauses last about 15 seconds, as long as the SDK's own retries.
RETRY = Retry(
    total=4,
    backoff_factor=1.0,
    backoff_max=20.0,
    status_forcelist=(408, 429, 500, 502, 503, 504),
    allowed_methods=("GET",),
    raise_on_status=False,
)


def open_workspace(project: Project, credential: TokenCredential | None = None) -> Workspace:
    """The workspace that a project names; without a `workspace` section, the one in the nearest config.json.

    Raises:
        InputError: azureml-core is missing, or config.json is missing or wrong.
        NotFoundError, DeniedError, CloudError: the workspace cannot be read.
    """
    return Workspace(workspace_of(project), credential)


class _Details(msgspec.Struct, rename="camel"):
    """What is used of a workspace's details."""

    container_registry: str | None = None


class Workspace:
    """An open workspace.

    Args:
        place: which one.
        credential: of azure-identity; the one of `manifestgen.azure.auth` if None. Nothing ever logs in interactively.
        retry: for our own requests.

    Attributes:
        sdk: the `azureml.core.Workspace`.
        where: how errors name it.

    Raises:
        InputError: azureml-core is missing.
        NotFoundError, DeniedError, CloudError: the workspace cannot be read.
    """

    def __init__(self, place: WorkspaceId, credential: TokenCredential | None = None, *, retry: Retry = RETRY) -> None:
        if credential is None:
            from manifestgen.azure.auth import credential as default_credential

            credential = default_credential()
        aml_sdk.load()
        from azureml.core import Workspace as SdkWorkspace
        from azureml.core.authentication import TokenAuthentication

        from manifestgen.azure import aml_errors

        self._errors = aml_errors
        self.where = f"workspace {place.name}"
        chosen = credential

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

        with self._errors.translated(self.where), aml_sdk.calling():
            self.sdk = aml_sdk.bounded(open_it, _OPEN_SECONDS, "opening the workspace")
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(max_retries=retry))
        # Characters and bytes of each build log read so far, so that the next read can start there.
        self._read: dict[str, tuple[int, int]] = {}

    @contextmanager
    def calling(self, folder: Path | None = None) -> Iterator[None]:
        """Surround calls of the SDK: its errors become ours, its side effects are undone; see `aml_sdk.calling`."""
        with self._errors.translated(self.where), aml_sdk.calling(folder):
            yield

    def registry_id(self) -> str | None:
        """Full ARM id of the workspace's container registry; None before the workspace has built its first image."""
        with self.calling():
            details = aml_sdk.bounded(self.sdk.get_details, _OPEN_SECONDS, "reading the workspace")
        return decoded(details, _Details, service="Azure ML", where=self.where).container_registry or None

    def get(self, path: str, shape: type[_T], query: Mapping[str, str] | None = None) -> _T:
        """The model management service's response to a GET. Raises CloudError if it is not JSON of this shape."""
        from azureml._model_management._util import _get_mms_url

        with self._errors.translated(self.where):
            headers = self.sdk._auth_object.get_authentication_header()
            url = _get_mms_url(self.sdk) + path
            response = self._session.get(url, params=query, headers=headers, timeout=_TIMEOUT)
            if not response.ok:
                raise self._errors.http_error(response.status_code, response.text, self.where)
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
            response = self._session.get(url, headers={"Range": f"bytes={first}-"}, timeout=_TIMEOUT)
            if response.status_code in (404, 416):
                return ""
            if not response.ok:
                raise self._errors.http_error(response.status_code, response.text, self.where)
        # The last character may be incomplete: it then waits for the next call.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(response.content)
        self._read[key] = (characters + len(text), first + len(response.content) - len(decoder.getstate()[0]))
        return text[max(0, offset - characters) :]
