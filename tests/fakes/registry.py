"""A `Registry` in memory; passes the same contract suite as the real adapter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from manifestgen.cloud import Credential, NewPassword, RegistryInfo, Token, TokenPassword
from manifestgen.errors import DeniedError, InputError, NotFoundError
from manifestgen.secret import Secret

_GROUP = "/subscriptions/5ab5c710-0000-4000-8000-000000000001/resourceGroups/shared"
_PROVIDER = "/providers/Microsoft.ContainerRegistry/registries/"


def registry_id(name: str) -> str:
    """Full ARM id of a registry of the fake."""
    return f"{_GROUP}{_PROVIDER}{name}"


@dataclass
class FakeRegistry:
    """Registries by their ARM id, images by their reference, the admin user's passwords by login server.

    Attributes:
        scope_maps, tokens: by login server and name.
        token_passwords: the texts, by login server, token and name of the password.
        clock: tells what has expired.
        far_away: ids of registries that are not in the project's subscription.
    """

    registries: dict[str, RegistryInfo] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    enabled: list[str] = field(default_factory=list)
    scope_maps: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    tokens: dict[tuple[str, str], Token] = field(default_factory=dict)
    token_passwords: dict[tuple[str, str, str], str] = field(default_factory=dict)
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    made: int = 0
    far_away: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, *names: str, images: Mapping[str, str] | None = None, admin: bool = True) -> FakeRegistry:
        """Registries of these names, each with its usual login server."""
        infos = [RegistryInfo(registry_id(name), f"{name}.azurecr.io", admin) for name in names]
        return cls(
            {info.id: info for info in infos},
            dict(images or {}),
            {info.login_server: f"password-of-{info.login_server}" for info in infos},
        )

    def by_id(self, arm_id: str) -> RegistryInfo:
        if "/registries/" not in arm_id:
            raise InputError(f"{arm_id!r} is not the ID of a container registry", fix="give the full id")
        try:
            return self.registries[arm_id]
        except KeyError:
            raise NotFoundError(f"no registry {arm_id!r}", fix="check the id") from None

    def by_host(self, login_server: str) -> RegistryInfo:
        for info in self.registries.values():
            if info.login_server.lower() == login_server.lower():
                return info
        raise NotFoundError(f"no registry answers under {login_server!r}", fix="check the image's name")

    def nearby(self, login_server: str) -> RegistryInfo | None:
        try:
            info = self.by_host(login_server)
        except NotFoundError:
            return None
        return None if info.id in self.far_away else info

    def admin_credential(self, registry: RegistryInfo) -> Credential:
        known = self.by_id(registry.id)
        if not known.admin_enabled:
            raise DeniedError("the admin user is disabled", where=known.login_server, fix="add --enable-admin")
        username = registry.id.rpartition("/")[2]
        return Credential(known.login_server, username, Secret(self.passwords[known.login_server]))

    def enable_admin(self, registry: RegistryInfo) -> RegistryInfo:
        known = replace(self.by_id(registry.id), admin_enabled=True)
        self.registries[registry.id] = known
        self.enabled.append(registry.id)
        return known

    def scope_map(self, registry: RegistryInfo, name: str) -> frozenset[str] | None:
        return self.scope_maps.get((registry.login_server, name))

    def put_scope_map(self, registry: RegistryInfo, name: str, actions: Collection[str]) -> None:
        self.scope_maps[registry.login_server, name] = frozenset(actions)

    def token(self, registry: RegistryInfo, name: str) -> Token | None:
        return self.tokens.get((registry.login_server, name))

    def create_token(self, registry: RegistryInfo, name: str, scope_map: str) -> Token:
        key = registry.login_server, name
        self.tokens[key] = replace(self.tokens.get(key) or Token(registry, name, scope_map), scope_map=scope_map)
        return self.tokens[key]

    def generate_password(self, token: Token, name: str, expiry: datetime | None) -> NewPassword:
        key = token.registry.login_server, token.name
        known = self.tokens[key]
        self.made += 1
        value = f"password-{self.made}-of-{token.name}"
        others = tuple(one for one in known.passwords if one.name != name)
        self.tokens[key] = replace(known, passwords=(*others, TokenPassword(name, self.clock(), expiry)))
        self.token_passwords[(*key, name)] = value
        return NewPassword(name, Secret(value), expiry)

    def drop_password(self, token: Token, name: str) -> None:
        key = token.registry.login_server, token.name
        known = self.tokens[key]
        self.tokens[key] = replace(known, passwords=tuple(one for one in known.passwords if one.name != name))
        self.token_passwords.pop((*key, name), None)

    def works(self, host: str, username: str, password: str, repository: str) -> bool:
        """Whether a device with this login could pull from a repository now."""
        if username == host.partition(".")[0] and password == self.passwords.get(host):
            return True
        token = self.tokens.get((host, username))
        if token is None or not token.enabled:
            return False
        actions = self.scope_maps.get((host, token.scope_map), frozenset())
        return f"repositories/{repository}/content/read" in actions and any(
            self.token_passwords.get((host, username, one.name)) == password
            and (one.expiry is None or one.expiry > self.clock())
            for one in token.passwords
        )

    def digest(self, image: str, credential: Credential | None) -> str | None:
        host, _, path = image.partition("/")
        if host in self.passwords:
            repository = path.partition("@")[0].partition(":")[0]
            accepted = credential is not None and self.works(
                host, credential.username, credential.password.reveal(), repository
            )
            if not accepted:
                raise DeniedError(f"the registry does not let you read {image!r}", where=host, fix="check the password")
        return self.images.get(image)
