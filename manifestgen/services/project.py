"""The services of a project."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from manifestgen.services.hub import open_hub
from manifestgen.services.module import ModuleServices, open_builder, open_models

if TYPE_CHECKING:
    from manifestgen.cloud import (
        Builder,
        Distribution,
        Hub,
        ModelSource,
        Registry,
        RegistryInfo,
        Services,
        Vaults,
    )
    from manifestgen.credentials.logins import Logins
    from manifestgen.credentials.source import Inputs, Login
    from manifestgen.project.load import Project

_Service = TypeVar("_Service")


def _service(connect: Callable[[ProjectServices], _Service]) -> cached_property[_Service]:
    """A service that is connected when it is first used."""

    def first_use(services: ProjectServices) -> _Service:
        services._connecting()
        return connect(services)

    first_use.__doc__ = connect.__doc__
    return cached_property(first_use)


class ProjectServices:
    """Implements `manifestgen.cloud.Services` with Azure; as a context manager, it closes its connections."""

    def __init__(
        self,
        project: Project,
        hub: str | None = None,
        *,
        enable_admin: bool = False,
        create_token: bool = False,
        report: Callable[[str], None] = lambda text: None,
        progress: Callable[[str], None] = lambda text: None,
        environ: Mapping[str, str] | None = None,
        connecting: Callable[[], None] = lambda: None,
    ) -> None:
        """The services of a project.

        Args:
            project: names the workspace, the builder, the registries and the hub.
            hub: host that overrides the project's.
            enable_admin: enable a registry's admin user if it is needed and disabled.
            create_token: create a registry's token, or its first password, if it is needed and missing.
            report: called with each change that was made, and each password that expires soon.
            progress: called before each step that takes a while.
            environ: the environment variables; None for those of this process.
            connecting: called before the first use of each service.
        """
        self._project = project
        self._host = hub
        self._enable_admin = enable_admin
        self._create_token = create_token
        self._report = report
        self._progress = progress
        self._environ = os.environ if environ is None else environ
        self._connecting = connecting
        self._of: dict[str, Services] = {}
        self._shared = threading.Lock()

    def of(self, module: str) -> Services:
        """See `Services.of`."""
        if len(self._project.modules) == 1:
            return self
        if module not in self._of:
            self._of[module] = ModuleServices(self, self._project.only((module,)), self._shared)
        return self._of[module]

    def __enter__(self) -> ProjectServices:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to registries, if any were opened."""
        distribution = self.__dict__.get("distribution")
        if distribution is not None:
            distribution.close()

    @property
    def _leading(self) -> Project:
        """A project of one module: of several, one that Azure ML builds, as its workspace has a registry."""
        from manifestgen.project.builders import leading

        return self._project.only((leading(self._project.modules).name,))

    @_service
    def models(self) -> ModelSource:
        """The models of the project's Azure ML workspace; for a project that needs none, the model on this machine."""
        return open_models(self._leading)

    @_service
    def builder(self) -> Builder:
        """The builder that the project's `image.builder` names."""
        return open_builder(self._leading, self)

    @_service
    def registry(self) -> Registry:
        """The container registries of the caller's subscriptions."""
        from manifestgen.azure.acr import Registries
        from manifestgen.project.workspace import subscription_of

        return Registries(subscription=subscription_of(self._project), report=self._progress)

    @_service
    def vaults(self) -> Vaults:
        """The key vaults that the caller may read."""
        from manifestgen.azure.key_vault import KeyVaults

        return KeyVaults()

    @_service
    def distribution(self) -> Distribution:
        """The registries that images come from."""
        from manifestgen.azure.registry_api import ImageRegistries

        return ImageRegistries()

    @_service
    def hub(self) -> Hub:
        """The IoT hub."""
        return open_hub(self._host, self._project, self._environ)

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Login]:
        """The login for each registry host that has one; looked up once each. See `Logins.find`."""
        return self.logins.find(hosts)

    def registry_of(self, host: str) -> RegistryInfo:
        """The Azure container registry with this host. Raises NotFoundError."""
        return self.inputs.registry_of(host)

    @cached_property
    def inputs(self) -> Inputs:
        """The inputs of the sources of registry credentials."""
        from datetime import datetime, timezone

        from manifestgen.credentials.source import Inputs

        def state() -> Path:
            from manifestgen.state import state_folder

            return state_folder(self._environ)

        return Inputs(
            settings=self._project.registry_settings,
            services=self,
            environ=self._environ,
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
