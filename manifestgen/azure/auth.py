"""Login to Azure: one azure-identity credential for all adapters, with its failures as our errors."""

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

from manifestgen.azure.answer import not_understood
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, unquoted
from manifestgen.errors import CloudError, DeniedError
from manifestgen.secret import redact

_WHERE = "Azure login"
_FIX = "run 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"

# azure-identity's own timeouts add up to minutes.
_LIMITS: dict[str, Any] = {"retry_total": 2, "connection_timeout": 10, "read_timeout": 30, "process_timeout": 20}

# Entra ID's message, without the identifiers that follow it.
_ENTRA_WORDS = re.compile(r"(?:^|: )(?P<words>AADSTS\d+: .*?)(?=\.? Trace ID:|[\r\n]|$)")
# The transport's messages, which quote no answer.
_ABOUT_CONNECTION = re.compile(
    r"(?:Authentication failed: )?"
    r"(?:\(?'?(?:Connection |Unable to connect )|HTTPS?ConnectionPool\(|<urllib3\.|\[Errno |\[SSL|Failed to |"
    r"Cannot connect |EOF occurred|Remote end closed|Response ended|IncompleteRead|HTTP Error: \d{3}\s*$|"
    r"Operation returned an invalid |The current credential is not configured )"
)
_TRIED_ALL = "DefaultAzureCredential failed"
_ENVIRONMENT_WORDS = re.compile(r"EnvironmentCredential: (?P<words>.*?)(?=\n\t|\nTo mitigate|\Z)", re.DOTALL)


class Login:
    """A credential for the SDKs that raises our own errors.

    They pass through every SDK unchanged: azure-core and msrest do not see them as transport errors, so they neither
    retry nor wrap them.
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
        """Close the credential's connections."""
        self._credential.close()


def credential() -> Login:
    """The credential from this process's environment. All callers share it, so one login is enough.

    It tries, in this order: a service principal in `AZURE_…` variables, workload identity, managed identity, the login
    of `az` or `azd`. It never prompts on a terminal or opens a browser.
    """
    return _credential(tuple(sorted(item for item in os.environ.items() if item[0].startswith("AZURE_"))))


def token(scope: str) -> str:
    """An access token for a scope such as `https://management.azure.com/.default`. Raises DeniedError, CloudError."""
    return credential().get_token(scope).token


@lru_cache(maxsize=1)
def _credential(_variables: tuple[tuple[str, str], ...]) -> Login:
    """Create the credential again if the variables that it depends on have changed."""
    return Login(
        DefaultAzureCredential(
            exclude_interactive_browser_credential=True,
            # Both look for logins that a person left in an editor; that does not mean that we may use them.
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
        raise _explain(str(error), type(error)) from SdkError(error)
    except SHAPE_ERRORS as error:
        raise _explain("", type(error)) from SdkError(error)


def _explain(text: str, kind: type[BaseException]) -> CloudError:
    """Translate an error of azure-identity.

    Its first message has a paragraph for each credential that it tried. Once a credential has worked, only that one is
    used, and the message is its own sentence. Either may quote an answer, or repeat an exception that does, so it is
    shown only where it is known to be Entra ID's own message, or about the connection.
    """
    refused = _ENTRA_WORDS.search(text)
    if refused:
        words = redact(refused["words"]).rstrip(".")
        return DeniedError(f"Microsoft Entra ID rejected the credential: {words}", where=_WHERE, fix=_FIX)
    words = text
    if text.startswith(_TRIED_ALL):
        environment = _ENVIRONMENT_WORDS.search(text)
        words = environment["words"] if environment and "unavailable" not in environment["words"] else ""
    if (text and not words) or issubclass(kind, CredentialUnavailableError):
        return DeniedError("no Azure credential was found", where=_WHERE, fix=_FIX)
    if not _ABOUT_CONNECTION.match(words):
        return not_understood("Microsoft Entra ID", _WHERE)
    return CloudError(
        f"could not get a token: {unquoted(words)}",
        where=_WHERE,
        fix="check the network and HTTPS_PROXY, then try again",
    )
