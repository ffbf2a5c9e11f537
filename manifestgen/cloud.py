"""What is asked of the cloud, as three Protocols: `ImageBuilder`, `Registry` and `Hub`.

The adapters in `manifestgen.azure` answer them with Microsoft's SDKs; tests answer them from memory. Values that cross
the line are plain and frozen. Every method may raise `CloudError` (with the service's own words), `NotFoundError`,
`DeniedError` (naming the role that is missing); no SDK exception crosses the line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Protocol

from manifestgen.secret import Secret

Builder = Literal["package", "container-image"]

#: Property of a registered model that holds its content's hash, so that it can be told from another of the same name.
SHA256_PROPERTY = "manifestgen.sha256"


@dataclass(frozen=True)
class RegisteredModel:
    """A model in an Azure ML workspace."""

    name: str
    version: int
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None

    @property
    def id(self) -> str:
        """`name:version`, as Azure ML writes it."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class ModelRegistration:
    """A model to register.

    Attributes:
        path: the file or folder on this machine.
        sha256: of its content; kept as a property of the registered model, so that a run which was interrupted finds
            the model it registered instead of registering it again.
    """

    name: str
    path: Path
    sha256: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class BuildRequest:
    """A model image to build.

    Attributes:
        name: of the image: `name` in `registry/name:label`.
        label: the image's tag, where the builder lets us choose it (`package`).
        inputs: hex digest of everything the image is made from; kept with the image where the builder can, so that an
            interrupted run finds its build again.
    """

    builder: Builder
    name: str
    label: str
    model: RegisteredModel
    entry_script: Path
    conda_file: Path
    inputs: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class Build:
    """A build that the service has accepted: what is needed to ask for it again, from another process too.

    Attributes:
        operation: the service's id of the asynchronous operation.
        image: the service's id of the image, `name:version`; empty for `package`, which has none.
    """

    builder: Builder
    operation: str
    image: str = ""


class BuildState(Enum):
    """How far a build is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class BuildStatus:
    """A build as the service reports it now.

    Attributes:
        reference: the image, `login-server/repository:tag`, once it succeeded.
        error: the service's own words, when it failed.
    """

    state: BuildState
    reference: str = ""
    error: str = ""


class ImageBuilder(Protocol):
    """An Azure ML workspace, for what is asked of it here."""

    def models(self, name: str | None = None) -> Sequence[RegisteredModel]:
        """Registered models, of one name or all, the newest version first within a name."""
        ...

    def model(self, name: str, version: int | None = None) -> RegisteredModel:
        """One registered model; the latest version if none is given. Raises NotFoundError."""
        ...

    def register(self, registration: ModelRegistration) -> RegisteredModel:
        """Register a model. The caller looks first whether it is registered already."""
        ...

    def start(self, request: BuildRequest) -> Build:
        """Send what the image is made from and start its build; returns as soon as the service accepted it."""
        ...

    def find(self, request: BuildRequest) -> Build | None:
        """The build of exactly these inputs that was started before, if the service can tell."""
        ...

    def status(self, build: Build) -> BuildStatus:
        """How far the build is. Raises NotFoundError if the service no longer knows it."""
        ...

    def log(self, build: Build, offset: int = 0) -> str:
        """The build log from `offset` characters on; empty while there is none."""
        ...

    def registry_id(self) -> str | None:
        """Full ARM id of the workspace's container registry; None before the workspace has built its first image."""
        ...


@dataclass(frozen=True)
class RegistryInfo:
    """A container registry as ARM describes it.

    Attributes:
        id: full ARM id.
        login_server: the host that images are named by, such as `acme.azurecr.io`.
    """

    id: str
    login_server: str
    admin_enabled: bool


@dataclass(frozen=True)
class Credential:
    """What a device logs in to a registry with."""

    address: str
    username: str
    password: Secret


@dataclass(frozen=True)
class TokenPassword:
    """One of the two passwords that a token may have; its text is told only once, when it is made.

    Attributes:
        name: `password1` or `password2`.
        expiry: None if it never expires.
    """

    name: str
    created: datetime | None = None
    expiry: datetime | None = None


@dataclass(frozen=True)
class Token:
    """A repository-scoped token of a registry: a user name that may do what its scope map says.

    Attributes:
        scope_map: its name.
        passwords: those that exist, expired ones among them.
    """

    registry: RegistryInfo
    name: str
    scope_map: str
    enabled: bool = True
    passwords: tuple[TokenPassword, ...] = ()


