"""The lock file: the last build, its inputs, and the digests of image tags.

It is named after the project file and the environment, so that each of them has its own. It contains no secrets and
should be committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.files import read_text, write_atomic
from manifestgen.project.load import Project
from manifestgen.project.sections import NONE
from manifestgen.project.workspace import workspace_of

_FORMAT: Final = 1
_MAX_BYTES: Final = 1024 * 1024


class LockedModel(Struct, frozen=True, kw_only=True):
    """The model in an image.

    Attributes:
        version: as its source writes it; empty while it is unknown.
        sha256: of the model's content, if the project registered it.
    """

    name: str
    version: str = ""
    sha256: str | None = None


class LockedImage(Struct, frozen=True, kw_only=True):
    """What an image's tag named when it was locked.

    Attributes:
        digest: `sha256:…` of the image, or of its index.
        platforms: of the image, such as `linux/arm64`.
    """

    digest: str
    platforms: tuple[str, ...] = ()


class LockedBase(Struct, frozen=True, kw_only=True):
    """The image that an image was built on.

    Attributes:
        image: its reference, as the project names it.
        digest: `sha256:…` of it, or of its index.
    """

    image: str
    digest: str


class Lock(Struct, frozen=True, kw_only=True):
    """The last build, and the images of the last manifest.

    Attributes:
        platforms: of the image, such as `linux/arm64`.
        sizes: of the image for each platform: bytes that a device without any of its layers downloads.
        base: the image that it is built on, by its reference, with its digest.
        parts: `inputs.input_hashes` of the same inputs; empty if another manifestgen wrote the file.
        builder: of `builders.BUILDERS` when it was written, or `sections.NONE`.
        images: of the manifest that was last pinned or deployed, by reference with tag.
        image: the reference, `login-server/repository:tag`.
        digest: `sha256:…` of the image, if its registry gave it.
        inputs: `inputs.inputs_hash` of its inputs; empty for an image that was built elsewhere.
        built_at: when the build ended: UTC, ISO 8601, seconds, `Z`; empty if it was not built here.
        manifestgen: version that wrote the file.
        workspace: Azure ML workspace that registered the model, `SUBSCRIPTION/GROUP/NAME`; None if it is unknown.
    """

    builder: str
    image: str
    inputs: str
    built_at: str
    manifestgen: str
    model: LockedModel | None = None
    digest: str | None = None
    workspace: str | None = None
    parts: dict[str, str] = {}
    images: dict[str, LockedImage] = {}
    platforms: tuple[str, ...] = ()
    sizes: dict[str, int] = {}
    base: LockedBase | None = None
    version: int = _FORMAT


def path_of(project: Project) -> Path:
    """The path of the project's lock file: `NAME.lock.json` for `NAME.yaml`, `NAME.ENVIRONMENT.lock.json` in one."""
    return project.root / f"{project.own_name}.lock.json"


def read(project: Project) -> Lock | None:
    """The project's lock file, or None if it has none.

    Raises:
        InputError: it is not readable, not a lock file, or from a later manifestgen.
    """
    path = path_of(project)
    if not path.exists():
        return None
    text = read_text(path, "lock file", limit=_MAX_BYTES)
    try:
        lock = msgspec.convert(_upgraded(msgspec.json.decode(text.encode())), Lock)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(
            f"the lock file is damaged: {str(error)[:1].lower()}{str(error)[1:]}",
            where=str(path),
            fix="restore it from version control, or delete it and run 'manifestgen image'",
        ) from None
    if lock.version != _FORMAT:
        fix = "update manifestgen, or delete the file and run 'manifestgen image'"
        raise InputError(f"unknown format {lock.version} of the lock file", where=str(path), fix=fix)
    return lock


def _upgraded(data: Any) -> Any:
    """A lock file's data; at first, versions of models were numbers, and 0 was unknown."""
    model = data.get("model") if isinstance(data, dict) else None
    if isinstance(model, dict) and type(model.get("version")) is int:
        model["version"] = str(model["version"] or "")
    return data


def read_own(project: Project) -> Lock | None:
    """The lock file of a project that builds its image, if it is the project's own; None if nothing was built.

    Raises:
        InputError: see `read`; or the file is of another model, image or workspace.
    """
    lock = read(project)
    if lock is None or lock.builder == NONE:
        return None
    for what, locked, named in _names(project, lock):
        if locked and named and locked.lower() != named.lower():
            raise InputError(
                f"the lock file is for {what} {locked!r}, but {project.path.name} names {named!r}",
                where=str(path_of(project)),
                fix="run 'manifestgen image' to build what the project names, or restore the project's own lock file",
            )
    return lock


def _names(project: Project, lock: Lock) -> Iterator[tuple[str, str | None, str | None]]:
    """What a lock file and its project must have in common: a word for it, the lock file's, the project's."""
    image, model = project.image, project.model
    yield "image", lock.image.partition("/")[2].rpartition(":")[0], image.name if image is not None else None
    yield "model", lock.model.name if lock.model is not None else None, model.name if model is not None else None
    yield "workspace", lock.workspace, workspace_name(project)


def workspace_name(project: Project) -> str | None:
    """The workspace that a project names, as a lock file has it; None if it names none that can be found."""
    try:
        return str(workspace_of(project))
    except InputError:
        return None


def locked_digests(lock: Lock | None) -> dict[str, str]:
    """The digests in a lock file, by image reference with tag."""
    if lock is None:
        return {}
    built = {lock.image: lock.digest} if lock.digest is not None else {}
    return built | {image: locked.digest for image, locked in lock.images.items()}


def record(project: Project, images: Mapping[str, LockedImage], manifestgen: str) -> None:
    """Replace the images in a project's lock file.

    A project that builds its image gets its lock file from the first build, not from this.

    Args:
        project: the project.
        images: by reference with tag, as the manifest has it.
        manifestgen: version for a new file.

    Raises:
        InputError: the lock file is damaged, or the project's folder is not writable.
    """
    lock = read(project)
    if lock is None:
        if project.builds:
            return
        reference = (project.image.reference if project.image is not None else None) or ""
        lock = Lock(builder=NONE, image=reference, inputs="", built_at="", manifestgen=manifestgen)
    if lock.builder == NONE and project.image is not None:
        lock = msgspec.structs.replace(lock, image=project.image.reference or "")
    kept = msgspec.structs.replace(lock, images=dict(images))
    if kept != lock:
        write(project, kept)


def write(project: Project, lock: Lock) -> None:
    """Write the project's lock file atomically; equal locks are equal bytes.

    Raises:
        InputError: the project's folder is not writable.
    """
    text = msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=2)
    write_atomic(path_of(project), text + b"\n")
