"""Login to Azure: one azure-identity credential for all adapters, with its failures as our errors."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenCredential, TokenRequestOptions
from azure.core.exceptions import AzureError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential

from manifestgen.azure.patience import Patience
from manifestgen.azure.transport import RetryingTransport, Tokens, azure_core_transport
from manifestgen.errors import CloudError, DeniedError, ManifestgenError
from manifestgen.secret import redact

if TYPE_CHECKING:
    from azure.core.pipeline.transport import RequestsTransport
    from requests import Response

_WHERE = "Azure login"
_FIX = "run 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"

_NAME = "Microsoft Entra ID"
PATIENCE = Patience(answer=30.0, total=60.0)
# For the endpoints of managed identity. They are in reach or do not exist, and azure-identity knows how they fail.
_LOCAL = Patience(connect=2.0, answer=30.0, total=10.0, unreachable=0.0)
# The transport retries.
_LIMITS: dict[str, Any] = {"retry_total": 0, "process_timeout": 20}
# Seconds before its end at which a token is replaced.
_MARGIN = 300

#: The words for a service that rejects a new token, too.
EXPIRED = "the credential was rejected: the login has expired or was revoked"
LOG_IN_AGAIN = (
    "log in again: run 'az login', or check AZURE_CLIENT_SECRET and its expiry; a missing role would be another error"
)

# Entra ID's message, without the identifiers that follow it.
_ENTRA_WORDS = re.compile(r"AADSTS\d+: .*?(?=\.? Trace ID:|[\r\n]|$)")
_TRIED_ALL = "DefaultAzureCredential failed"
_ENVIRONMENT_WORDS = re.compile(r"EnvironmentCredential: (?P<words>.*?)(?=\n\t|\nTo mitigate|\Z)", re.DOTALL)


class Login:
    """A credential for the SDKs that raises our own errors, asks once for each token, and can replace a rejected one.

    The errors pass through every SDK unchanged: azure-core and msrest do not see them as transport errors, so they
    neither retry nor wrap them.

    Args:
        create: a new credential of azure-identity, which has no tokens yet; it sends with the given transport.
    """

    def __init__(self, create: Callable[[RequestsTransport], TokenCredential]) -> None:
        self._create = create
        self._transport = _Noting(_NAME, PATIENCE.scaled())
        self._credential = self._new()
        # Threads that need a token wait for the first of them to get it.
        self._lock = threading.RLock()
        self._tokens: dict[tuple[Any, ...], AccessTokenInfo] = {}
        self._replaced: dict[str, tuple[Any, ...]] = {}

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token; see `azure.core.credentials.TokenCredential`. Raises DeniedError, CloudError."""
        found = self.get_token_info(*scopes, options=cast("TokenRequestOptions", options))
        return AccessToken(found.token, found.expires_on)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token; see `azure.core.credentials.SupportsTokenInfo`. Raises DeniedError, CloudError."""
        wanted = {name: value for name, value in (options or {}).items() if value}
        key = (scopes, *sorted((name, str(value)) for name, value in wanted.items()))
        with self._lock:
            known = self._tokens.get(key)
            if known is None or known.expires_on - time.time() < _MARGIN:
                known = self._tokens[key] = self._ask(scopes, cast("TokenRequestOptions", wanted))
            return known

    def current(self, token: str) -> str:
        """See `transport.Tokens`."""
        key = self._replaced.get(token)
        return self._tokens[key].token if key is not None else token

    def renewed(self, token: str) -> str | None:
        """See `transport.Tokens`."""
        with self._lock:
            # Many threads may have had the same token rejected.
            if token in self._replaced:
                return self.current(token)
            key = next((key for key, known in self._tokens.items() if known.token == token), None)
            if key is None or "claims" in dict(key[1:]):
                return None
            # azure-identity returns its old token until it expires, whatever a service says.
            self._credential = self._new()
            try:
                self._tokens[key] = self._ask(key[0], cast("TokenRequestOptions", dict(key[1:])))
            except ManifestgenError:
                return None
            if self._tokens[key].token != token:
                self._replaced[token] = key
            return self._tokens[key].token

    def close(self) -> None:
        """Close the credential's connections."""
        self._transport.close()

    def _new(self) -> TokenCredential:
        return self._create(azure_core_transport(self._transport, local=RetryingTransport(_NAME, _LOCAL.scaled())))

    def _ask(self, scopes: tuple[str, ...], options: TokenRequestOptions) -> AccessTokenInfo:
        with _translated(self._transport):
            credential: Any = self._credential
            if hasattr(credential, "get_token_info"):
                info: AccessTokenInfo = credential.get_token_info(*scopes, options=options)
                return info
            found = credential.get_token(*scopes, **options)
            return AccessTokenInfo(found.token, found.expires_on)


