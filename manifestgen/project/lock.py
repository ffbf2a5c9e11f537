"""The lock file: the last build of each module, its inputs, and the digests of image tags.

It is named after the project file and the environment, so that each has its own. It contains no secrets and should be
committed. The first format was for one module, with the keys of a module at the top level; it is still read.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.files import read_text, write_atomic
from manifestgen.project.load import Project
from manifestgen.project.sections import NONE

_FORMAT: Final = 2
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
    """The image that a tag named when it was locked.

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
    """The last build of a module.

    Attributes:
        platforms: of the image, such as `linux/arm64`.
        sizes: of the image for each platform: bytes that a device without any of its layers downloads.
        base: the image that it is built on, by its reference, with its digest.
        parts: `inputs.input_hashes` of the same inputs; empty if another manifestgen wrote the file.
        builder: of `builders.BUILDERS` when it was written.
        image: the reference, `login-server/repository:tag`.
        digest: `sha256:…` of the image, if its registry returned it.
        inputs: `inputs.inputs_hash` of its inputs.
        built_at: when the build ended: UTC, ISO 8601, seconds, `Z`; empty if it was not built here.
        manifestgen: version that wrote it.
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
    platforms: tuple[str, ...] = ()
    sizes: dict[str, int] = {}
    base: LockedBase | None = None

    @property
    def pinned(self) -> str | None:
        """The reference by digest, `login-server/repository@sha256:…`; None if the digest is unknown."""
        return f"{self.image.rpartition(':')[0]}@{self.digest}" if self.digest is not None else None


class LockFile(Struct, frozen=True, kw_only=True):
    """A lock file.

    Attributes:
        modules: the last build of each module that manifestgen builds, by its name; `_UNNAMED` is the name of the one
            in a file of the first format.
        images: of the manifest that was last pinned or deployed, by reference with tag.
    """

    modules: dict[str, Lock] = {}
    images: dict[str, LockedImage] = {}
    version: int = _FORMAT

    @property
    def digests(self) -> dict[str, str]:
        """The digests in it, by image reference with tag."""
        built = {lock.image: lock.digest for lock in self.modules.values() if lock.digest is not None}
        return built | {image: locked.digest for image, locked in self.images.items()}


_UNNAMED: Final = ""
# Several modules may be built at a time, each of which writes its own part of the file.
_writing: Final = threading.Lock()


def path_of(project: Project) -> Path:
    """The path of the project's lock file: `NAME.lock.json` for `NAME.yaml`, `NAME.ENVIRONMENT.lock.json` in one."""
    return project.root / f"{project.own_name}.lock.json"


def read(project: Project) -> Lock | None:
    """The last build of the module of a project of one, or None if there was none.

    Raises:
        InputError: see `read_file`.
    """
    return _of_module(project, read_file(project).modules)


def _of_module(project: Project, modules: Mapping[str, Lock]) -> Lock | None:
    module = project.module
    if module.name in modules or not module.builds:
        return modules.get(module.name)
    if not project.modular:  # a single entry belongs to the only module, whatever its name was
        return next(iter(modules.values())) if len(modules) == 1 else None
    unnamed = modules.get(_UNNAMED)
    same = unnamed is not None and module.image is not None and _repository(unnamed) == module.image.name
    return unnamed if same else None


def never_built(project: Project) -> tuple[str, ...]:
    """The modules whose image is to be built and is not in the lock file yet. Raises InputError: see `read_file`."""
    return tuple(one.module.name for one in project.each() if one.builds and read(one) is None)


