"""Checks what a deployment needs, one thing after the other, and says how to fix what is missing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

from manifestgen.cloud import Device, RegistryInfo, Requirement, Services, Token
from manifestgen.credentials import expiry, kept
from manifestgen.credentials.token import is_current, name_of
from manifestgen.credentials.vault import expiry_warning, read, renewal
from manifestgen.device.snapshots import state_folder
from manifestgen.errors import ManifestgenError, NotFoundError
from manifestgen.project.credentials import common_login, settings
from manifestgen.project.load import Project
from manifestgen.project.sections import KeyVault, VaultLogin

State = Literal["ok", "warning", "failed", "skipped"]

# Distributions, each with what pip installs them with.
_SDKS = dict.fromkeys(("azure-identity", "azure-iot-hub", "azure-mgmt-containerregistry"), "manifestgen")
_KEY_VAULT = {"azure-keyvault-secrets": "manifestgen[keyvault]"}


@dataclass(frozen=True)
class Row:
    """The result of one check.

    Attributes:
        words: what was found.
        fix: what to do, if it is not ok.
    """

    subject: str
    state: State
    words: str
    fix: str = ""


def examine(
    project: Project,
    services: Services,
    log_in: Callable[[], None],
    device_id: str | None = None,
    *,
    root: Path | None = None,
    now: datetime | None = None,
) -> Iterator[Row]:
    """Check everything that deploying a project needs; a failed check does not stop the others.

    Args:
        log_in: gets a token from Entra ID; raises DeniedError if no credential gives one.
        device_id: the device; None for the project's target.
        root: the user's state folder, with the passwords of tokens; None for its usual place.
        now: the time; None for the clock's.
    """
    root, now = root or state_folder(), now or datetime.now(timezone.utc)
    builds = project.builds
    vault = settings(project).keyvault
    requirements = services.builder.requirements(project) if builds else ()
    yield from _installed(_SDKS, services.builder.packages if builds else {}, _KEY_VAULT if vault is not None else {})
    yield from (_row(one.subject, one.look) for one in requirements if not one.login)
    credential = _row("credential", lambda: _after(log_in, "Entra ID issued a token"))
    yield credential
    reachable = credential.state == "ok"
    yield from (_with_login(one, reachable=reachable) for one in requirements if one.login)
    if settings(project).credentials in ("admin", "token"):
        yield _registry(project, services, builds) if reachable else _skipped("registry", "needs a credential")
    if settings(project).credentials == "token":
        yield _token(project, services, builds, root, now) if reachable else _skipped("token", "needs a credential")
    if vault is not None:
        yield from (
            _secrets(project, services, vault, now) if reachable else [_skipped("key vault", "needs a credential")]
        )
    device_id = device_id or (project.target.device if project.target else None)
    yield from _device(services, device_id)


def _installed(*packages: Mapping[str, str]) -> Iterator[Row]:
    for name, requirement in chain.from_iterable(one.items() for one in packages):
        try:
            yield Row(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            quoted = f"'{requirement}'" if "[" in requirement else requirement
            yield Row(name, "failed", "not installed", f"run: pip install {quoted}")


def _with_login(requirement: Requirement, *, reachable: bool) -> Row:
    if not reachable:
        return _skipped(requirement.subject, "needs a credential")
    return _row(requirement.subject, requirement.look)


def _registry(project: Project, services: Services, builds: bool) -> Row:
    def look() -> str | Row:
        info = _info(project, services, builds)
        if isinstance(info, Row):
            return info
        if settings(project).credentials == "token":
            return f"{info.login_server}, admin user is {'on' if info.admin_enabled else 'off'} and not used"
        if not info.admin_enabled:
            fix = "deploy with --enable-admin, or set registry.credentials to another source"
            return Row("registry", "failed", f"{info.login_server}: the admin user is off", fix)
        return f"{info.login_server}, admin user is on"

    return _row("registry", look)


def _info(project: Project, services: Services, builds: bool) -> RegistryInfo | Row:
    """The registry of the project's image; a row if there is none to look at."""
    if builds:
        arm_id = services.builder.registry_id()
        if arm_id is None:
            return Row("registry", "ok", "none yet: the workspace makes it with its first image")
        return services.registry.by_id(arm_id)
    image = project.image.reference if project.image else None
    if not image:
        return _skipped("registry", "the project names no image")
    return services.registry.by_host(image.partition("/")[0])


