"""What `credentials rotate` rotates: devices, or an automatic deployment, and how it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._console import Console
from manifestgen.errors import InputError, Interrupted, NotFoundError

if TYPE_CHECKING:
    from manifestgen.cloud import Hub
    from manifestgen.credentials.rotation import DeviceOutcome, Login, Observer, Rotated, Target
    from manifestgen.project import Project
    from manifestgen.services import Clouds


@dataclass(frozen=True)
class Chosen:
    """Devices, or else an automatic deployment."""

    devices: tuple[str, ...] = ()
    deployment: str | None = None


def target_of(project: Project, devices: Sequence[str], file: Path | None, deployment: str | None) -> Chosen:
    """What the options name, or else the project's target.

    Raises:
        InputError: they name nothing, or two things.
    """
    if sum((bool(devices), file is not None, deployment is not None)) > 1:
        fix = "give one of --device, --devices and --deployment"
        raise InputError("devices and deployments are rotated one kind at a time", fix=fix)
    if devices or file is not None:
        return Chosen(tuple(devices) if file is None else tuple(_ids(file)))
    if deployment is not None:
        return Chosen(deployment=deployment)
    if project.target is None:
        fix = "give --device ID, --devices FILE or --deployment NAME"
        raise InputError("nothing is named whose password is to be renewed", where=str(project.path), fix=fix)
    return Chosen((project.target.device,) if project.target.device else (), project.target.deployment)


def _ids(file: Path) -> Iterator[str]:
    """Device ids: one a line, `#` begins a comment; or the column `device` of CSV or JSON lines."""
    if file.suffix.lower() in (".csv", ".jsonl", ".ndjson"):
        from contextlib import closing

        from manifestgen.rows.rows import open_rows

        with closing(open_rows(file)) as rows:
            for row in rows:
                if row.problem and not row.device:
                    raise InputError(row.problem, where=f"{file}:{row.line}", fix=row.fix)
                yield row.device
        return
    from manifestgen.files import read_text

    lines = [line.partition("#")[0].strip() for line in read_text(file, "list of devices").splitlines()]
    found = [line for line in lines if line]
    if not found:
        raise InputError("the file names no device", where=str(file), fix="write one device id a line")
    yield from found


@dataclass(frozen=True)
class Rotating:
    """One run of `credentials rotate`."""

    clouds: Clouds
    chosen: Chosen
    days: int
    in_use: str | None
    timeout: float
    console: Console
    yes: bool

    def rotate(self, host: str, name: str) -> Rotated:
        """Rotate the token of this name of one registry.

        Raises:
            NotFoundError: the registry has no such token.
        """
        from manifestgen.credentials import kept
        from manifestgen.credentials.rotation import rotate
        from manifestgen.device.snapshots import state_folder

        kept.latest(state_folder(), host, name)  # known from here on, so that no message of a service shows it
        registry = self.clouds.registry
        token = registry.token(self.clouds.registry_of(host), name)
        if token is None:
            fix = "make it with 'manifestgen credentials create-token'"
            raise NotFoundError(f"the registry has no token {name}", where=f"registry {host}", fix=fix)
        hub, observer, root = self.clouds.hub, self._observer(), state_folder()
        with _alone(root):
            try:
                return rotate(
                    registry,
                    hub,
                    token,
                    self._target(hub, observer),
                    root=root,
                    days=self.days,
                    in_use=self.in_use,
                    observer=observer,
                )
            except KeyboardInterrupt:
                what = "interrupted; every password that a device has works"
                raise Interrupted(what, fix="run the same command again to go on") from None

    def _target(self, hub: Hub, observer: Observer) -> Target:
        from manifestgen.credentials.rotation import devices
        from manifestgen.device.apply import Patience

        if self.chosen.deployment is not None:
            return _deployment(hub, self.chosen.deployment, self.timeout, self.console)
        return devices(hub, self.chosen.devices, observer, patience=Patience(timeout=self.timeout))

    def _observer(self) -> Observer:
        from manifestgen.credentials.rotation import Observer
        from manifestgen.report.credentials import outcome_line

        def device(outcome: DeviceOutcome) -> None:
            self.console.progress(outcome_line(outcome))

        return Observer(self._permit, self.console.progress, device)

    def _permit(self, words: str) -> None:
        self.console.progress(words)
        if self.yes:
            return
        if not self.console.interactive:
            raise InputError("nobody can be asked whether to do this", fix="add --yes")
        try:
            permitted = self.console.confirm("go on?")
        except click.Abort:
            permitted = False
        if not permitted:
            raise Interrupted("stopped; nothing was changed", fix="run the same command again to do it")


def _deployment(hub: Hub, text: str, timeout: float, console: Console) -> Target:
    """An automatic deployment as the target of a rotation: its content is replaced, the hub does the rest."""
    from manifestgen.credentials.rotation import Target
    from manifestgen.deployments.deployment import current, name_of, with_content
    from manifestgen.deployments.replace import Observer, Patience, replace

    name = name_of(text)

    def contents() -> Iterator[Mapping[str, Any]]:
        found = current(hub, name)
        if found is None:
            fix = "see 'manifestgen status --deployment' for its name; only those that manifestgen made are changed"
            raise NotFoundError(f"the hub has no deployment {name!r} of manifestgen's", where=hub.host, fix=fix)
        yield found.content

    def move(login: Login) -> Sequence[DeviceOutcome]:
        found = current(hub, name)
        if found is None:
            raise NotFoundError(f"deployment {name!r} is gone", where=hub.host, fix="look who deleted it")
        # No snapshot: it would differ in the former password only, which nobody should go back to.
        observer = Observer(step=console.progress)
        wanted = with_content(found, login.put_into(found.content))
        replace(hub, wanted, patience=Patience(timeout=timeout), observer=observer)
        return ()

    return Target(f"automatic deployment {name!r}", contents, move)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep other rotations of this user off while the block runs; a killed run's lock is gone with it."""
    import filelock

    folder = root / "credentials"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = filelock.FileLock(folder / "rotate.lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        what = "another rotation is at work on this machine"
        raise InputError(what, where=str(root), fix="wait until it has ended, or stop it") from None
    except OSError as error:
        what = f"the state folder cannot be written to: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=str(root), fix="make it writable, or set MANIFESTGEN_STATE") from error
    try:
        yield
    finally:
        lock.release()
