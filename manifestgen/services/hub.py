"""The IoT hub that is meant, and what needs no project: the registries of images, and a token to begin with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from manifestgen.errors import InputError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from manifestgen.cloud import Distribution, Hub
    from manifestgen.project.load import Project

CONNECTION_STRING = "IOTHUB_CONNECTION_STRING"


def open_hub(host: str | None, project: Project | None, environ: Mapping[str, str] | None = None) -> Hub:
    """The IoT hub: the given host, else the connection string in the environment, else the project's `hub.host`.

    Args:
        environ: the environment variables; None for those of this process.

    Raises:
        InputError: none of them names one; or no host is given, and connection string and project name different hubs.
    """
    text = (os.environ if environ is None else environ).get(CONNECTION_STRING)
    configured = project.hub.host if project is not None and project.hub is not None else None
    if host is None and text:
        from manifestgen.azure.iot_hub import connect

        hub = connect(connection_string=Secret(text))
        if project is not None and configured is not None:
            _require_same(hub, configured, project)
        return hub
    host = host or configured
    if host is None:
        raise InputError(
            "no IoT hub is specified",
            fix=f"add --hub HOST, set {CONNECTION_STRING}, or write 'hub: {{host: …}}' in the project file",
            options=project.choices if project is not None else (),
        )
    from manifestgen.azure.auth import credential
    from manifestgen.azure.iot_hub import connect

    return connect(host=host, credential=credential())


def hub_needs_login(host: str | None) -> bool:
    """Whether `open_hub` would use an Azure credential, not a connection string."""
    return host is not None or not os.environ.get(CONNECTION_STRING)


def _require_same(hub: Hub, configured: str, project: Project) -> None:
    """Raise InputError if connection string and project name different hubs: neither silently overrides the other."""
    from manifestgen.hub_name import hub_identity

    named = hub_identity(configured)
    if hub.host.lower() != named.lower():
        raise InputError(
            f"{CONNECTION_STRING} is for the hub {hub.host}, and the project's hub"
            f"{f' in environment {project.environment}' if project.environment else ''} is {named}",
            where=str(project.path),
            fix=f"unset the variable, correct 'hub.host', or choose one with --hub {hub.host} or --hub {named}",
        )


@contextmanager
def open_distribution(*, hurried: bool = False) -> Iterator[Distribution]:
    """Open the registries that images come from, for a program without a project; a context manager.

    Args:
        hurried: use short timeouts, for optional information such as sizes.
    """
    from manifestgen.azure.registry_api import HURRIED, ImageRegistries

    registries = ImageRegistries(HURRIED if hurried else None)
    try:
        yield registries
    finally:
        registries.close()


def log_in() -> None:
    """Check that Azure issues a token to this process. Raises DeniedError, CloudError."""
    from manifestgen.azure import arm
    from manifestgen.azure.auth import token

    token(arm.SCOPE)
