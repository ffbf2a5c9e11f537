"""A `Registry` in memory; passes the same contract suite as the real adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from manifestgen.cloud import Credential, RegistryInfo
from manifestgen.errors import DeniedError, InputError, NotFoundError
from manifestgen.secret import Secret

_GROUP = "/subscriptions/5ab5c710-0000-4000-8000-000000000001/resourceGroups/shared"
_PROVIDER = "/providers/Microsoft.ContainerRegistry/registries/"


def registry_id(name: str) -> str:
    """Full ARM id of a registry of the fake."""
    return f"{_GROUP}{_PROVIDER}{name}"


@dataclass
class FakeRegistry:
    """Registries by their ARM id, images by their reference, the admin user's passwords by login server."""

    registries: dict[str, RegistryInfo] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    enabled: list[str] = field(default_factory=list)

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
            raise InputError(f"{arm_id!r} is no id of a container registry", fix="give the full id")
        try:
            return self.registries[arm_id]
        except KeyError:
            raise NotFoundError(f"no registry {arm_id!r}", fix="check the id") from None

    def by_host(self, login_server: str) -> RegistryInfo:
        for info in self.registries.values():
            if info.login_server.lower() == login_server.lower():
                return info
        raise NotFoundError(f"no registry answers under {login_server!r}", fix="check the image's name")

    def admin_credential(self, registry: RegistryInfo) -> Credential:
        known = self.by_id(registry.id)
        if not known.admin_enabled:
            raise DeniedError("the admin user is switched off", where=known.login_server, fix="add --enable-admin")
        username = registry.id.rpartition("/")[2]
        return Credential(known.login_server, username, Secret(self.passwords[known.login_server]))

    def enable_admin(self, registry: RegistryInfo) -> RegistryInfo:
        known = replace(self.by_id(registry.id), admin_enabled=True)
        self.registries[registry.id] = known
        self.enabled.append(registry.id)
        return known

    def digest(self, image: str, credential: Credential | None) -> str | None:
        host = image.partition("/")[0]
        if host in self.passwords:
            accepted = credential is not None and credential.password == Secret(self.passwords[host])
            if not accepted:
                raise DeniedError(f"the registry does not let you read {image!r}", where=host, fix="check the password")
        return self.images.get(image)
