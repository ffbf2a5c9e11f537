"""Azure container registries through Azure Resource Manager; implements `manifestgen.cloud.Registry`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.core import ARMPipelineClient

from manifestgen.azure import registry_api
from manifestgen.azure.auth import EXPIRED, LOG_IN_AGAIN, tokens_of
from manifestgen.azure.auth import credential as default_credential
from manifestgen.azure.patience import Patience
from manifestgen.azure.transport import RetryingTransport, azure_core_transport
from manifestgen.cloud import Credential, NewPassword, RegistryInfo, Token, TokenPassword
from manifestgen.errors import CloudError, DeniedError, InputError, ManifestgenError, NotFoundError
from manifestgen.secret import Secret, redact
from manifestgen.waits import waiting

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_ARM = "https://management.azure.com"
_SUBSCRIPTIONS_VERSION = "2022-12-01"

_NAME = "Azure Resource Manager"
PATIENCE = Patience(answer=60.0)
# Seconds for a change that the service makes in the background.
_OPERATION = 120.0

# Parallel reads of subscriptions; Azure Resource Manager takes 250 at once of one caller and 25 a second after that.
_READERS = 16

_ARM_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.ContainerRegistry/registries/(?P<name>[^/]+)",
    re.IGNORECASE,
)
_READER = "give the identity the role 'Reader' on the registry"
_CONTRIBUTOR = "give the identity the role 'Contributor' on the registry, or use registry credentials 'env' or 'file'"
_TOKENS = "give the identity the role 'Contributor' on the registry; creating tokens and passwords requires it"
_DESCRIPTION = "What a deployment manifest pulls; created by manifestgen"
_ADMIN_OFF = "UnAuthorizedForCredentialOperations"


class Registries:
    """The container registries that a credential can read, in any subscription.

    Args:
        credential: from azure-identity; None for that of `manifestgen.azure.auth`.
        subscription: id of the project's subscription, which is searched first.
        report: is called before many subscriptions are searched.
    """

    def __init__(
        self,
        credential: TokenCredential | None = None,
        *,
        subscription: str | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        if credential is None:
            credential = default_credential()
        self._credential = credential
        self._subscription = subscription
        self._report = report
        self._seen: dict[str, RegistryInfo] = {}
        self._transport = RetryingTransport(_NAME, PATIENCE.scaled(), tokens=tokens_of(credential))
        self._clients: dict[str, ContainerRegistryManagementClient] = {}

    def by_id(self, arm_id: str) -> RegistryInfo:
        """See `Registry.by_id`."""
        place = _parse(arm_id)
        with _translated(f"registry {place['name']}", _READER):
            found = self._client(place["subscription"]).registries.get(place["group"], place["name"])
        return self._noted(_info(found))

    def nearby(self, login_server: str) -> RegistryInfo | None:
        """See `Registry.nearby`."""
        known = self._seen.get(login_server.lower())
        if known is not None:
            return known
        for subscription in self._first():
            try:
                found = self._find(subscription, login_server)
            except (DeniedError, NotFoundError):
                continue
            if found is not None:
                return found
        return None

    def by_host(self, login_server: str) -> RegistryInfo:
        """See `Registry.by_host`.

        Searches the registries of all subscriptions, the project's first: the host does not say which one it is in.
        """
        first = list(self._first())
        denied: CloudError | None = None
        for subscription in first:
            try:
                found = self._find(subscription, login_server)
            except (DeniedError, NotFoundError) as error:
                denied = error  # the registry may still be in one that the credential may read
            else:
                if found is not None:
                    return found
        listed = self._subscriptions()
        others = [subscription for subscription in listed if subscription not in first]
        found, refused = self._search(others, login_server)
        if found is not None:
            return found
        denied = refused or denied
        if denied is not None and len(listed) == 1:
            raise denied
        raise NotFoundError(
            f"no container registry with login server {login_server!r} was found in the {len(listed)} "
            f"subscription{'s' * (len(listed) != 1)} that the identity can read",
            fix=f"check the image's name, or {_READER}; other sources are registry credentials 'env' and 'file'",
        )

    def _first(self) -> Iterator[str]:
        """The subscriptions to search before any other: the project's, and that of the environment."""
        yield from dict.fromkeys(filter(None, (self._subscription, os.environ.get("AZURE_SUBSCRIPTION_ID"))))

    def _search(
        self, subscriptions: Sequence[str], login_server: str
    ) -> tuple[RegistryInfo | None, DeniedError | NotFoundError | None]:
        """Search subscriptions in parallel: the registry, or why one of them could not be read.

        Raises:
            CloudError: it was not found, and a subscription could not be searched for another reason than a missing
                role.
        """
        if len(subscriptions) > _READERS:
            self._report(f"looking for registry {login_server} in {len(subscriptions)} other subscriptions")
        denied: DeniedError | NotFoundError | None = None
        outage: CloudError | None = None
        pool = ThreadPoolExecutor(_READERS)
        try:
            looks = [pool.submit(self._find, subscription, login_server) for subscription in subscriptions]
            for look in as_completed(looks):
                try:
                    found = look.result()
                except (DeniedError, NotFoundError) as error:
                    denied = error
                except CloudError as error:
                    outage = error
                else:
                    if found is not None:
                        return found, None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if outage is not None:
            raise outage
        return None, denied

    def _find(self, subscription: str, login_server: str) -> RegistryInfo | None:
        """The registry of a subscription with a login server."""
        with _translated(f"subscription {subscription}", _READER):
            for found in self._client(subscription).registries.list():
                info = _info(found)
                if info.login_server.lower() == login_server.lower():
                    return self._noted(info)
        return None

    def _noted(self, info: RegistryInfo) -> RegistryInfo:
        self._seen[info.login_server.lower()] = info
        return info

    def admin_credential(self, registry: RegistryInfo) -> Credential:
        """See `Registry.admin_credential`."""
        place = _parse(registry.id)
        with _translated(f"registry {registry.login_server}", _CONTRIBUTOR):
            found = self._client(place["subscription"]).registries.list_credentials(place["group"], place["name"])
        for password in found.passwords or ():
            if found.username and password.value:
                return Credential(registry.login_server, found.username, Secret(password.value))
        raise CloudError(
            "the service returned no password for the admin user",
            where=f"registry {registry.login_server}",
            fix="regenerate it with 'az acr credential renew', or use registry credentials 'env' or 'file'",
        )

    def enable_admin(self, registry: RegistryInfo) -> RegistryInfo:
        """See `Registry.enable_admin`."""
        place = _parse(registry.id)
        with _translated(f"registry {registry.login_server}", _CONTRIBUTOR):
            # A plain mapping: the model's name differs between the SDK's versions.
            change: Any = {"properties": {"adminUserEnabled": True}}
            updating = self._client(place["subscription"]).registries.begin_update(
                place["group"], place["name"], change, polling_interval=2
            )
            return self._noted(_info(updating.result(timeout=_OPERATION)))

    def scope_map(self, registry: RegistryInfo, name: str) -> frozenset[str] | None:
        """See `Registry.scope_map`."""
        place = _parse(registry.id)
        try:
            with _translated(f"scope map {name} of {registry.login_server}", _TOKENS):
                found = self._client(place["subscription"]).scope_maps.get(place["group"], place["name"], name)
        except NotFoundError:
            return None
        return frozenset(found.actions or ())

    def put_scope_map(self, registry: RegistryInfo, name: str, actions: Collection[str]) -> None:
        """See `Registry.put_scope_map`."""
        place = _parse(registry.id)
        # Plain mappings here and below: their names in the API are those of all versions of the SDK.
        wanted: Any = {"properties": {"description": _DESCRIPTION, "actions": sorted(actions)}}
        with _translated(f"scope map {name} of {registry.login_server}", _TOKENS):
            scope_maps = self._client(place["subscription"]).scope_maps
            _done(scope_maps.begin_create(place["group"], place["name"], name, wanted, polling_interval=2))

    def token(self, registry: RegistryInfo, name: str) -> Token | None:
        """See `Registry.token`."""
        place = _parse(registry.id)
        try:
            with _translated(f"token {name} of {registry.login_server}", _TOKENS):
                found = self._client(place["subscription"]).tokens.get(place["group"], place["name"], name)
        except NotFoundError:
            return None
        return _token(registry, found)

    def create_token(self, registry: RegistryInfo, name: str, scope_map: str) -> Token:
        """See `Registry.create_token`."""
        place = _parse(registry.id)
        wanted: Any = {"properties": {"scopeMapId": f"{registry.id}/scopeMaps/{scope_map}", "status": "enabled"}}
        with _translated(f"token {name} of {registry.login_server}", _TOKENS):
            tokens = self._client(place["subscription"]).tokens
            made = _done(tokens.begin_create(place["group"], place["name"], name, wanted, polling_interval=2))
        return _token(registry, made)

    def generate_password(self, token: Token, name: str, expiry: datetime | None) -> NewPassword:
        """See `Registry.generate_password`."""
        registry = token.registry
        place = _parse(registry.id)
        wanted: Any = {"tokenId": f"{registry.id}/tokens/{token.name}", "name": name}
        if expiry is not None:
            wanted["expiry"] = expiry.astimezone(timezone.utc).isoformat()
        with _translated(f"token {token.name} of {registry.login_server}", _TOKENS):
            registries = self._client(place["subscription"]).registries
            made = _done(
                registries.begin_generate_credentials(place["group"], place["name"], wanted, polling_interval=2)
            )
        for password in made.passwords or ():
            if password.name == name and password.value:
                return NewPassword(name, Secret(password.value), password.expiry)
        raise CloudError(
            f"the service returned no {name}",
            where=f"token {token.name} of {registry.login_server}",
            fix="run the same command again",
        )

    def drop_password(self, token: Token, name: str) -> None:
        """See `Registry.drop_password`."""
        registry = token.registry
        known = self.token(registry, token.name)
        kept = [{"name": password.name} for password in (known.passwords if known else ()) if password.name != name]
        if known is None or len(kept) == len(known.passwords):
            return
        place = _parse(registry.id)
        wanted: Any = {"properties": {"credentials": {"passwords": kept}}}
        with _translated(f"token {token.name} of {registry.login_server}", _TOKENS):
            tokens = self._client(place["subscription"]).tokens
            _done(tokens.begin_update(place["group"], place["name"], token.name, wanted, polling_interval=2))

    def digest(self, image: str, credential: Credential | None) -> str | None:
        """See `Registry.digest`."""
        return registry_api.digest(image, credential)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            untyped: Any = client  # version 14 does not type its close()
            untyped.close()

    def _client(self, subscription: str) -> ContainerRegistryManagementClient:
        if subscription not in self._clients:
            self._clients[subscription] = ContainerRegistryManagementClient(
                self._credential,
                subscription,
                transport=azure_core_transport(self._transport),
                retry_policy=RetryPolicy.no_retries(),
            )
        return self._clients[subscription]

    def _subscriptions(self) -> Sequence[str]:
        """Ids of the subscriptions that the credential sees."""
        policies = [BearerTokenCredentialPolicy(self._credential, f"{_ARM}/.default")]
        found: list[str] = []
        url: str | None = f"{_ARM}/subscriptions?api-version={_SUBSCRIPTIONS_VERSION}"
        transport = azure_core_transport(self._transport)
        client: ARMPipelineClient[HttpRequest, HttpResponse] = ARMPipelineClient(
            _ARM, policies=policies, transport=transport
        )
        with _translated("subscriptions", _READER), client:
            while url:
                response = client.send_request(HttpRequest("GET", url))
                response.raise_for_status()
                page = response.json()
                found += [entry["subscriptionId"] for entry in page["value"]]
                url = page.get("nextLink")
        return found


