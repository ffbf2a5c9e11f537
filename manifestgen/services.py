"""The services of a project: adapters are chosen, imported and made here, when one is first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from manifestgen.errors import InputError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from manifestgen.cloud import Credential, Hub, ImageBuilder, Registry, RegistryInfo, Vaults
    from manifestgen.cloud.distribution import Distribution
    from manifestgen.credentials.kept import Kept
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
        self._credentials: dict[str, Credential] = {}

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
        """A registry credential for each host, from the sources that the project file names; asked for once."""
        wanted = {host: repositories for host, repositories in hosts.items() if host not in self._credentials}
        if wanted:
            self._credentials.update(self._fetch(wanted))
        return self._credentials

    def registry_of(self, host: str) -> RegistryInfo:
        """The Azure container registry that answers under a host. Raises NotFoundError."""
        from manifestgen.credentials import find

        return find(host, self.registry, self._workspace_registry)

    def _fetch(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Credential]:
        from manifestgen.cloud import Credential
        from manifestgen.credentials import admin_credentials, token_credentials
        from manifestgen.credentials.token import name_of
        from manifestgen.project.credentials import on_this_machine, source_of
        from manifestgen.state import state_folder

        logins = on_this_machine(self._project, tuple(hosts), os.environ)
        found = {host: Credential(host, login.username, login.password) for host, login in logins.items()}
        missing = {host: source_of(self._project, host) for host in hosts if host not in found}
        tokens = [host for host, source in missing.items() if source == "token"]
        found |= token_credentials(
            tokens, name_of(self._project), root=state_folder(), make_missing=lambda host: self._made(host, hosts[host])
        )
        for host in tokens:
            self._warn(host)
        admins = [host for host, source in missing.items() if source == "admin"]
        found |= (
            admin_credentials(
                admins, self.registry, self._workspace_registry, enable_admin=self._enable_admin, report=self._report
            )
            if admins
            else {}
        )
        in_vault = [host for host, source in missing.items() if source == "keyvault"]
        return found | self._from_vault(in_vault) if in_vault else found

    def _from_vault(self, hosts: Sequence[str]) -> dict[str, Credential]:
        from datetime import datetime, timezone

        from manifestgen.credentials.vault import expiry_warning, vault_credentials
        from manifestgen.project.credentials import source_of, vault_logins

        # Whether the vault's one secret is for one registry, too, is a question about all that were asked for.
        earlier = [host for host in self._credentials if source_of(self._project, host) == "keyvault"]
        vault_logins(self._project, [*earlier, *hosts])
        now = datetime.now(timezone.utc)
        found = vault_credentials(hosts, self._project, self.vaults, now=now)
        for one in found.values():
            if words := expiry_warning(one, self._project, now):
                self._report(words)
        return {host: one.credential for host, one in found.items()}

    def _warn(self, host: str) -> None:
        """Report a token's password that expires soon."""
        from datetime import datetime, timezone

        from manifestgen.credentials import expiry, kept
        from manifestgen.credentials.token import name_of
        from manifestgen.project.credentials import settings
        from manifestgen.state import state_folder

        name = name_of(self._project)
        known = kept.latest(state_folder(), host, name)
        days = settings(self._project).warn_days
        if known and (words := expiry.warning(name, host, known.expiry, datetime.now(timezone.utc), days)):
            self._report(words)

    def _made(self, host: str, repositories: frozenset[str]) -> Kept | None:
        """The password of a token that is made for this; None unless that was asked for."""
        if not self._create_token or not repositories:
            return None
        from manifestgen.credentials.token import make, name_of
        from manifestgen.project.credentials import settings
        from manifestgen.state import state_folder

        days = settings(self._project).days
        made = make(
            self.registry, self.registry_of(host), name_of(self._project), repositories, root=state_folder(), days=days
        )
        for note in made.notes:
            self._report(note)
        return made.kept

    def _workspace_registry(self) -> str | None:
        image = self._project.image
        return self.builder.registry_id() if image is not None and image.builder != "none" else None
