"""Azure container registries through Azure Resource Manager; implements `manifestgen.cloud.Registry`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.core import ARMPipelineClient

from manifestgen.azure import arm, registry_api
from manifestgen.azure.acr_shapes import Passwords, ScopeMap, Subscriptions, place_of, registry_info, token_of
from manifestgen.azure.answer import decoded, not_understood
from manifestgen.azure.auth import credential as default_credential
from manifestgen.azure.auth import tokens_of
from manifestgen.azure.patience import Patience
from manifestgen.azure.transport import RetryingTransport, azure_core_transport
from manifestgen.cloud import Credential, NewPassword, RegistryInfo, Token
from manifestgen.errors import CloudError, DeniedError, NotFoundError
from manifestgen.sandboxed import SANDBOX_REGISTRY, in_sandbox
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

PATIENCE = Patience(answer=60.0)

# Parallel reads of subscriptions; Azure Resource Manager takes 250 at once of one caller and 25 a second after that.
_READERS = 16

_READER = "give the identity the role 'Reader' on the registry"
_CONTRIBUTOR = "give the identity the role 'Contributor' on the registry, or use registry credentials 'env' or 'file'"
_TOKENS = "give the identity the role 'Contributor' on the registry; creating tokens and passwords requires it"
_DESCRIPTION = "What a deployment manifest pulls; created by manifestgen"


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
        self._transport = RetryingTransport(arm.NAME, PATIENCE.scaled(), tokens=tokens_of(credential))
        self._clients: dict[str, ContainerRegistryManagementClient] = {}

    def by_id(self, arm_id: str) -> RegistryInfo:
        """See `Registry.by_id`."""
        place = place_of(arm_id)
        where = f"registry {place['name']}"
        with arm.translated(where, _READER):
            found = self._client(place["subscription"]).registries.get(place["group"], place["name"])
        return self._noted(registry_info(found, where))

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
        fix = f"check the registry's host, or {_READER}; other sources are registry credentials 'env' and 'file'"
        if in_sandbox():
            fix = f"the sandbox has the registry {SANDBOX_REGISTRY!r}: name it as image.registry in the project file"
        raise NotFoundError(
            f"no container registry with login server {login_server!r} was found in the {len(listed)} "
            f"subscription{'s' * (len(listed) != 1)} that the identity can read",
            fix=fix,
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
        where = f"subscription {subscription}"
        with arm.translated(where, _READER):
            for found in self._client(subscription).registries.list():
                info = registry_info(found, where)
                if info.login_server.lower() == login_server.lower():
                    return self._noted(info)
        return None

    def _noted(self, info: RegistryInfo) -> RegistryInfo:
        self._seen[info.login_server.lower()] = info
        return info

    def admin_credential(self, registry: RegistryInfo) -> Credential:
        """See `Registry.admin_credential`."""
        place = place_of(registry.id)
        where = f"registry {registry.login_server}"
        with arm.translated(where, _CONTRIBUTOR):
            found = self._client(place["subscription"]).registries.list_credentials(place["group"], place["name"])
        login = decoded(found, Passwords, service=arm.NAME, where=where)
        for password in login.passwords or ():
            if login.username and password.value:
                return Credential(registry.login_server, login.username, Secret(password.value))
        raise CloudError(
            "the service returned no password for the admin user",
            where=where,
            fix="regenerate it with 'az acr credential renew', or use registry credentials 'env' or 'file'",
        )

    def enable_admin(self, registry: RegistryInfo) -> RegistryInfo:
        """See `Registry.enable_admin`."""
        place = place_of(registry.id)
        where = f"registry {registry.login_server}"
        with arm.translated(where, _CONTRIBUTOR):
            # A plain mapping: the model's name differs between the SDK's versions.
            change: Any = {"properties": {"adminUserEnabled": True}}
            updating = self._client(place["subscription"]).registries.begin_update(
                place["group"], place["name"], change, polling_interval=2
            )
            return self._noted(registry_info(updating.result(timeout=arm.OPERATION), where))

    def scope_map(self, registry: RegistryInfo, name: str) -> frozenset[str] | None:
        """See `Registry.scope_map`."""
        place = place_of(registry.id)
        where = f"scope map {name} of {registry.login_server}"
        try:
            with arm.translated(where, _TOKENS):
                found = self._client(place["subscription"]).scope_maps.get(place["group"], place["name"], name)
        except NotFoundError:
            return None
        return frozenset(decoded(found, ScopeMap, service=arm.NAME, where=where).actions or ())

    def put_scope_map(self, registry: RegistryInfo, name: str, actions: Collection[str]) -> None:
        """See `Registry.put_scope_map`."""
        place = place_of(registry.id)
        # Plain mappings here and below: their names in the API are those of all versions of the SDK.
        wanted: Any = {"properties": {"description": _DESCRIPTION, "actions": sorted(actions)}}
        with arm.translated(f"scope map {name} of {registry.login_server}", _TOKENS):
            scope_maps = self._client(place["subscription"]).scope_maps
            arm.done(scope_maps.begin_create(place["group"], place["name"], name, wanted, polling_interval=2))

    def token(self, registry: RegistryInfo, name: str) -> Token | None:
        """See `Registry.token`."""
        place = place_of(registry.id)
        where = f"token {name} of {registry.login_server}"
        try:
            with arm.translated(where, _TOKENS):
                found = self._client(place["subscription"]).tokens.get(place["group"], place["name"], name)
        except NotFoundError:
            return None
        return token_of(registry, found, where)

    def create_token(self, registry: RegistryInfo, name: str, scope_map: str) -> Token:
        """See `Registry.create_token`."""
        place = place_of(registry.id)
        wanted: Any = {"properties": {"scopeMapId": f"{registry.id}/scopeMaps/{scope_map}", "status": "enabled"}}
        where = f"token {name} of {registry.login_server}"
        with arm.translated(where, _TOKENS):
            tokens = self._client(place["subscription"]).tokens
            made = arm.done(tokens.begin_create(place["group"], place["name"], name, wanted, polling_interval=2))
        return token_of(registry, made, where)

    def generate_password(self, token: Token, name: str, expiry: datetime | None) -> NewPassword:
        """See `Registry.generate_password`."""
        registry = token.registry
        place = place_of(registry.id)
        wanted: Any = {"tokenId": f"{registry.id}/tokens/{token.name}", "name": name}
        if expiry is not None:
            wanted["expiry"] = expiry.astimezone(timezone.utc).isoformat()
        where = f"token {token.name} of {registry.login_server}"
        with arm.translated(where, _TOKENS):
            registries = self._client(place["subscription"]).registries
            made = arm.done(
                registries.begin_generate_credentials(place["group"], place["name"], wanted, polling_interval=2)
            )
        for password in decoded(made, Passwords, service=arm.NAME, where=where).passwords or ():
            if password.name == name and password.value:
                return NewPassword(name, Secret(password.value), password.expiry)
        raise CloudError(
            f"the service returned no {name}",
            where=where,
            fix="run the same command again",
        )

    def drop_password(self, token: Token, name: str) -> None:
        """See `Registry.drop_password`."""
        registry = token.registry
        known = self.token(registry, token.name)
        kept = [{"name": password.name} for password in (known.passwords if known else ()) if password.name != name]
        if known is None or len(kept) == len(known.passwords):
            return
        place = place_of(registry.id)
        wanted: Any = {"properties": {"credentials": {"passwords": kept}}}
        with arm.translated(f"token {token.name} of {registry.login_server}", _TOKENS):
            tokens = self._client(place["subscription"]).tokens
            arm.done(tokens.begin_update(place["group"], place["name"], token.name, wanted, polling_interval=2))

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
        policies = [BearerTokenCredentialPolicy(self._credential, arm.SCOPE)]
        found: list[str] = []
        url: str | None = f"{arm.URL}/subscriptions?api-version={arm.SUBSCRIPTIONS_VERSION}"
        transport = azure_core_transport(self._transport)
        client: ARMPipelineClient[HttpRequest, HttpResponse] = ARMPipelineClient(
            arm.URL, policies=policies, transport=transport
        )
        with arm.translated("subscriptions", _READER), client:
            while url:
                response = client.send_request(HttpRequest("GET", url))
                response.raise_for_status()
                page = decoded(response.json(), Subscriptions, service=arm.NAME, where="subscriptions")
                found += [entry.subscription_id for entry in page.value]
                url = page.next_link
                if url and not url.startswith(f"{arm.URL}/"):  # the token is for Azure Resource Manager alone
                    raise not_understood(arm.NAME, "subscriptions", "its next page is on another host")
        return found
