"""Rotates the passwords of a project's tokens on its devices, or in its automatic deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from manifestgen.cloud import Services
from manifestgen.credentials import rotation, stored
from manifestgen.credentials.acr_token import name_of
from manifestgen.credentials.logins import token_hosts
from manifestgen.credentials.rotation import Observer, Rotated, Target
from manifestgen.credentials.source import Inputs
from manifestgen.deployments import replace as deployments
from manifestgen.deployments.deployment import name_of as deployment_name
from manifestgen.deployments.rotation import AutomaticDeployment
from manifestgen.device import apply as device
from manifestgen.device.rotation import Devices
from manifestgen.errors import InputError, Interrupted, NotFoundError, os_reason
from manifestgen.files import read_text
from manifestgen.project.load import Project
from manifestgen.render import render_project
from manifestgen.rows.rows import open_rows
from manifestgen.state import lock


@dataclass(frozen=True)
class Chosen:
    """The target of a rotation: devices, or else an automatic deployment."""

    devices: tuple[str, ...] = ()
    deployment: str | None = None


@dataclass(frozen=True)
class Options:
    """Options of a rotation.

    Attributes:
        images: image references to use in place of the project's, by module.
        days: until the new password expires; None for the project's setting.
        in_use: the password that devices have, `password1` or `password2`, if that cannot be determined.
        timeout: seconds for each device, or for the rollout of the deployment.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    days: int | None = None
    in_use: str | None = None
    timeout: float = 600.0


def choose(
    project: Project, devices: Sequence[str] = (), file: Path | None = None, deployment: str | None = None
) -> Chosen:
    """Choose the target: what the caller names, or else the project's target.

    Args:
        project: whose target is used if nothing is named.
        devices: their IDs.
        file: a list of devices: one ID per line, `#` begins a comment; or CSV or JSON lines with a column `device`.
        deployment: name of an automatic deployment.

    Raises:
        InputError: nothing is named, or more than one kind.
    """
    if sum((bool(devices), file is not None, deployment is not None)) > 1:
        fix = "give one of --device, --devices and --deployment"
        raise InputError("only one kind of target can be rotated at a time", fix=fix)
    if devices or file is not None:
        return Chosen(tuple(devices) if file is None else tuple(_ids(file)))
    if deployment is not None:
        return Chosen(deployment=deployment)
    if project.target is None:
        fix = "give --device ID, --devices FILE or --deployment NAME"
        what = "no device or deployment is specified"
        raise InputError(what, where=str(project.path), fix=fix, options=project.choices)
    return Chosen((project.target.device,) if project.target.device else (), project.target.deployment)


def rotate(
    project: Project, services: Services, inputs: Inputs, chosen: Chosen, options: Options, observer: Observer
) -> Iterator[Rotated]:
    """Rotate the password of the project's token of each registry, one after the other.

    Args:
        project: whose manifest names the registries.
        services: of the project.
        inputs: of its credential sources.
        chosen: the target with the passwords; see `choose`.
        options: how to rotate.
        observer: receives the steps, and may stop it.

    Raises:
        InputError: no registry has the source token; another rotation is running.
        NotFoundError: a registry has no such token.
        Interrupted: by Ctrl-C; every password that a device has is still valid.
    """
    manifest = render_project(project, lambda manifest: {}, image=options.images).manifest
    for host in token_hosts(inputs.settings, manifest):
        yield _rotate(host, services, inputs, chosen, options, observer)


def _rotate(
    host: str, services: Services, inputs: Inputs, chosen: Chosen, options: Options, observer: Observer
) -> Rotated:
    name = name_of(inputs.settings)
    stored.latest(inputs.state, host, name)  # registers the password as a secret, so that no service's message shows it
    token = services.registry.token(inputs.registry_of(host), name)
    if token is None:
        fix = "create it with 'manifestgen credentials create-token'"
        raise NotFoundError(f"the registry has no token {name}", where=f"registry {host}", fix=fix)
    days: int = options.days or inputs.settings.registry.setting("days")
    with _alone(inputs.state):
        try:
            return rotation.rotate(
                services.registry,
                services.hub,
                token,
                _target(services, chosen, options, observer),
                root=inputs.state,
                days=days,
                in_use=options.in_use,
                observer=observer,
            )
        except KeyboardInterrupt:
            what = "interrupted; every password that a device has still works"
            raise Interrupted(what, fix="run the same command again to resume") from None


def _target(services: Services, chosen: Chosen, options: Options, observer: Observer) -> Target:
    if chosen.deployment is not None:
        name, patience = deployment_name(chosen.deployment), deployments.PATIENCE.within(options.timeout)
        return AutomaticDeployment(services.hub, name, observer.step, patience)
    return Devices(services.hub, chosen.devices, observer.device, device.PATIENCE.within(options.timeout))


def _ids(file: Path) -> Iterator[str]:
    if file.suffix.lower() in (".csv", ".jsonl", ".ndjson"):
        with closing(open_rows(file)) as rows:
            for row in rows:
                if row.problem and not row.device:
                    raise InputError(row.problem, where=f"{file}:{row.line}", fix=row.fix)
                yield row.device
        return
    lines = [line.partition("#")[0].strip() for line in read_text(file, "list of devices").splitlines()]
    found = [line for line in lines if line]
    if not found:
        raise InputError("the file names no device", where=str(file), fix="write one device ID per line")
    yield from found


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Allow only one rotation of this user during the block; the lock of a killed run is released."""
    folder = root / "credentials"
    what = "another rotation is running on this machine"
    busy = InputError(what, where=str(root), fix="wait until it has finished, or stop it")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = lock(folder / "rotate.lock", busy=busy)
    except OSError as error:
        what = f"the state folder cannot be written to: {os_reason(error)}"
        raise InputError(what, where=str(root), fix="make it writable, or set MANIFESTGEN_STATE") from error
    try:
        yield
    finally:
        taken.release()
