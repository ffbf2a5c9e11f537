"""Who we are in Azure: one credential of azure-identity for all adapters, and its failures in our words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential

from manifestgen.errors import CloudError, DeniedError
from manifestgen.secret import redact

_WHERE = "Azure login"
_FIX = "run 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"

# azure-identity's own limits add up to minutes.
_LIMITS: dict[str, Any] = {"retry_total": 2, "connection_timeout": 10, "read_timeout": 30, "process_timeout": 20}

# What Entra ID says, without the identifiers that follow it.
_ENTRA_WORDS = re.compile(r"AADSTS\d+: .*?(?=\.? Trace ID:|[\r\n]|$)")
_TRIED_ALL = "DefaultAzureCredential failed"
_ENVIRONMENT_WORDS = re.compile(r"EnvironmentCredential: (?P<words>.*?)(?=\n\t|\nTo mitigate|\Z)", re.DOTALL)


class Login:
    """A credential for the SDKs whose failures are errors of ours.

    They pass through every SDK as they are: to azure-core and msrest they are no transport errors, so nothing is tried
    again and nothing is wrapped.
    """

    def __init__(self, credential: DefaultAzureCredential) -> None:
        self._credential = credential

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token; see `azure.core.credentials.TokenCredential`. Raises DeniedError, CloudError."""
        with _translated():
            return self._credential.get_token(*scopes, **options)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token; see `azure.core.credentials.SupportsTokenInfo`. Raises DeniedError, CloudError."""
        with _translated():
            return self._credential.get_token_info(*scopes, options=options)

    def close(self) -> None:
        """Close its connections."""
        self._credential.close()


def credential() -> Login:
    """The credential of this process's environment, the same one for all who ask, so that one login does.

    In this order: a service principal in `AZURE_…` variables, workload identity, managed identity, then the login of
    `az` or `azd`. Nothing is ever asked on a terminal or in a browser.
    """
    return _credential(tuple(sorted(item for item in os.environ.items() if item[0].startswith("AZURE_"))))


def token(scope: str) -> str:
    """An access token for a scope such as `https://management.azure.com/.default`. Raises DeniedError, CloudError."""
    return credential().get_token(scope).token


@lru_cache(maxsize=1)
def _credential(_variables: tuple[tuple[str, str], ...]) -> Login:
    """Made anew when the variables that it is made from have changed."""
    return Login(
        DefaultAzureCredential(
            exclude_interactive_browser_credential=True,
            # Both look for logins that a person left behind in an editor, which is no sign that we may use them.
            exclude_shared_token_cache_credential=True,
            exclude_visual_studio_code_credential=True,
            exclude_powershell_credential=True,
            **_LIMITS,
        )
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except AzureError as error:
        raise _explain(error) from error


def _explain(error: AzureError) -> CloudError:
    """The error for what azure-identity says.

    At first it is a paragraph about each credential that it tried. Once one has worked, only that one is asked again,
    and what is said is its own sentence.
    """
    text = str(error)
    refused = _ENTRA_WORDS.search(text)
    if refused:
        words = redact(refused[0]).rstrip(".")
        return DeniedError(f"Microsoft Entra ID refused the credential: {words}", where=_WHERE, fix=_FIX)
    words = text
    if text.startswith(_TRIED_ALL):
        environment = _ENVIRONMENT_WORDS.search(text)
        words = environment["words"] if environment and "unavailable" not in environment["words"] else ""
    if not words or isinstance(error, CredentialUnavailableError):
        return DeniedError("no credential for Azure was found", where=_WHERE, fix=_FIX)
    words = redact(" ".join(words.split())).rstrip(".")
    return CloudError(
        f"could not get a token: {words}", where=_WHERE, fix="check the network and HTTPS_PROXY, then try again"
    )
