"""Registry credentials from Azure: the admin user's, of the registry that answers under an image's host."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from manifestgen.cloud import Credential, Registry, RegistryInfo
from manifestgen.errors import NotFoundError


def admin_credentials(
    hosts: Iterable[str],
    registry: Registry,
    workspace_registry: Callable[[], str | None],
    *,
    enable_admin: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Credential]:
    """The admin user's credential for each registry host.

    Args:
        hosts: as images name them.
        workspace_registry: the full ARM id of the workspace's registry, asked where no registry is found by its host:
            whoever may use a workspace need not be allowed to list registries.
        enable_admin: switch the admin user on where it is off. Nothing is switched on without it.

    Raises:
        NotFoundError: no registry that the caller may read answers under a host.
        DeniedError: the admin user is off; the error names the switch and the other sources.
    """
    return {
        host: _admin_credential(find(host, registry, workspace_registry), registry, enable_admin, report)
        for host in hosts
    }


def find(host: str, registry: Registry, workspace_registry: Callable[[], str | None]) -> RegistryInfo:
    """The registry that answers under a host: among those that the caller may list, else the workspace's own.

    Raises:
        NotFoundError: neither is it.
    """
    try:
        return registry.by_host(host)
    except NotFoundError:
        arm_id = workspace_registry()
        info = registry.by_id(arm_id) if arm_id else None
        if info is None or info.login_server.lower() != host.lower():
            raise
        return info


def _admin_credential(
    info: RegistryInfo, registry: Registry, enable_admin: bool, report: Callable[[str], None]
) -> Credential:
    if enable_admin and not info.admin_enabled:
        info = registry.enable_admin(info)
        report(f"admin user of registry {info.login_server} switched on")
    return registry.admin_credential(info)
