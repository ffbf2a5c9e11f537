"""The services of a project, for any program: adapters are chosen, imported and connected on first use.

project = load(Path("my-model"))
with ProjectServices(project) as services:
    deploy(project, services)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from manifestgen.errors import InputError
from manifestgen.module_services import ModuleServices, open_builder, open_models
from manifestgen.secret import Secret

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


def hub_needs_login(host: str | None, environ: Mapping[str, str] | None = None) -> bool:
    """Whether `open_hub` would use an Azure credential, not a connection string."""
    return host is not None or not (os.environ if environ is None else environ).get(CONNECTION_STRING)


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


def project_here() -> Project | None:
    """The project in the working directory, if there is one, in the chosen environment.

    Raises:
        InputError: the project file cannot be read, or an option chooses an environment without a project.
    """
    from manifestgen.project import environments

    project = _project_in(Path())
    if project is None:
        environments.refuse_without_project()
    return project


def project_beside(file: Path) -> Project | None:
    """The project in a file's folder, else the one in the working directory, if there is one; `-` is stdin."""
    return (None if str(file) == "-" else _project_in(file.parent)) or project_here()


def _project_in(folder: Path) -> Project | None:
    from manifestgen.project.load import FILE_NAME, load

    return load(folder) if (folder / FILE_NAME).is_file() else None


def project_of(file: Path) -> Project | None:
    """The project and environment that a manifest was rendered from, by its file name; else the project beside it.

    `deployment.NAME.json` belongs to the environment NAME of `manifestgen.yaml` if it exists, else to `NAME.yaml` if
    that has a lock file; `deployment.NAME.ENVIRONMENT.json` belongs to an environment of `NAME.yaml`.

    Raises:
        InputError: the project file cannot be read, or another environment is chosen.
    """
    from manifestgen.project.environments import chosen
    from manifestgen.project.load import load

    path, environment = _rendered_from(file)
    if path is None:
        return project_beside(file)
    other = chosen()
    if environment is not None and other is not None and other != environment:
        raise InputError(
            f"this is the manifest of environment {environment!r}, and {other!r} is chosen",
            where=str(file),
            fix=f"give the manifest of {other!r}, or choose {environment!r}",
        )
    return load(path, environment=environment)


def _rendered_from(file: Path) -> tuple[Path | None, str | None]:
    """The project file and the environment that a manifest's file name stands for, if they exist."""
    from manifestgen.project.environments import names_of
    from manifestgen.project.load import FILE_NAME

    name = file.name.removeprefix("deployment.").removesuffix(".json")
    if file.name != f"deployment.{name}.json":
        return None, None
    default = file.with_name(FILE_NAME)
    if default.is_file() and name in names_of(default):
        return default, name
    own = file.with_name(f"{name}.yaml")
    if own.is_file() and file.with_name(f"{name}.lock.json").is_file():
        return own, None
    stem, _, environment = name.rpartition(".")
    own = file.with_name(f"{stem}.yaml")
    if stem and own.is_file() and environment in names_of(own):
        return own, environment
    return None, None


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