def _token(project: Project, services: Services, builds: bool, root: Path, now: datetime) -> Row:
    name = name_of(project)
    subject = f"token {name}"

    def look() -> str | Row:
        info = _info(project, services, builds)
        if isinstance(info, Row):
            return _skipped(subject, info.words)
        token = services.registry.token(info, name)
        if token is None:
            fix = "run 'manifestgen credentials create-token', or deploy with --create-token"
            return Row(subject, "failed", f"{info.login_server} has none of this name", fix)
        known = kept.latest(root, info.login_server, name)
        if known is None:
            fix = "give it as ACR_USERNAME_… and ACR_PASSWORD_…, or run 'manifestgen credentials rotate'"
            return Row(subject, "warning", "its password is not kept on this machine", fix)
        return _lasting(subject, token, known, now, settings(project).warn_days)

    return _row(subject, look)


def _lasting(subject: str, token: Token, known: kept.Kept, now: datetime, warn_days: int) -> Row:
    fix = "run 'manifestgen credentials rotate'"
    if not is_current(token, known):
        return Row(subject, "failed", "the password that is kept here was replaced or dropped elsewhere", fix)
    if known.expiry is None:
        return Row(subject, "ok", f"{known.name} does not expire")
    words = f"{known.name} {expiry.words(known.expiry, now)}"
    if known.expired(now):
        return Row(subject, "failed", words, fix)
    return (
        Row(subject, "warning", words, fix)
        if expiry.warning(token.name, token.registry.login_server, known.expiry, now, warn_days)
        else Row(subject, "ok", words)
    )


def _secrets(project: Project, services: Services, vault: KeyVault, now: datetime) -> Iterator[Row]:
    """The logins that a key vault holds, a row each."""
    common = common_login(vault)
    logins = {**vault.secrets, **({"its registry": common} if common is not None else {})}
    for host, login in logins.items():
        yield _row(f"secret {login.name}", partial(_secret, project, services, vault, host, login, now))


def _secret(
    project: Project, services: Services, vault: KeyVault, host: str, login: VaultLogin, now: datetime
) -> str | Row:
    found = read(host, login, vault.vault, services.vaults, now)
    words = f"key vault {vault.vault} gives it, for {host}"
    if found.expiry is not None:
        words = f"{words}; {expiry.words(found.expiry, now)}"
    if expiry_warning(found, project, now):
        return Row(f"secret {login.name}", "warning", words, renewal(project, login.name))
    return words


def _device(services: Services, device_id: str | None) -> Iterator[Row]:
    found: list[Device] = []
    missing: list[NotFoundError] = []

    def hub() -> str:
        if device_id is None:
            next(services.hub.devices(), None)
        else:
            try:
                found.append(services.hub.device(device_id))
            except NotFoundError as error:  # the hub answered, and does not have the device
                missing.append(error)
        return f"{services.hub.host} is reachable"

    yield _row("hub", hub)
    if device_id is None:
        yield _skipped("device", "the project has none")
    elif missing:
        yield Row("device", "failed", str(missing[0]), missing[0].fix)
    elif not found:
        yield _skipped("device", "needs the hub")
    else:
        yield _identity(found[0])
        yield _runtime(services, found[0])


def _identity(device: Device) -> Row:
    subject = f"device {device.id}"
    if not device.edge:
        fix = "register an edge device with 'manifestgen device register'"
        return Row(subject, "failed", "not an IoT Edge device", fix)
    if not device.enabled:
        return Row(subject, "failed", "disabled", "enable it in the IoT hub")
    return Row(subject, "ok", "enabled IoT Edge device")


def _runtime(services: Services, device: Device) -> Row:
    def look() -> str | Row:
        agent = services.hub.module_twin(device.id, "$edgeAgent") if device.edge else None
        if agent is None or not agent.connected:
            fix = "install IoT Edge on the device, with the output of 'manifestgen device connection-string'"
            return Row("runtime", "warning", "not connected", fix)
        version = agent.reported.get("version")
        number = version.get("version") if isinstance(version, dict) else None
        return f"connected, edgeAgent {number}" if number else "connected"

    return _row("runtime", look)


def _row(subject: str, look: Callable[[], str | Row]) -> Row:
    try:
        found = look()
    except ManifestgenError as error:
        return Row(subject, "failed", str(error), error.fix)
    return found if isinstance(found, Row) else Row(subject, "ok", found)


def _after(look: Callable[[], None], words: str) -> str:
    look()
    return words


def _skipped(subject: str, why: str) -> Row:
    return Row(subject, "skipped", why)
