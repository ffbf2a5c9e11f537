"""Checks everything that a deployment needs, and says how to fix what is missing."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

from manifestgen.cloud import Device, Requirement, Services
from manifestgen.credentials.logins import hosts_of
from manifestgen.credentials.source import Inputs, State
from manifestgen.credentials.sources import SOURCES
from manifestgen.credentials.standing import describe, standings
from manifestgen.errors import ManifestgenError, NotFoundError
from manifestgen.images.content_tag import target_host
from manifestgen.project.builders import builds_from_context
from manifestgen.project.load import Project
from manifestgen.render import NoImageError, render_project
from manifestgen.state import state_folder

# Distributions, each with what pip installs them with.
_SDKS = dict.fromkeys(("azure-identity", "azure-mgmt-containerregistry"), "manifestgen")
# Placeholder for the model image while its registry is not known.
_NO_IMAGE = "image-that-is-not-built-yet"


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
    environ: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """Check everything that deploying a project needs; a failed check does not stop the others.

    Args:
        log_in: gets a token from Entra ID; raises DeniedError if no credential gives one.
        device_id: the device; None for the project's target.
        root: the user's state folder, with the passwords of tokens; None for its usual place.
        now: the time; None for the clock's.
        environ: the environment variables; None for those of the process.
    """
    root, now = root or state_folder(), now or datetime.now(timezone.utc)
    settings = project.registry_settings
    inputs = Inputs(settings, services, os.environ if environ is None else environ, lambda: root, now)
    requirements = services.builder.requirements() if project.builds else ()
    sources = [source for source in SOURCES.values() if settings.registry.uses(source.name)]
    builder = services.builder.packages if project.builds else {}
    yield from _installed(_SDKS, builder, *(source.packages for source in sources))
    yield from (_row(one.subject, one.look) for one in requirements if not one.login)
    credential = _row("credential", lambda: _after(log_in, "Entra ID issued a token"))
    yield credential
    reachable = credential.state == "ok"
    yield from (_with_login(one, reachable=reachable) for one in requirements if one.login)
    yield from _registries(inputs, project, reachable)
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


def _registries(inputs: Inputs, project: Project, azure: bool) -> Iterator[Row]:
    """The state of the login for each registry of the manifest, as in `credentials show`."""
    try:
        try:
            manifest = render_project(project, lambda manifest: {}).manifest
        except NoImageError:
            image, row = _future_image(project, inputs, azure)
            if row is not None:
                yield row
            manifest = render_project(project, lambda manifest: {}, image=image).manifest
    except ManifestgenError as error:
        yield Row("registry credentials", "failed", str(error), error.fix)
        return
    now, warn_days = inputs.now, inputs.settings.registry.warn_days
    for one in standings(hosts_of(manifest), inputs, azure=azure):
        subject, state = f"registry {one.host}", one.state(now, warn_days)
        if one.skipped:
            yield _skipped(subject, "needs a credential")
            continue
        words = describe(one, now)
        fix = one.fix if one.problem else one.renewal if state == "warning" else ""
        yield Row(subject, state, f"{words}: {one.problem}" if one.problem else words, fix)


def _future_image(project: Project, inputs: Inputs, azure: bool) -> tuple[str, Row | None]:
    """Before the first build, an image of the registry that the build will push to; and a row if that is not known."""
    image = project.image
    if image is None or not image.builds:
        return _NO_IMAGE, _skipped("registry", "the project names no image")
    if not azure and not builds_from_context(image):
        return _NO_IMAGE, _skipped("registry", "needs a credential")
    host = target_host(image, inputs.services)
    if host is None:
        return _NO_IMAGE, Row("registry", "ok", "none yet: the workspace creates it with its first image")
    return f"{host}/{image.name}:0", None


def _device(services: Services, device_id: str | None) -> Iterator[Row]:
    found: list[Device] = []
    missing: list[NotFoundError] = []

    def hub() -> str:
        if device_id is None:
            next(services.hub.devices(), None)
        else:
            try:
                found.append(services.hub.device(device_id))
            except NotFoundError as error:  # the hub responded that the device does not exist
                missing.append(error)
        return f"{services.hub.host} is reachable"

    client = _row("hub client", lambda: services.hub.client)
    # Without one, what is wrong is which hub is meant.
    row = _row("hub", hub) if client.state == "ok" else replace(client, subject="hub")
    if client.state == "ok":
        yield client
    yield row
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