class _Noting(RetryingTransport):
    """Keeps an error of ours for `Login`: azure-identity puts its words into a longer text, and drops the error."""

    def __init__(self, name: str, patience: Patience) -> None:
        super().__init__(name, patience)
        self.threads = threading.local()

    def send(self, *arguments: Any, **named: Any) -> Response:
        try:
            return super().send(*arguments, **named)
        except ManifestgenError as error:
            self.threads.error = error
            raise


def credential() -> Login:
    """The credential from this process's environment. All callers share it, so one login is enough.

    It tries, in this order: a service principal in `AZURE_…` variables, workload identity, managed identity, the login
    of `az` or `azd`. It never prompts on a terminal or opens a browser.
    """
    return _credential(tuple(sorted(item for item in os.environ.items() if item[0].startswith("AZURE_"))))


def tokens_of(credential: TokenCredential) -> Tokens | None:
    """What replaces a rejected token of a credential; None for one that is not ours."""
    return credential if isinstance(credential, Login) else None


def token(scope: str) -> str:
    """An access token for a scope such as `https://management.azure.com/.default`. Raises DeniedError, CloudError."""
    return credential().get_token(scope).token


@lru_cache(maxsize=1)
def _credential(_variables: tuple[tuple[str, str], ...]) -> Login:
    """Create the credential again if the variables that it depends on have changed."""
    return Login(
        lambda transport: DefaultAzureCredential(
            exclude_interactive_browser_credential=True,
            # Both look for logins that a person left in an editor; that does not mean that we may use them.
            exclude_shared_token_cache_credential=True,
            exclude_visual_studio_code_credential=True,
            exclude_powershell_credential=True,
            transport=transport,
            **_LIMITS,
        )
    )


@contextmanager
def _translated(transport: _Noting) -> Iterator[None]:
    transport.threads.error = None
    try:
        yield
    except AzureError as error:
        noted: ManifestgenError | None = transport.threads.error
        if noted is not None:
            raise CloudError(f"could not get a token: {noted.what}", where=_WHERE, fix=noted.fix) from noted
        raise _explain(error) from error
    except CloudError as error:
        raise CloudError(f"could not get a token: {error.what}", where=_WHERE, fix=error.fix) from error


def _explain(error: AzureError) -> CloudError:
    """Translate an error of azure-identity.

    Its first message has a paragraph for each credential that it tried. Once a credential has worked, only that one is
    used, and the message is its own sentence.
    """
    text = str(error)
    refused = _ENTRA_WORDS.search(text)
    if refused:
        words = redact(refused[0]).rstrip(".")
        return DeniedError(f"Microsoft Entra ID rejected the credential: {words}", where=_WHERE, fix=_FIX)
    words = text
    if text.startswith(_TRIED_ALL):
        environment = _ENVIRONMENT_WORDS.search(text)
        words = environment["words"] if environment and "unavailable" not in environment["words"] else ""
    if not words or isinstance(error, CredentialUnavailableError):
        return DeniedError("no Azure credential was found", where=_WHERE, fix=_FIX)
    words = redact(" ".join(words.split())).rstrip(".")
    return CloudError(
        f"could not get a token: {words}", where=_WHERE, fix="check the network and HTTPS_PROXY, then try again"
    )
