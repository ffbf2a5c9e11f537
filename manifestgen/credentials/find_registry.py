"""Finds the Azure container registry that has a login server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifestgen.errors import ManifestgenError

if TYPE_CHECKING:
    from manifestgen.cloud import RegistryInfo, Services


def find_registry(host: str, services: Services, *, workspace: bool) -> RegistryInfo:
    """The registry with a login server: in the project's subscription, the workspace's, or any that can be listed.

    Args:
        host: as images name it.
        services: of the project.
        workspace: whether the project has a workspace, whose registry may be in another subscription, or one that the
            caller may read but not list.

    Raises:
        NotFoundError: it is none of them.
    """
    return (
        services.registry.nearby(host)
        or (_of_workspace(host, services) if workspace else None)
        or services.registry.by_host(host)
    )


def _of_workspace(host: str, services: Services) -> RegistryInfo | None:
    """The registry of the workspace if it has this login server; None also if the workspace cannot be read."""
    try:
        arm_id = services.builder.registry_id()
        info = services.registry.by_id(arm_id) if arm_id else None
    except ManifestgenError:
        return None
    return info if info is not None and info.login_server.lower() == host.lower() else None
