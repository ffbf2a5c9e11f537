"""Checks the prerequisites of a deployment, and says how to fix what is missing."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path

from manifestgen.cloud import Device, Requirement, Services
from manifestgen.credentials.logins import hosts_of, may_ask_azure
from manifestgen.credentials.source import Inputs, Settings, State
from manifestgen.credentials.sources import SOURCES
from manifestgen.credentials.standing import describe, standings
from manifestgen.errors import ManifestgenError, NotFoundError
from manifestgen.gate import require_manifest, require_no_errors
from manifestgen.images.draft import draft_of
from manifestgen.images.existing import NOWHERE, future_image
from manifestgen.manifest.document import of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.builders import builds_from_context
from manifestgen.project.load import Project
from manifestgen.project.lock import never_built
from manifestgen.project.sections import ManifestSection
from manifestgen.state import state_folder

# Distributions, each with its requirement for pip.
_LOGIN = {"azure-identity": "manifestgen"}
_REGISTRIES = {"azure-mgmt-containerregistry": "manifestgen"}
_NO_LOGIN = "needs a credential"


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
    hub_login: bool = False,
) -> Iterator[Row]:
    """Check everything that deploying a project needs; a failed check does not stop the others.

    Things that the project does not need have no row. Checks that depend on a failed one are skipped.

    Args:
        log_in: requests a token from Entra ID; raises DeniedError if no credential works.
        device_id: the device; None for the project's target.
        root: the user's state folder, with the passwords of tokens; None for the default.
        now: the time; None for the clock's.
        environ: the environment variables; None for those of the process.
        hub_login: whether the hub needs the credential, not a connection string.
    """
    root, now = root or state_folder(), now or datetime.now(timezone.utc)
    settings = project.registry_settings
    inputs = Inputs(settings, services, os.environ if environ is None else environ, lambda: root, now)
    building = [one for one in project.each() if one.builds]
    requirements = list(chain.from_iterable(_requirements(one, services.of(one.module.name)) for one in building))
    draft, manifest = _manifest(project)
    hosts = hosts_of(draft) if draft is not None else {}
    sources = [source for source in SOURCES.values() if settings.registry.uses(source.name)]
    needs_registries = project.builds or may_ask_azure(hosts, settings)
    needs_login = needs_registries or hub_login or any(one.login for one in requirements)

    builder = dict(chain.from_iterable(services.of(one.module.name).builder.packages.items() for one in building))
    needed = ((_LOGIN, needs_login), (_REGISTRIES, needs_registries), (builder, True))
    installed = [*_installed(*(packages for packages, is_needed in needed if is_needed))]
    installed += _installed(*(source.packages for source in sources))
    yield from installed
    missing = {row.subject: row.words for row in installed if row.state == "failed"}
    yield from (_row(one.subject, one.look) for one in requirements if not one.login)
    yield manifest
    credential = _credential(log_in, missing)
    reachable = credential.state == "ok"
    if needs_login or reachable:
        yield credential
    why_not = _first_missing(missing, builder) or ("" if reachable else _NO_LOGIN)
    logged_in = [_unless(why_not, one.subject, one.look) for one in requirements if one.login]
    yield from logged_in
    usable = not why_not and all(row.state != "failed" for row in logged_in)
    yield from _registries(inputs, project, draft, missing, reachable=reachable, usable=usable)
    device_id = device_id or project.device
    yield from _device(services, device_id, "" if reachable or not hub_login else _NO_LOGIN)


def _requirements(project: Project, services: Services) -> Iterator[Requirement]:
    """The requirements of a module's image; with the module's name if there are several."""
    for one in (*services.builder.requirements(), *_models(project, services)):
        yield replace(one, subject=f"{project.module.name}: {one.subject}") if project.modular else one


def _models(project: Project, services: Services) -> Iterator[Requirement]:
    """The requirements of the model registry, if a builder other than Azure ML's reads it."""
    model = project.model
    if project.workspace is None or model is None or not builds_from_context(project.image):
        return

    def look() -> str:
        count = len(services.models.list(model.name))
        return f"readable, {count} registered {'version' if count == 1 else 'versions'} of model {model.name}"

    yield Requirement("workspace", look, login=True)


