"""What must be in place for a deployment, looked at one after the other: each is fine, or what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from manifestgen.cloud import Device, Services
from manifestgen.credentials.logins import hosts_of
from manifestgen.credentials.source import Inputs, State
from manifestgen.credentials.sources import SOURCES
from manifestgen.credentials.standing import describe, standings
from manifestgen.device.snapshots import state_folder
from manifestgen.errors import ManifestgenError
from manifestgen.project.load import Project
from manifestgen.project.score import check_inputs
from manifestgen.render import NoImageError, render_project

_SDKS = ("azure-identity", "azure-iot-hub", "azure-mgmt-containerregistry")
# Stands for the model image while nobody knows which registry it will be in.
_NO_IMAGE = "image-that-is-not-built-yet"


@dataclass(frozen=True)
class Row:
    """One thing that must be in place.

    Attributes:
        words: what was found.
        fix: what to do, unless it is fine.
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
    """Look at everything that deploying the project needs; one failure does not keep the others from being looked at.

    Args:
        log_in: asks Entra ID for a token; raises DeniedError if there is no credential that gives one.
        device_id: the device; the project's target if None.
        root: the user's state folder, where passwords of tokens are kept; None for where it is.
        now: the time; None for the clock's.
        environ: the environment variables; None for those of the process.
    """
    root, now = root or state_folder(), now or datetime.now(timezone.utc)
    builds = project.image is not None and project.image.builder != "none"
    settings = project.registry_settings
    inputs = Inputs(settings, services, os.environ if environ is None else environ, lambda: root, now)
    extras = {"azureml-core": "'manifestgen[azureml]'"} if builds else {}
    for source in SOURCES.values():
        extras |= source.packages if settings.registry.uses(source.name) else {}
    yield from _installed(dict.fromkeys(_SDKS, "manifestgen") | extras)
    if builds:
        yield _row("entry script and conda file", lambda: _after(lambda: check_inputs(project), "fit to be sent"))
    credential = _row("credential", lambda: _after(log_in, "Entra ID gives a token"))
    yield credential
    reachable = credential.state == "ok"
    if builds:
        yield _workspace(services) if reachable else _skipped("workspace", "without a credential")
    yield from _registries(inputs, project, reachable)
    device_id = device_id or (project.target.device if project.target else None)
    yield from _device(services, device_id)


def _installed(packages: Mapping[str, str]) -> Iterator[Row]:
    """Whether packages are installed.

    Args:
        packages: each package, with what pip is to install if it is missing.
    """
    for name, extra in packages.items():
        try:
            yield Row(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Row(name, "failed", "not installed", f"run: pip install {extra}")


def _workspace(services: Services) -> Row:
    def look() -> str:
        models = services.builder.models()
        return f"can be read, {len(models)} registered models"

    return _row("workspace", look)


def _registries(inputs: Inputs, project: Project, azure: bool) -> Iterator[Row]:
    """How the login for each registry of the manifest stands, as `credentials show` says it."""
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
            yield _skipped(subject, "without a credential")
            continue
        words = describe(one, now)
        fix = one.fix if one.problem else one.renewal if state == "warning" else ""
        yield Row(subject, state, f"{words}: {one.problem}" if one.problem else words, fix)


def _future_image(project: Project, inputs: Inputs, azure: bool) -> tuple[str, Row | None]:
    """Before the first build, an image of the registry that the build will push to; and a row if that is not known."""
    if not inputs.settings.builds:
        return _NO_IMAGE, _skipped("registry", "the project names no image")
    if not azure:
        return _NO_IMAGE, _skipped("registry", "without a credential")
    arm_id = inputs.services.builder.registry_id()
    if arm_id is None:
        return _NO_IMAGE, Row("registry", "ok", "none yet: the workspace creates it with its first image")
    name = project.image.name if project.image is not None else None
    return f"{inputs.services.registry.by_id(arm_id).login_server}/{name}:0", None


def _device(services: Services, device_id: str | None) -> Iterator[Row]:
    found: list[Device] = []

    def hub() -> str:
        if device_id is None:
            next(services.hub.devices(), None)
        else:
            try:
                found.append(services.hub.device(device_id))
            except ManifestgenError as error:
                if "device" not in error.where:
                    raise
                missing.append(error)
        return f"{services.hub.host} answers"

    missing: list[ManifestgenError] = []
    row = _row("hub", hub)
    yield row
    if device_id is None:
        yield _skipped("device", "the project names none")
    elif missing:
        yield Row("device", "failed", str(missing[0]), missing[0].fix)
    elif not found:
        yield _skipped("device", "without the hub")
    else:
        yield _identity(found[0])
        yield _runtime(services, found[0])


def _identity(device: Device) -> Row:
    subject = f"device {device.id}"
    if not device.edge:
        fix = "register an edge device with 'manifestgen device register'"
        return Row(subject, "failed", "is not an IoT Edge device", fix)
    if not device.enabled:
        return Row(subject, "failed", "is disabled", "enable it in the IoT hub")
    return Row(subject, "ok", "is an enabled IoT Edge device")


def _runtime(services: Services, device: Device) -> Row:
    def look() -> str | Row:
        agent = services.hub.module_twin(device.id, "$edgeAgent") if device.edge else None
        if agent is None or not agent.connected:
            fix = "install IoT Edge on the device and give it 'manifestgen device connection-string'"
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
