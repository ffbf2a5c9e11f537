"""The services of a project: adapters are chosen, imported and made here, when one is first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from manifestgen.errors import InputError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from manifestgen.cloud import Credential, Hub, ImageBuilder, Registry, RegistryInfo, Vaults
    from manifestgen.cloud.distribution import Distribution
    from manifestgen.credentials.logins import Logins
    from manifestgen.credentials.source import Inputs
    from manifestgen.project.load import Project

CONNECTION_STRING = "IOTHUB_CONNECTION_STRING"


def open_hub(host: str | None, project: Project | None) -> Hub:
    """The IoT hub: `--hub`, else the connection string in the environment, else the project file's.

    Raises:
        InputError: none of them names one.
    """
    text = os.environ.get(CONNECTION_STRING)
    if host is None and text:
        from manifestgen.azure.iot_hub import connect

        return connect(connection_string=Secret(text))
    host = host or (project.hub.host if project is not None and project.hub is not None else None)
    if host is None:
        raise InputError(
            "no IoT hub is named",
            fix=f"add --hub HOST, set {CONNECTION_STRING}, or write 'hub: {{host: …}}' in the project file",
        )
    from manifestgen.azure.auth import credential
    from manifestgen.azure.iot_hub import connect

    return connect(host=host, credential=credential())


def project_here(folder: Path = Path()) -> Project | None:
    """The project in a folder, if there is one: commands that take no PROJECT read the hub from it."""
    from manifestgen.project.load import FILE_NAME, load

    return load(folder) if (folder / FILE_NAME).is_file() else None


class Clouds:
    """The services of one project, each made when it is first asked for."""

    def __init__(
        self,
        project: Project,
        hub: str | None = None,
        *,
        enable_admin: bool = False,
        create_token: bool = False,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """The services of a project.

        Args:
            project: whose workspace, registry and hub are meant.
            hub: host that wins over the project's.
            enable_admin: switch a registry's admin user on where it is needed and off.
            create_token: make a registry's token, or its first password, where it is needed and missing.
            report: told what was switched on or made.
        """
        self._project = project
        self._host = hub
        self._enable_admin = enable_admin
        self._create_token = create_token
        self._report = report

    @cached_property
    def builder(self) -> ImageBuilder:
        """The project's Azure ML workspace."""
        from manifestgen.azure.aml import open_workspace

        return open_workspace(self._project)

    @cached_property
    def registry(self) -> Registry:
        """The container registries of the caller's subscriptions."""
        from manifestgen.azure.acr import Registries

        return Registries()

    @cached_property
    def vaults(self) -> Vaults:
        """The key vaults that the caller may read."""
        from manifestgen.azure.key_vault import KeyVaults

        return KeyVaults()

    @cached_property
    def distribution(self) -> Distribution:
        """The registries that images come from."""
        from manifestgen.azure.registry_api import ImageRegistries

        return ImageRegistries()

    @cached_property
    def hub(self) -> Hub:
        """The IoT hub."""
        return open_hub(self._host, self._project)

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Credential]:
        """The credential for each registry host that has one; each is looked up once. See `Logins.find`."""
        from manifestgen.cloud import Credential

        found = self.logins.find(hosts)
        return {host: Credential(host, login.username, login.password) for host, login in found.items()}

    def registry_of(self, host: str) -> RegistryInfo:
        """The Azure container registry that answers under a host. Raises NotFoundError."""
        return self.inputs.registry_of(host)

    @cached_property
    def inputs(self) -> Inputs:
        """What the sources of registry credentials may look at and do."""
        from datetime import datetime, timezone

        from manifestgen.credentials.source import Inputs

        def state() -> Path:
            from manifestgen.device.snapshots import state_folder

            return state_folder()

        return Inputs(
            settings=self._project.registry_settings,
            services=self,
            environ=os.environ,
            state_folder=state,
            now=datetime.now(timezone.utc),
            enable_admin=self._enable_admin,
            create_token=self._create_token,
            report=self._report,
        )

    @cached_property
    def logins(self) -> Logins:
        """The logins of the project's registries."""
        from manifestgen.credentials.logins import Logins

        return Logins(self.inputs)
