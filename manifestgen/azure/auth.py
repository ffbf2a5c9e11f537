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

from manifestgen.azure.answer import not_understood
from manifestgen.azure.patience import Patience
from manifestgen.azure.pipeline_login import VARIABLES, advice, of_pipeline, refused_connection
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, unquoted
from manifestgen.azure.transport import RetryingTransport, Tokens, azure_core_transport
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError
from manifestgen.secret import redact

if TYPE_CHECKING:
    from azure.core.pipeline.transport import RequestsTransport
    from requests import Response

_WHERE = "Azure login"

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
    "log in again: run 'az login', or check the federated credential or AZURE_CLIENT_SECRET and its expiry; a missing "
    "role would be another error"
)
_FEDERATE = (
    "add a federated credential for this issuer, subject and audience to the identity that AZURE_CLIENT_ID names, or "
    "correct AZURE_CLIENT_ID"
)

# Entra ID's message, without the identifiers that follow it.
_ENTRA_WORDS = re.compile(
    r"(?:^|: |^Microsoft Entra ID error '\(\w+\) )(?P<words>AADSTS\d+: .*?)(?=\.? Trace ID:|[\r\n]|$)"
)
# The transport's messages, which quote no answer.
_ABOUT_CONNECTION = re.compile(
    r"(?:Authentication failed: )?"
    r"(?:\(?'?(?:Connection |Unable to connect )|HTTPS?ConnectionPool\(|<urllib3\.|\[Errno |\[SSL|Failed to |"
    r"Cannot connect |EOF occurred|Remote end closed|Response ended|IncompleteRead|HTTP Error: \d{3}\s*$|"
    r"Operation returned an invalid |The current credential is not configured )"
)
_TRIED_ALL = "DefaultAzureCredential failed"
# Entra ID knows the identity, and none of its federated credentials is for the token's issuer, subject or audience.
_NOT_FEDERATED = re.compile(r"AADSTS70021[0-9]*:")

# The variables of a service principal with a secret.
_OF_A_PRINCIPAL = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
# Values of AZURE_TOKEN_CREDENTIALS: azure-identity ignores their case.
_CHOICES = {
    name.lower(): name
    for name in (
        "dev",
        "prod",
        "EnvironmentCredential",
        "WorkloadIdentityCredential",
        "ManagedIdentityCredential",
        "AzureCliCredential",
        "AzureDeveloperCliCredential",
        "AzurePowerShellCredential",
        "VisualStudioCodeCredential",
    )
}
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
            else:
                found = credential.get_token(*scopes, **options)
                info = AccessTokenInfo(found.token, found.expires_on)
            # azure-identity accepts any JSON as a token, and each SDK fails over it differently.
            if not isinstance(info.token, str) or not info.token:
                raise not_understood(_NAME, _WHERE, "the token is not a string")
            return info


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

    It is a service principal in `AZURE_…` variables, else the job's own token in GitHub Actions or Azure Pipelines,
    else the first that works of workload identity, managed identity, the login of `az` or `azd`. As in every program
    with azure-identity, `AZURE_TOKEN_CREDENTIALS` narrows that to `dev`, to `prod` or to one credential. It never
    prompts on a terminal or opens a browser.

    Raises:
        InputError: a variable has a value that names no credential.
    """
    variables = (item for item in os.environ.items() if item[0].startswith("AZURE") or item[0] in VARIABLES)
    return _credential(tuple(sorted(variables)))


def tokens_of(credential: TokenCredential) -> Tokens | None:
    """A function that replaces a rejected token of a credential; None for a credential that is not ours."""
    return credential if isinstance(credential, Login) else None


def token(scope: str) -> str:
    """An access token for a scope such as `https://management.azure.com/.default`. Raises DeniedError, CloudError."""
    return credential().get_token(scope).token


@lru_cache(maxsize=1)
def _credential(variables: tuple[tuple[str, str], ...]) -> Login:
    """Create the credential again if the variables that it depends on have changed."""
    environ = dict(variables)
    chosen = environ.get("AZURE_TOKEN_CREDENTIALS", "").strip()
    if chosen and chosen.lower() not in _CHOICES:
        raise InputError(
            f"{chosen!r} is not a credential that manifestgen can use",
            where="AZURE_TOKEN_CREDENTIALS",
            fix=f"set it to {', '.join(_CHOICES.values())}, or unset it",
        )
    # The value in a pipeline for a secret that the run may not see, as for a pull request from a fork.
    empty = [name for name in _OF_A_PRINCIPAL if environ.get(name) == ""]
    if empty and chosen.lower() == "environmentcredential":
        raise DeniedError(f"{empty[0]} is empty", where=_WHERE, fix=advice(os.environ))
    return Login(of_pipeline(environ) or (lambda transport: _default(transport, chosen.lower(), empty=bool(empty))))


def _default(transport: RequestsTransport, chosen: str, *, empty: bool) -> TokenCredential:
    excluded = {
        "exclude_interactive_browser_credential": True,
        # These look for logins that a person left in an editor; that does not mean that we may use them, unless one of
        # them is chosen by its name.
        "exclude_shared_token_cache_credential": True,
        "exclude_visual_studio_code_credential": chosen != "visualstudiocodecredential",
        "exclude_powershell_credential": chosen != "azurepowershellcredential",
        # With an empty variable, azure-identity would fail in its constructor.
        "exclude_environment_credential": empty,
    }
    # Leave out False: an explicit value would override AZURE_TOKEN_CREDENTIALS.
    flags = {name: True for name, excludes in excluded.items() if excludes}
    return DefaultAzureCredential(**flags, transport=transport, **_LIMITS)


@contextmanager
def _translated(transport: _Noting) -> Iterator[None]:
    transport.threads.error = None
    try:
        yield
    except AzureError as error:
        noted: ManifestgenError | None = transport.threads.error
        if noted is not None:
            raise CloudError(f"could not get a token: {noted.what}", where=_WHERE, fix=noted.fix) from noted
        raise refused_connection(error) or _explain(str(error), type(error)) from SdkError(error)
    except SHAPE_ERRORS as error:
        raise _explain("", type(error)) from SdkError(error)
    except DeniedError:
        raise
    except CloudError as error:
        raise CloudError(f"could not get a token: {error.what}", where=_WHERE, fix=error.fix) from error


def _explain(text: str, kind: type[BaseException]) -> CloudError:
    """Translate an error of azure-identity.

    Its first message has a paragraph for each credential that it tried. Once a credential has worked, only that one is
    used, and the message is its own sentence. Either may quote an answer, or repeat an exception that does, so it is
    shown only where it is known to be Entra ID's own message, or about the connection.
    """
    refused = _ENTRA_WORDS.search(text)
    if refused:
        words = redact(refused["words"]).rstrip(".")
        fix = _FEDERATE if _NOT_FEDERATED.match(words) else advice(os.environ)
        return DeniedError(f"Microsoft Entra ID rejected the credential: {words}", where=_WHERE, fix=fix)
    words = text
    if text.startswith(_TRIED_ALL):
        environment = _ENVIRONMENT_WORDS.search(text)
        words = environment["words"] if environment and "unavailable" not in environment["words"] else ""
    if (text and not words) or issubclass(kind, CredentialUnavailableError):
        return DeniedError("no Azure credential was found", where=_WHERE, fix=advice(os.environ))
    if not _ABOUT_CONNECTION.match(words):
        return not_understood("Microsoft Entra ID", _WHERE)
    return CloudError(
        f"could not get a token: {unquoted(words)}",
        where=_WHERE,
        fix="check the network and HTTPS_PROXY, then try again",
    )