@dataclass(frozen=True)
class NewPassword:
    """A password that was just made for a token.

    Attributes:
        name: `password1` or `password2`.
        expiry: None if it never expires.
    """

    name: str
    value: Secret
    expiry: datetime | None = None


class Registry(Protocol):
    """The container registries that the caller may read."""

    def by_id(self, arm_id: str) -> RegistryInfo:
        """The registry with this full ARM id, in whatever resource group or subscription. Raises NotFoundError."""
        ...

    def by_host(self, login_server: str) -> RegistryInfo:
        """The registry that answers under this host. Raises NotFoundError."""
        ...

    def admin_credential(self, registry: RegistryInfo) -> Credential:
        """User name and first password of the admin user. Raises DeniedError if the admin user is off."""
        ...

    def enable_admin(self, registry: RegistryInfo) -> RegistryInfo:
        """Switch the admin user on."""
        ...

    def scope_map(self, registry: RegistryInfo, name: str) -> frozenset[str] | None:
        """The actions of a scope map, such as `repositories/scorer/content/read`; None if there is none."""
        ...

    def put_scope_map(self, registry: RegistryInfo, name: str, actions: Collection[str]) -> None:
        """Create a scope map, or replace the actions of one that is there."""
        ...

    def token(self, registry: RegistryInfo, name: str) -> Token | None:
        """A token; None if there is none."""
        ...

    def create_token(self, registry: RegistryInfo, name: str, scope_map: str) -> Token:
        """Create a token without passwords that may do what a scope map says. One that is there is kept."""
        ...

    def generate_password(self, token: Token, name: str, expiry: datetime | None) -> NewPassword:
        """Make `password1` or `password2` of a token anew; what it was before no longer works."""
        ...

    def drop_password(self, token: Token, name: str) -> None:
        """Take `password1` or `password2` from a token; nothing happens if it has none."""
        ...

    def digest(self, image: str, credential: Credential | None) -> str | None:
        """`sha256:…` of an image, asked of its registry with this credential; None if it has no such image."""
        ...


@dataclass(frozen=True)
class VaultSecret:
    """A secret of a key vault, in its latest version.

    Attributes:
        value: not a `Secret` yet: what holds a user name must not be hidden, since a registry's host has it in its name
            often enough. Whoever asked makes one of a password at once.
        expiry: None if it never expires. The vault gives out an expired secret like any other.
        begins: when it begins to be valid, if that is said; given out before, too.
    """

    name: str
    value: str = field(repr=False)
    expiry: datetime | None = None
    begins: datetime | None = None


class Vaults(Protocol):
    """The key vaults that the caller may read."""

    def secret(self, vault: str, name: str) -> VaultSecret:
        """The latest version of a secret.

        Args:
            vault: a vault's name, or its URI where it is in another cloud than the caller logs in to.
            name: of the secret.

        Raises NotFoundError, DeniedError if the caller may not read it or it is disabled, CloudError if no such vault
        answers.
        """
        ...


@dataclass(frozen=True)
class Device:
    """A device identity in an IoT hub."""

    id: str
    edge: bool
    enabled: bool
    connected: bool
    last_activity: datetime | None = None
    parent: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Twin:
    """A module twin.

    Attributes:
        desired: desired properties without `$metadata` and `$version`.
        desired_version: the hub's `$version` of them.
        reported: reported properties without `$metadata` and `$version`.
        desired_at: when the hub took the desired properties, by the hub's clock (`$metadata.$lastUpdated`).
        reported_at: when each top-level reported property last changed, by the same clock.
        configurations: the automatic deployments that target the device: id to `targeted` or `applied`.
    """

    module: str
    desired: Mapping[str, Any]
    desired_version: int
    reported: Mapping[str, Any] = field(default_factory=dict)
    connected: bool = False
    desired_at: datetime | None = None
    reported_at: Mapping[str, datetime] = field(default_factory=dict)
    configurations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """An automatic deployment; `Configuration` is what the API calls it.

    Attributes:
        content: `{"modulesContent": …}`; may hold passwords. The hub takes no other content once it is created.
        condition: its target condition; `*` is all devices, a blank text none.
        metrics: custom metrics, name to query.
        etag: as the hub wrote it; an update or deletion names it, so that nobody's change is lost.
        counts: results of the hub's own metrics, such as `targetedCount` and `reportedSuccessfulCount`; those that the
            hub has not worked out yet are left out.
        results: of the custom metrics.
    """

    id: str
    content: Mapping[str, Any] = field(repr=False)
    condition: str = ""
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    created: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, int] = field(default_factory=dict)


