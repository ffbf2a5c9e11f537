"""Azure key vaults; implements `manifestgen.cloud.Vaults`.

azure-keyvault-secrets is an extra, so it is imported only when a vault is used. It learns from the vault's challenge
where to log in, and rejects a vault that asks for a token for a domain other than its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
from azure.core.exceptions import AzureError, DecodeError, HttpResponseError
from azure.core.pipeline.policies import RetryPolicy
from urllib3.exceptions import NameResolutionError

from manifestgen.azure.answer import decoded, not_understood
from manifestgen.azure.auth import EXPIRED, LOG_IN_AGAIN, tokens_of
from manifestgen.azure.auth import credential as default_credential
from manifestgen.azure.patience import Patience, chain, root_words
from manifestgen.azure.sdk_error import SHAPE_ERRORS, SdkError, first_line, message_of, unquoted, words_of
from manifestgen.azure.transport import RetryingTransport, UnreachableError, azure_core_transport
from manifestgen.cloud import VaultSecret
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError, NotFoundError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.keyvault.secrets import SecretClient

_NAME = "Azure Key Vault"
PATIENCE = Patience(answer=30.0, total=60.0)

_SERVICE: Final = "the vault"
# How the SDK's messages begin about a server that asks for a token as no key vault does.
_CHALLENGES: Final = ("The challenge", "Invalid challenge", "Challenge ")

_PUBLIC = "vault.azure.net"
# Clouds by the host that azure-identity logs in to, AZURE_AUTHORITY_HOST;
# https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
_SUFFIXES = {
    "login.chinacloudapi.cn": "vault.azure.cn",
    "login.partner.microsoftonline.cn": "vault.azure.cn",
    "login.microsoftonline.us": "vault.usgovcloudapi.net",
}

_ROLE = "give the identity the role 'Key Vault Secrets User' on the vault; it takes effect after some minutes"
_POLICY = "give the identity the permission Get for secrets, in the vault's access policies"
_NAMES = "check registry.keyvault.vault; a deleted vault can be recovered with 'az keyvault recover'"
# azure-identity returns no token for a tenant to which its credential does not belong.
_OTHER_TENANT = re.compile(r"not configured to acquire tokens for tenant (?P<tenant>[0-9A-Za-z-]+)")


class _Properties(msgspec.Struct):
    """The fields that we use of `azure.keyvault.secrets.SecretProperties`."""

    expires_on: datetime | None
    not_before: datetime | None


class KeyVaults:
    """The key vaults that a credential can read.

    Args:
        credential: of azure-identity; the one of `manifestgen.azure.auth` if None.

    Raises:
        InputError: azure-keyvault-secrets is not installed.
    """

    def __init__(self, credential: TokenCredential | None = None) -> None:
        try:
            from azure.keyvault.secrets import SecretClient
        except ModuleNotFoundError as error:
            raise InputError(
                "support for Azure Key Vault is not installed", fix="run: pip install 'manifestgen[keyvault]'"
            ) from error
        if credential is None:
            credential = default_credential()
        self._make = SecretClient
        self._credential = credential
        self._transport = RetryingTransport(_NAME, PATIENCE.scaled(), tokens=tokens_of(credential))
        self._clients: dict[str, SecretClient] = {}

    def secret(self, vault: str, name: str) -> VaultSecret:
        """See `Vaults.secret`."""
        uri = uri_of(vault, os.environ)
        client = self._clients.get(uri)
        if client is None:
            client = self._clients[uri] = self._make(
                uri,
                self._credential,
                transport=azure_core_transport(self._transport),
                retry_policy=RetryPolicy.no_retries(),
            )
        host = uri.removeprefix("https://")
        with _translated(host, name):
            found = client.get_secret(name)
            value, properties = found.value, found.properties
        where = f"secret {name} of key vault {host}"
        text = "" if value is None else decoded(value, str, service=_SERVICE, where=where)
        known = decoded(properties, _Properties, service=_SERVICE, where=where)
        return VaultSecret(name, text, known.expires_on, known.not_before)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()


def uri_of(vault: str, environ: Mapping[str, str]) -> str:
    """A vault's URI, such as `https://contoso-edge.vault.azure.net`.

    Args:
        vault: its name, host or URI.
        environ: the environment variables; `AZURE_AUTHORITY_HOST` says in which cloud a bare name is.
    """
    host = vault.removeprefix("https://").rstrip("/").lower()
    if "." not in host:
        authority = environ.get("AZURE_AUTHORITY_HOST", "").removeprefix("https://").rstrip("/").lower()
        host = f"{host}.{_SUFFIXES.get(authority, _PUBLIC)}"
    return f"https://{host}"


@contextmanager
def _translated(host: str, name: str) -> Iterator[None]:
    """Translate the SDK's errors into ours, with the service's message."""
    try:
        yield
    except UnreachableError as error:
        unknown = any(isinstance(reason, NameResolutionError) for reason in chain(error))
        what = "no vault has this name" if unknown else f"the vault could not be reached: {root_words(error)}"
        fix = _NAMES if unknown else f"check the network and HTTPS_PROXY; {_NAMES}"
        raise CloudError(what, where=f"key vault {host}", fix=fix) from error
    except ManifestgenError as error:
        other = _OTHER_TENANT.search(str(error))
        if other is None:
            raise
        what = f"the vault belongs to tenant {other['tenant']}, but the login is for another tenant"
        fix = f"log in there: 'az login --tenant {other['tenant']}', or AZURE_TENANT_ID with an identity of that tenant"
        raise DeniedError(what, where=f"key vault {host}", fix=fix) from error
    except DecodeError as error:
        raise not_understood(_SERVICE, f"key vault {host}") from SdkError(error)
    except HttpResponseError as error:
        raise _rejected(error, host, name) from SdkError(error)
    except AzureError as error:
        if isinstance(error, SHAPE_ERRORS):
            raise not_understood(_SERVICE, f"key vault {host}") from SdkError(error)
        what = f"the vault could not be reached: {unquoted(str(error))}"
        fix = f"check the network and HTTPS_PROXY; {_NAMES}"
        raise CloudError(what, where=f"key vault {host}", fix=fix) from SdkError(error)
    except SHAPE_ERRORS as error:
        if not str(error).startswith(_CHALLENGES):
            raise not_understood(_SERVICE, f"key vault {host}") from SdkError(error)
        what = f"the server at this address is not a key vault: {first_line(str(error))}"
        raise DeniedError(what, where=f"key vault {host}", fix=_NAMES) from error


def _rejected(error: HttpResponseError, host: str, name: str) -> CloudError:
    words, where, vault = words_of(error), f"secret {name} of key vault {host}", host.partition(".")[0]
    if error.status_code == 404:
        fix = (
            f"set it with 'az keyvault secret set --vault-name {vault} --name {name}', or correct its name; a "
            "deleted secret can be recovered with 'az keyvault secret recover'"
        )
        return NotFoundError("the vault has no such secret", where=where, fix=fix)
    if error.status_code == 401:
        return DeniedError(f"{EXPIRED}: {words}", where=where, fix=LOG_IN_AGAIN)
    if error.status_code == 403:
        inner = error.error.innererror if error.error else None
        code = str(inner.get("code", "")) if isinstance(inner, dict) else ""
        return _forbidden(code, message_of(error) or words, where, f"--vault-name {vault} --name {name}")
    if error.status_code == 429:
        return CloudError(f"too many requests: {words}", where=where, fix="wait a minute, then try again")
    status = f" (status {error.status_code})" if error.status_code else ""
    return CloudError(f"{words}{status}", where=where, fix="try again; if it persists, see https://status.azure.com")


def _forbidden(code: str, text: str, where: str, options: str) -> DeniedError:
    """The advice for a 403, which depends on its inner error."""
    words = first_line(text)
    if code == "SecretDisabled" or "disabled secret" in text:
        fix = f"set a new version, or enable it with 'az keyvault secret set-attributes {options} --enabled true'"
        return DeniedError("the secret is disabled", where=where, fix=fix)
    if code in ("ForbiddenByFirewall", "ForbiddenByConnection"):
        address = re.search(r"Client address: (\S+)", text)
        seen = f" (it sees {address[1]})" if address else ""
        what = f"the vault's network rules block this machine: {words}"
        fix = f"run this where the vault can be reached, or add this machine's address to its firewall{seen}"
        return DeniedError(what, where=where, fix=fix)
    by_policy = code == "AccessDenied" or "permission on key vault" in text
    return DeniedError(f"access is denied: {words}", where=where, fix=_POLICY if by_policy else _ROLE)