def read_file(project: Project) -> LockFile:
    """A project's lock file; an empty one if it has none.

    Raises:
        InputError: it is not readable, not a lock file, or from a later manifestgen.
    """
    path = path_of(project)
    if not path.exists():
        return LockFile()
    text = read_text(path, "lock file", limit=_MAX_BYTES)
    try:
        data = msgspec.json.decode(text.encode())
        version = data.get("version", 1) if isinstance(data, dict) else _FORMAT
        if version in (1, _FORMAT):
            return msgspec.convert(_upgraded(data) if version == 1 else data, LockFile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(
            f"the lock file is damaged: {re.sub('^[A-Z](?![A-Z])', lambda first: first[0].lower(), str(error))}",
            where=str(path),
            fix="restore it from version control, or delete it and run 'manifestgen image'",
        ) from None
    fix = "update manifestgen, or delete the file and run 'manifestgen image'"
    raise InputError(f"unknown format {version} of the lock file", where=str(path), fix=fix)


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """The data of a lock file of the first format in the present one."""
    model = data.get("model")
    if isinstance(model, dict) and type(model.get("version")) is int:
        model["version"] = str(model["version"] or "")  # originally a number, with 0 for unknown
    # A lock file without a build has only `images`.
    modules = {_UNNAMED: data} if data.get("builder") != NONE else {}
    return {"images": data.pop("images", {}), "modules": modules}


def read_own(project: Project) -> Lock | None:
    """The last build of the module of a project of one, if for its current model and image; None without one.

    Raises:
        InputError: see `read_file`; or the file is for another model, image or workspace.
    """
    lock = read(project)
    if lock is None:
        return None
    for what, locked, named in _names(project, lock):
        if locked and named and locked.lower() != named.lower():
            raise InputError(
                f"the lock file is for {what} {locked!r}, but {_whose(project)} names {named!r}",
                where=str(path_of(project)),
                fix="run 'manifestgen image' to build what the project names, or restore the project's own lock file",
            )
    return lock


def _whose(project: Project) -> str:
    return f"module {project.module.name!r} of {project.path.name}" if project.modular else project.path.name


def _names(project: Project, lock: Lock) -> Iterator[tuple[str, str | None, str | None]]:
    """The facts that a lock file and its project must share: a word for it, the lock file's, the project's."""
    image, model = project.image, project.model
    yield "image", _repository(lock), image.name if image is not None else None
    yield "model", lock.model.name if lock.model is not None else None, model.name if model is not None else None
    yield "workspace", lock.workspace, workspace_name(project)


def _repository(lock: Lock) -> str:
    return lock.image.partition("/")[2].rpartition(":")[0]


def workspace_name(project: Project) -> str | None:
    """The workspace of a project, in the lock file's form; None if it names none or it cannot be found."""
    from manifestgen.project.workspace import workspace_of

    try:
        return str(workspace_of(project))
    except InputError:
        return None


def record(project: Project, images: Mapping[str, LockedImage]) -> None:
    """Replace the images in a project's lock file.

    A project that builds an image gets its lock file from the first build, not from this.

    Args:
        project: the project.
        images: by reference with tag, as the manifest has it.

    Raises:
        InputError: the lock file is damaged, or the project's folder is not writable.
    """
    with _writing:
        locked = read_file(project)
        if project.builds and not locked.modules:
            return
        kept = msgspec.structs.replace(locked, images=dict(images))
        if kept != locked or not path_of(project).exists():
            _write(project, kept)


def write(project: Project, lock: Lock) -> None:
    """Write the last build of the module of a project of one into its lock file.

    Raises:
        InputError: the lock file is damaged, or the project's folder is not writable.
    """
    with _writing:
        locked = read_file(project)
        modules = dict(locked.modules) if project.modular else {}
        if _of_module(project, modules) is modules.get(_UNNAMED):
            modules.pop(_UNNAMED, None)
        modules[project.module.name] = lock
        # A tag that was just built may name another image than the recorded one.
        images = {image: kept for image, kept in locked.images.items() if image != lock.image}
        _write(project, msgspec.structs.replace(locked, modules=modules, images=images))


def _write(project: Project, locked: LockFile) -> None:
    """Write a lock file atomically; equal content gives equal bytes."""
    text = msgspec.json.format(msgspec.json.encode(locked, order="sorted"), indent=2)
    write_atomic(path_of(project), text + b"\n")
