"""Requests to REST interfaces for which no SDK is used, through azure-core's pipeline and our own transport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from azure.core import PipelineClient
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest, HttpResponse

from manifestgen.azure.auth import tokens_of
from manifestgen.azure.patience import Patience
from manifestgen.azure.transport import NETWORK, RetryingTransport, azure_core_transport
from manifestgen.errors import CloudError
from manifestgen.secret import redact

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from requests import Response

_PATIENCE: Final = Patience(answer=60.0)
_AGAIN: Final = "run the same command again; if it persists, see https://status.azure.com"


@dataclass(frozen=True)
class Answer:
    """A response of any status that is about the request itself."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Rest:
    """A client for one service.

    Args:
        name: of the service, for messages, such as `Azure Resource Manager`.
        credential: for a service that takes tokens of Entra ID; None if the URLs or headers grant access.
        scope: of these tokens.
    """

    def __init__(self, name: str, credential: TokenCredential | None = None, scope: str = "") -> None:
        self._name = name
        policies = [BearerTokenCredentialPolicy(credential, scope)] if credential is not None else []
        transport = RetryingTransport(
            name,
            _PATIENCE.scaled(),
            tokens=tokens_of(credential) if credential is not None else None,
            failed=self._failed,
        )
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            "", policies=policies, transport=azure_core_transport(transport)
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; the transport repeats it where that helps and is safe.

        Args:
            method: the HTTP method.
            url: absolute; a query that grants access must be known as a `Secret`.
            body: to send as JSON.
            content: to send as it is.
            headers: more headers.

        Raises:
            UnconfirmedError: a request that changes something was sent, and its answer was lost.
            CloudError: the service could not be reached, or does not recover.
        """
        try:
            response = self._client.send_request(
                HttpRequest(method, url, json=body, content=content, headers=dict(headers or {}))
            )
        except AzureError as error:
            words = redact(str(error).strip().partition("\n")[0]) or type(error).__name__
            what = f"{self._name} could not be reached: {words}"
            raise CloudError(what, where=urlsplit(url).netloc, fix=NETWORK) from error
        return Answer(response.status_code, response.headers, response.content)

    def _failed(self, response: Response) -> CloudError:
        what = f"{self._name} returned status {response.status_code}"
        return CloudError(what, where=urlsplit(response.url or "").netloc, fix=_AGAIN)