def _parse(arm_id: str) -> dict[str, str]:
    match = _ARM_ID.fullmatch(arm_id.strip())
    if match is None:
        raise InputError(
            f"{arm_id!r} is not the ID of a container registry",
            fix="give it as /subscriptions/…/resourceGroups/…/providers/Microsoft.ContainerRegistry/registries/NAME",
        )
    return match.groupdict()


def _info(found: Any) -> RegistryInfo:
    return RegistryInfo(found.id, found.login_server, bool(found.admin_user_enabled))


def _token(registry: RegistryInfo, found: Any) -> Token:
    passwords = found.credentials.passwords if found.credentials else None
    return Token(
        registry,
        found.name,
        (found.scope_map_id or "").rpartition("/")[2],
        found.status != "disabled",
        # Later versions of the SDK return the name as an enum, whose str() differs.
        tuple(
            TokenPassword(getattr(one.name, "value", one.name), one.creation_time, one.expiry)
            for one in passwords or ()
        ),
    )


def _done(poller: Any) -> Any:
    """The result of a long-running operation. Raises CloudError if it takes too long."""
    with waiting(_NAME, changes=True):
        found = poller.result(timeout=_OPERATION)
    if not poller.done():
        raise CloudError(
            f"Azure Resource Manager did not finish within {_OPERATION:.0f} s",
            fix="check the registry in the portal, then run the same command again",
        )
    return found


