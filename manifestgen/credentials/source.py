"""The base class of sources of registry credentials, and its values.

A source knows everything about itself: the checks of its part of the section `registry`, its logins, their status, and
the advice if it has none. Each is one file in `sources`; see there for how to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from msgspec import Struct, field, structs

from manifestgen.credentials.expiry import is_near
from manifestgen.credentials.find_registry import find_registry
from manifestgen.credentials.hosts import comparable
from manifestgen.errors import InputError, ManifestgenError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from manifestgen.cloud import RegistryInfo, Services

#: The place in the project file of a key of the section `registry`, for messages.
Where = Callable[..., str]

State = Literal["ok", "warning", "failed", "skipped"]


class Registry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The logins of devices for the registries of their images.

    Attributes:
        credentials: name of the source of every registry that is not in `sources`.
        sources: registry host, as images name it, to the name of its source.
        warn_days: warn of passwords that expire in fewer days than these.
    """

    credentials: str = "admin"
    sources: dict[str, str] = field(default_factory=dict)
    warn_days: int = 14

    def source_of(self, host: str) -> str:
        """Name of the source of a registry: the one in `sources`, else the default."""
        named = (source for name, source in self.sources.items() if comparable(name) == comparable(host))
        return next(named, self.credentials)

    def uses(self, source: str) -> bool:
        """Whether a registry may have this source."""
        return source == self.credentials or source in self.sources.values()

    def setting(self, key: str) -> Any:
        """The value of a key that belongs to a source, see `Source.settings`."""
        return getattr(self, key)


class Settings(Struct, frozen=True):
    """A project's settings for registry credentials.

    Attributes:
        registry: its section `registry`.
        file: the project file, for messages.
        module: name of the module that runs the model image.
        builds: whether the project has an Azure ML workspace, whose registry the caller may not be able to list.
    """

    registry: Registry
    file: str
    module: str
    builds: bool


class Inputs(Struct, frozen=True):
    """The inputs of a source: settings, services and permissions.

    Attributes:
        services: the services in Azure, each connected on first use.
        environ: the environment variables.
        state_folder: finds the user's state folder, which holds the passwords of tokens.
        now: the time, in UTC.
        enable_admin: enable a registry's admin user if it is needed and disabled.
        create_token: create a registry's token, or its first password, if it is needed and missing.
        report: receives a sentence about each change that was made, and each password that expires soon.
    """

    settings: Settings
    services: Services
    environ: Mapping[str, str]
    state_folder: Callable[[], Path]
    now: datetime
    enable_admin: bool = False
    create_token: bool = False
    report: Callable[[str], None] = lambda text: None

    @property
    def state(self) -> Path:
        """The user's state folder."""
        return self.state_folder()

    def registry_of(self, host: str) -> RegistryInfo:
        """The Azure container registry with this login server. Raises NotFoundError."""
        return find_registry(host, self.services, workspace=self.settings.builds)


class Wanted(Struct, frozen=True):
    """A registry host for which a login is wanted.

    Attributes:
        host: in the form of image references.
        suffix: the `<NAME>` of its variables `ACR_USERNAME_<NAME>` and `ACR_PASSWORD_<NAME>`.
        repositories: that are pulled from it; empty if unknown.
        required: whether its images cannot be pulled without a login; for a public registry, a login is optional.
    """

    host: str
    suffix: str
    repositories: frozenset[str]
    required: bool


class Login(Struct, frozen=True):
    """The user name and password with which a device logs in to a registry.

    Attributes:
        expiry: of the password; None if it never expires or is unknown.
        subject: what expires, such as `secret acme-pwd of key vault contoso`.
        renewal: how to renew it.
    """

    username: str
    password: Secret
    expiry: datetime | None = None
    subject: str = ""
    renewal: str = ""


