"""Finds the manifest that a command line names: a file, a project, a device, a deployment or a snapshot.

deployment.json          a file; '-' is stdin
samples/my-project       a project's folder or file: the manifest that it would render, without logins
device:edge-01           the current manifest of a device
deployment:scorer        an automatic deployment, as devices follow it now
history:edge-01@2        the second newest snapshot of a device
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from manifestgen.errors import InputError, os_reason
from manifestgen.files import read_bytes, read_stdin
from manifestgen.manifest.document import of_manifest, read
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.view.subject import ImageFacts, Subject

# Other imports are local, so that the command starts faster for a file.
if TYPE_CHECKING:
    from manifestgen.check import Checked
    from manifestgen.cloud import Hub
    from manifestgen.project import Project

_DEVICE: Final = "device:"
_DEPLOYMENT: Final = "deployment:"
_HISTORY: Final = "history:"
#: See `project.load.FILE_NAME`.
PROJECT_FILE: Final = "manifestgen.yaml"
#: The name of a project's image in a picture before it is built.
NOT_BUILT: Final = "not-built-yet"


def open_subject(text: str, open_hub: Callable[[], Hub]) -> Subject:
    """Open the subject that a text names; see above. A file name that begins like one of them needs `./` before it.

    Args:
        open_hub: called if a hub is needed.

    Raises:
        InputError: it does not exist, or has no manifest.
        NotFoundError: the hub does not have it.
    """
    if text.startswith(_DEVICE):
        return subject_of_device(text.removeprefix(_DEVICE), open_hub())
    if text.startswith(_DEPLOYMENT):
        return _of_deployment(text.removeprefix(_DEPLOYMENT), open_hub())
    if text.startswith(_HISTORY):
        return _of_snapshot(text.removeprefix(_HISTORY), open_hub())
    path = Path(text)
    if text != "-" and (path.is_dir() or path.suffix in (".yaml", ".yml")):
        from manifestgen.project.load import load

        return _of_project(load(path))
    return _of_file(path)


def check_project(
    project: Project, *, select: Collection[str] = (), ignore: Collection[str] = (), as_of: date | None = None
) -> Checked:
    """The findings in a project's manifest, rendered without logins and with a stand-in for an unbuilt image.

    The rendered text is in no file, so findings point to the first line of the project file, and their messages give
    the place in the manifest.

    Args:
        project: to render.
        select, ignore, as_of: see `check.check`; rules that the project ignores are added.

    Raises:
        InputError: its template is wrong.
    """
    from msgspec.structs import replace

    from manifestgen.check import Checked, check
    from manifestgen.rules import KNOWN_ON

    subject = _of_project(project)
    found = check(subject.document, select=select, ignore={*ignore, *subject.ignore}, as_of=as_of or KNOWN_ON)
    # Placeholders for logins are expected here only: a deployment has real logins.
    own = [one for one in found if one.rule != "placeholder" or "/registryCredentials/" not in one.pointer]
    placed = (replace(one, line=1, column=1, message=f"rendered, {one.pointer}: {one.message}") for one in own)
    return Checked(subject.name, subject.document.kind, tuple(placed))


def subject_of_device(device: str, hub: Hub) -> Subject:
    """The manifest of a device, with its reported state.

    Raises:
        NotFoundError: the hub has no such device.
        InputError: it has no manifest.
    """
    from manifestgen.compare.export import export
    from manifestgen.device.apply import read_state
    from manifestgen.device.rollout import assess

    state = read_state(hub, device)
    agent = state.twins.get("$edgeAgent")
    if agent is None or not agent.desired:
        raise InputError(
            "nothing is set on it yet", where=f"device {device!r}", fix="set modules with 'manifestgen apply'"
        )
    manifest = export({name: twin.desired for name, twin in state.twins.items()})
    connected = "connected" if agent.connected else "offline"
    read_at = f"read {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    facts = (f"on {hub.host}", connected, f"version {state.version}", read_at)
    name = f"device {device}"
    return Subject(name, of_manifest(manifest, name), facts, assess(agent, state.twins.get("$edgeHub")))


def _of_deployment(name: str, hub: Hub) -> Subject:
    from manifestgen.deployments.deployment import current, name_of

    found = current(hub, name_of(name)) if name else None
    if found is None:
        raise InputError(
            "the hub has no such deployment",
            where=f"deployment {name!r}",
            fix="list those that there are with 'manifestgen deployment list'",
        )
    title = f"deployment {name}"
    facts = (f"on {hub.host}", f"priority {found.priority}", f"for {found.condition}")
    return Subject(title, of_manifest(Manifest.of(found.content), title), facts)


def _of_snapshot(text: str, hub: Hub) -> Subject:
    from manifestgen.device.snapshots import find
    from manifestgen.state import state_folder

    device, at, number = text.rpartition("@")
    if not at or not device or not number.isascii() or not number.isdigit() or number == "0":
        raise InputError(
            "a snapshot is named by its device and its number",
            where=f"history:{text}",
            fix="write it as history:ID@N; see the numbers with 'manifestgen history --device ID'",
        )
    snapshot = find(hub.host, device, state_folder(), int(number), Manifest.of_twins({}))
    name = f"snapshot {number} of device {device}"
    taken = f"taken {snapshot.taken:%Y-%m-%d %H:%M:%S} UTC"
    return Subject(name, of_manifest(snapshot.manifest, name), (f"on {hub.host}", taken))


def _of_file(path: Path) -> Subject:
    name = "stdin" if str(path) == "-" else str(path)
    try:
        data = read_stdin() if str(path) == "-" else read_bytes(path)
    except FileNotFoundError:
        fix = "give a manifest, a project, device:ID, deployment:NAME or history:ID@N"
        raise InputError("no such file", where=name, fix=fix) from None
    except OSError as error:
        what = f"could not read the manifest: {os_reason(error)}"
        raise InputError(what, where=name, fix="check the path") from error
    project = _project_beside(path)
    return Subject(
        name,
        read(data, name, styles=_styles(project)),
        images=_images(project),
        ignore=_ignored(project),
    )


def _of_project(project: Project) -> Subject:
    from manifestgen.credentials.logins import placeholders
    from manifestgen.images.draft import draft_of

    draft = draft_of(
        project,
        placeholders(project.registry_settings),
        lambda missing: {one.module.name: f"{NOT_BUILT}:0" for one in missing.each()},
    )
    facts = ("as it would be rendered, without logins", *(("its image is not built yet",) if draft.stands_in else ()))
    name = str(project.path)
    document = of_manifest(draft.manifest, name, styles=_styles(project))
    return Subject(name, document, facts, images=_images(project), ignore=_ignored(project))


def _project_beside(path: Path) -> Project | None:
    if not any((folder / PROJECT_FILE).is_file() for folder in (path.parent, Path())):
        return None
    from manifestgen.project.beside import project_of

    try:
        return project_of(path)
    except InputError:
        return None  # a picture of a manifest needs no project


def _styles(project: Project | None) -> Styles:
    return project.placeholder_styles if project is not None else USUAL


def _ignored(project: Project | None) -> Collection[str]:
    return project.ignored if project is not None else ()


def _images(project: Project | None) -> Mapping[str, ImageFacts]:
    """The lock file's information about images, by reference."""
    if project is None or not project.builds:
        return {}
    from manifestgen.project import lock

    try:
        locked = lock.read_file(project)
    except InputError:
        return {}
    facts = {reference: ImageFacts(image.platforms) for reference, image in locked.images.items()}
    for built in locked.modules.values():
        facts[built.image] = ImageFacts(built.platforms, built.sizes)
        if built.pinned is not None:
            facts[built.pinned] = facts[built.image]
    return facts