@contextmanager
def _translated(where: str, role: str) -> Iterator[None]:
    """Translate the SDK's errors into ours, with the service's message; `role` is the advice for a 403."""
    try:
        yield
    except ManifestgenError:
        raise
    except HttpResponseError as error:
        raise _rejected(error, where, role) from error
    except AzureError as error:
        raise CloudError(
            f"Azure Resource Manager could not be reached: {_first_line(str(error))}",
            where=where,
            fix="check the network and HTTPS_PROXY, then try again",
        ) from error


def _rejected(error: HttpResponseError, where: str, role: str) -> CloudError:
    code = (error.error.code if error.error else None) or ""
    words = _first_line((error.error.message if error.error else None) or error.message)
    if code == _ADMIN_OFF:
        return DeniedError(
            "the registry's admin user is disabled",
            where=where,
            fix="use registry credentials 'token', 'keyvault', 'env' or 'file', or enable it: "
            "'manifestgen deploy --enable-admin'",
        )
    if error.status_code == 401:
        return DeniedError(f"{EXPIRED}: {words}", where=where, fix=LOG_IN_AGAIN)
    if error.status_code == 403:
        return DeniedError(f"access is denied: {words}", where=where, fix=role)
    if isinstance(error, ResourceNotFoundError) or error.status_code == 404:
        return NotFoundError(
            words, where=where, fix="check the ID; a registry that was moved or recreated has a new one"
        )
    if error.status_code == 429:
        return CloudError(f"too many requests: {words}", where=where, fix="wait a minute, then try again")
    status = f" (status {error.status_code})" if error.status_code else ""
    return CloudError(f"{words}{status}", where=where, fix="try again; if it persists, see https://status.azure.com")


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return redact(lines[0].strip().rstrip(".")) if lines else "no reason given"