def _installed(*packages: Mapping[str, str]) -> Iterator[Row]:
    for name, requirement in chain.from_iterable(one.items() for one in packages):
        try:
            yield Row(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            quoted = f"'{requirement}'" if "[" in requirement else requirement
            yield Row(name, "failed", "not installed", f"run: pip install {quoted}")


def _first_missing(missing: Collection[str], packages: Collection[str]) -> str:
    """Why a check that needs packages is skipped; empty if none is missing."""
    return next((f"needs {name}" for name in packages if name in missing), "")


def _manifest(project: Project) -> tuple[Manifest | None, Row]:
    """The project's manifest without logins, and whether its template, values and check allow a deployment."""
    template = (project.manifest or ManifestSection()).template
    drafts: list[Manifest] = []

    def look() -> str:
        drafts.append(_draft(project))
        document = of_manifest(drafts[0], "the rendered manifest", styles=project.placeholder_styles)
        require_manifest(document, layered=True)
        require_no_errors(document, ignore=project.ignored)
        count = len(drafts[0].modules())
        return f"template {template} and its values give {count} {'module' if count == 1 else 'modules'}"

    row = _row("manifest", look)
    return (drafts[0] if drafts else None), row


def _draft(project: Project, images: Mapping[str, str] | None = None) -> Manifest:
    """The manifest without logins; before the first build, with stand-ins for the images."""

    def stand_ins(missing: Project) -> Mapping[str, str]:
        return images or {one.module.name: NOWHERE for one in missing.each()}

    return draft_of(project, lambda manifest: {}, stand_ins).manifest


def _credential(log_in: Callable[[], None], missing: Collection[str]) -> Row:
    return _unless(_first_missing(missing, _LOGIN), "credential", lambda: _after(log_in, "Entra ID issued a token"))


def _registries(
    inputs: Inputs,
    project: Project,
    draft: Manifest | None,
    missing: Collection[str],
    *,
    reachable: bool,
    usable: bool,
) -> Iterator[Row]:
    """The state of the login for each registry of the manifest, as in `credentials show`.

    Args:
        draft: the manifest; None if it cannot be rendered.
        missing: distributions that are not installed.
        reachable: whether Azure can be reached.
        usable: whether the builder's requirements in Azure are met.
    """
    if draft is None:
        yield _skipped("registry credentials", "needs the manifest")
        return
    if NOWHERE in {module.image_text for module in draft.modules()}:
        images = dict.fromkeys(never_built(project), NOWHERE)
        for part in project.only(tuple(images)).each():
            services, name = inputs.services.of(part.module.name), part.module.name
            images[name], row = _future_image(part, services, reachable=reachable, usable=usable)
            if row is not None:
                yield row
        draft = _draft(project, images)
    azure = reachable and not _first_missing(missing, _REGISTRIES)
    why = _first_missing(missing, _REGISTRIES) if reachable else _NO_LOGIN
    for one in standings(_with_packages(hosts_of(draft), inputs.settings, missing), inputs, azure=azure):
        subject, state = f"registry {one.host}", one.state(inputs.now, inputs.settings.registry.warn_days)
        if one.skipped:
            yield _skipped(subject, why)
            continue
        words = describe(one, inputs.now)
        fix = one.fix if one.problem else one.renewal if state == "warning" else ""
        yield Row(subject, state, f"{words}: {one.problem}" if one.problem else words, fix)
    for host, source in _without_packages(hosts_of(draft), inputs.settings, missing).items():
        yield _skipped(f"registry {host}", _first_missing(missing, SOURCES[source].packages))


def _with_packages(
    hosts: Mapping[str, frozenset[str]], settings: Settings, missing: Collection[str]
) -> dict[str, frozenset[str]]:
    """The hosts whose source has all the packages that it needs."""
    without = _without_packages(hosts, settings, missing)
    return {host: pulled for host, pulled in hosts.items() if host not in without}


def _without_packages(hosts: Iterable[str], settings: Settings, missing: Collection[str]) -> dict[str, str]:
    """The hosts whose source lacks a package, and that source."""
    sources = {host: settings.registry.source_of(host) for host in hosts}
    return {host: source for host, source in sources.items() if _first_missing(missing, SOURCES[source].packages)}


def _future_image(project: Project, services: Services, *, reachable: bool, usable: bool) -> tuple[str, Row | None]:
    """Before the first build, an image in the registry that the build will push to; and a row if that is unknown."""
    if not reachable and not builds_from_context(project.image):
        return NOWHERE, _skipped("registry", _NO_LOGIN)
    try:
        image = future_image(project, services)
    except ManifestgenError as error:
        if usable:
            return NOWHERE, Row("registry", "failed", str(error), error.fix)
        return NOWHERE, _skipped("registry", "needs the workspace")
    if image is None:
        return NOWHERE, Row("registry", "ok", "none yet: the workspace creates it with its first image")
    return image, None


def _device(services: Services, device_id: str | None, why_not: str = "") -> Iterator[Row]:
    """The hub, the device and its runtime; `why_not` says why the hub cannot be checked."""
    found: list[Device] = []
    missing: list[NotFoundError] = []

    def hub() -> str:
        if device_id is None:
            next(services.hub.devices(), None)
        else:
            try:
                found.append(services.hub.device(device_id))
            except NotFoundError as error:  # the hub answered, so it works: the device does not exist
                missing.append(error)
        return f"{services.hub.host} is reachable"

    client = _row("hub client", lambda: services.hub.client)
    # Without a device, the error is about the hub.
    row = _unless(why_not, "hub", hub) if client.state == "ok" else replace(client, subject="hub")
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


def _unless(why_not: str, subject: str, look: Callable[[], str | Row]) -> Row:
    """A row, skipped if there is a reason to."""
    return _skipped(subject, why_not) if why_not else _row(subject, look)


def _after(look: Callable[[], None], words: str) -> str:
    look()
    return words


def _skipped(subject: str, why: str) -> Row:
    return Row(subject, "skipped", why)