class Hub(Protocol):
    """An IoT hub."""

    @property
    def host(self) -> str:
        """Its host name, such as `contoso.azure-devices.net`."""
        ...

    def device(self, device_id: str) -> Device:
        """One device identity. Raises NotFoundError."""
        ...

    def devices(self) -> Iterator[Device]:
        """All edge device identities, by id."""
        ...

    def register_device(
        self, device_id: str, *, parent: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> Device:
        """Create an edge device identity. Raises CloudError if the id is taken, NotFoundError for an unknown parent."""
        ...

    def connection_string(self, device_id: str) -> Secret:
        """What the runtime on the device connects with."""
        ...

    def modules(self, device_id: str) -> Sequence[str]:
        """Ids of the device's modules, `$edgeAgent` and `$edgeHub` among them."""
        ...

    def module_twin(self, device_id: str, module: str) -> Twin | None:
        """A module's twin, or None if the device has no such module."""
        ...

    def set_modules(self, device_id: str, content: Mapping[str, Any]) -> None:
        """Replace the device's modules by `content` (`{"modulesContent": …}`).

        Raises UnconfirmedError if the answer was lost: whether the hub took it must then be read from the twins.
        """
        ...

    def bulk(self) -> BulkHub:
        """The same hub for a run over many devices, which paces and repeats its requests itself."""
        ...

    def configurations(self) -> Sequence[Configuration]:
        """All automatic deployments, those for modules of other devices included, by id."""
        ...

    def configuration(self, configuration_id: str) -> Configuration:
        """One automatic deployment, with the results of its metrics. Raises NotFoundError."""
        ...

    def create_configuration(self, configuration: Configuration) -> None:
        """Create an automatic deployment. Raises CloudError if its id is taken, UnconfirmedError like `set_modules`."""
        ...

    def update_configuration(self, configuration: Configuration) -> None:
        """Change condition, priority, labels and metrics of an automatic deployment.

        Raises CloudError if somebody changed it since its `etag`, UnconfirmedError like `set_modules`.
        """
        ...

    def delete_configuration(self, configuration: Configuration) -> None:
        """Delete an automatic deployment.

        Raises NotFoundError, CloudError if somebody changed it since its `etag`, UnconfirmedError like `set_modules`.
        """
        ...

    def test_queries(self, condition: str, metrics: Mapping[str, str]) -> Mapping[str, str]:
        """What the hub has against a target condition and custom metrics, in its own words.

        Returns:
            Metric to complaint, the empty name for the condition; empty if the hub takes them all.
        """
        ...

    def query(self, text: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a query, page by page, as the hub gives them; its index may be some seconds behind."""
        ...

    def set_tags(self, device_id: str, tags: Mapping[str, Any]) -> None:
        """Merge tags into those of a device; null deletes one. Raises NotFoundError."""
        ...


class BulkHub(Protocol):
    """An IoT hub that is asked once a call, from many threads.

    Nothing is repeated behind the caller: whoever sends to thousands of devices slows all requests down together when
    the hub asks for it, which no single request can do. Methods raise BusyError for what may be asked again later.
    """

    @property
    def host(self) -> str:
        """Its host name, such as `contoso.azure-devices.net`."""
        ...

    def set_modules(self, device_id: str, body: bytes) -> None:
        """Replace the device's modules; `body` is the UTF-8 JSON of `{"modulesContent": …}` and is sent as it is.

        Raises BusyError if the hub did nothing, UnconfirmedError if the answer was lost, NotFoundError, DeniedError.
        """
        ...

    def desired(self, device_id: str, module: str) -> Mapping[str, Any] | None:
        """Desired properties of a module twin, without `$metadata` and `$version`; None without such a module."""
        ...


class Services(Protocol):
    """The services of one project, each reached when it is first asked for."""

    @property
    def builder(self) -> ImageBuilder:
        """The Azure ML workspace."""
        ...

    @property
    def registry(self) -> Registry:
        """The container registries."""
        ...

    @property
    def vaults(self) -> Vaults:
        """The key vaults."""
        ...

    @property
    def hub(self) -> Hub:
        """The IoT hub."""
        ...

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Credential]:
        """A registry credential for each host, from the source that the project names.

        Args:
            hosts: registry host to the repositories that are to be pulled from it; without any, no token is made.
        """
        ...