class Standing(Struct, frozen=True):
    """The state of the login for a registry.

    Attributes:
        host: in the form of image references.
        source: name of the source.
        username: None if unknown.
        found: where the password is, see `Source.place`; `nowhere` if there is none.
        expiry: of the password; None if it never expires or is unknown.
        admin: whether the registry's admin user is enabled; None if unknown or not an Azure registry.
        problem: why a device cannot log in, or what could not be checked.
        fix: what to do about it.
        rejected: whether the registry no longer accepts the password.
        skipped: whether it was not checked, because that needs a login to Azure.
        renewal: how to renew a password that expires.
        mistake: if the problem is wrong input in the project, the environment or a file: that error.
    """

    host: str
    source: str
    username: str | None = None
    found: str = "nowhere"
    expiry: datetime | None = None
    admin: bool | None = None
    problem: str = ""
    fix: str = ""
    rejected: bool = False
    skipped: bool = False
    renewal: str = ""
    mistake: InputError | None = None

    def state(self, now: datetime, warn_days: int) -> State:
        """The verdict: `failed` if, as far as is known, a device could not log in with it."""
        if self.skipped:
            return "skipped"
        if self.rejected or (self.problem and self.found == "nowhere"):
            return "failed"
        return "warning" if self.problem or is_near(self.expiry, now, warn_days) else "ok"


class Source(ABC):
    """Where the logins for registries come from.

    Attributes:
        name: as the project file names it.
        summary: what it is, for the project file's schema: `NAME: SUMMARY.`
        place: of its passwords, for `credentials show`; such as `the key vault`.
        found: the same as a stable word, for its JSON output.
        azure: whether it needs a login to Azure.
        packages: Python distributions that it needs besides manifestgen's own, each with its requirement for
            `pip install`.
        settings: its keys in the section `registry`, each with its type and default.
        patterns: for its keys with a pattern, the expected value, and how to write it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    place: ClassVar[str]
    found: ClassVar[str]
    azure: ClassVar[bool] = False
    packages: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[Mapping[str, tuple[Any, Any]]] = {}
    patterns: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def check(self, registry: Registry, where: Where) -> None:
        """Check this source's part of the section `registry`; called even if no registry uses the source.

        Raises:
            InputError: a key that it needs is missing, its keys contradict each other, or no registry uses them.
        """
        return

    def hosts(self, registry: Registry) -> Collection[str]:
        """The registry hosts that its keys name: they get a login even if they are public registries."""
        return ()

    def assign(self, hosts: Sequence[str], settings: Settings) -> None:
        """Check that the section assigns a login to each of the hosts; called before any is looked up.

        Args:
            hosts: all hosts with this source.
            settings: of the project.

        Raises:
            InputError: a host has no login.
        """
        return

    @abstractmethod
    def logins(self, wanted: Sequence[Wanted], inputs: Inputs) -> Mapping[str, Login]:
        """The logins that it has for the hosts.

        Args:
            wanted: hosts with this source. Optional logins should be looked up only if that needs no request.
            inputs: of the source.

        Raises:
            ManifestgenError: a login cannot be used, or could not be looked up.
        """

    @abstractmethod
    def advice(self, wanted: Wanted, settings: Settings) -> str:
        """The advice if it has no login for a required host."""

    def standing(self, wanted: Wanted, inputs: Inputs) -> Standing | None:
        """The state of the login for a host: by default, by looking it up. None if there is none and none is required.

        Raises:
            InputError: wrong input in the project, the environment or a file.
        """
        standing = Standing(wanted.host, self.name)
        try:
            login = self.logins((wanted,), inputs).get(wanted.host)
        except InputError:
            raise
        except ManifestgenError as error:
            return structs.replace(standing, problem=error.message, fix=error.fix)
        if login is None and not wanted.required:
            return None
        if login is None:
            return structs.replace(
                standing, problem="no user name and password", fix=self.advice(wanted, inputs.settings)
            )
        return structs.replace(
            standing, username=login.username, found=self.found, expiry=login.expiry, renewal=login.renewal
        )
