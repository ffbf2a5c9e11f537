"""The requirements lock beside the project, and the packages that it names, unpacked for each platform."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from manifestgen.cloud.context import ContextFile, target_arch
from manifestgen.context.environment import header
from manifestgen.context.requirements import Requirements, placed
from manifestgen.context.uv import compile_lock, install
from manifestgen.errors import InputError
from manifestgen.files import read_text, write_atomic
from manifestgen.project.inputs import requirements_lock
from manifestgen.project.load import Project

#: Folder of the packages in a context, with one for each platform.
FOLDER: Final = "packages"
_WRITTEN: Final = "# Written by manifestgen: the packages of the image. Delete it to choose their versions anew.\n"
_PURE: Final = "linux/arm/v7"


def lock_text(
    project: Project, needed: Requirements, python: str, platforms: Sequence[str], report: Callable[[str], None]
) -> str:
    """The project's requirements lock, as it is if it fits, else with versions chosen now; writes nothing.

    Args:
        project: beside whose file it is.
        needed: what it is for.
        python, platforms: of the image.
        report: is called before versions are chosen, which takes a while.

    Raises:
        InputError, CloudError: see `uv.compile_lock`.
    """
    path = requirements_lock(project)
    begin = _WRITTEN + header(python, *_made_from(needed, platforms))
    if path.is_file():
        text = read_text(path, "requirements lock")
        if text.startswith(begin):
            return text
    source = needed.file or project.path
    report(f"choosing versions of the packages in {source.name}, for {' and '.join(platforms)}")
    return begin + chosen(needed, python, platforms, source)


def chosen(needed: Requirements, python: str, platforms: Sequence[str], source: Path) -> str:
    """The lock of what is needed, with versions chosen now, without a header.

    Args:
        source: for errors, which name its line: the file that the requirements come from.

    Raises:
        InputError, CloudError: see `uv.compile_lock`.
    """
    try:
        return compile_lock(needed.lines, needed.include, python, platforms, str(source))
    except InputError as error:
        raise placed(error, source) from error.__cause__


def write_lock(project: Project, text: str) -> None:
    """Keep a requirements lock beside the project, unless it is there already."""
    path = requirements_lock(project)
    if not path.is_file() or path.read_text("utf-8") != text:
        write_atomic(path, text)


def installed(
    project: Project, lock: str, python: str, platforms: Sequence[str], report: Callable[[str], None], where: str
) -> list[ContextFile]:
    """The files of the packages in a lock, for each platform.

    They are kept in `.manifestgen/packages` until the lock changes; of several modules each has a folder there.

    Args:
        where: for errors: the file that the requirements come from.

    Raises:
        InputError: a package has no wheel for a platform.
        CloudError: the package index could not be reached.
    """
    key = hashlib.sha256(f"{python}\n{lock}".encode()).hexdigest()[:16]
    kept = project.root / ".manifestgen" / FOLDER
    if project.modular:
        kept = kept / project.module.name
    _forget_others(kept, key)
    found: list[ContextFile] = []
    for platform in platforms:
        arch = target_arch(platform)
        folder = kept / key / arch
        if not folder.is_dir():
            report(f"unpacking the packages for {platform}")
            _install(lock, folder, python, platform, where)
        found += _files(folder, f"{FOLDER}/linux-{arch}", platform)
    return found


def _made_from(needed: Requirements, platforms: Sequence[str]) -> tuple[str, str]:
    """The inputs of a lock: if they change, versions are resolved again."""
    included = read_text(needed.include, "requirements file") if needed.include is not None else ""
    digest = hashlib.sha256("\n".join((*needed.lines, "", included)).encode()).hexdigest()[:16]
    return ", ".join(sorted(platforms)), f"requirements {digest}"


def _forget_others(kept: Path, key: str) -> None:
    for folder in kept.iterdir() if kept.is_dir() else ():
        if folder.name != key:
            shutil.rmtree(folder, ignore_errors=True)


def _install(lock: str, folder: Path, python: str, platform: str, where: str) -> None:
    """Unpack packages next to where they will be, and move them there: what an interrupted run left is not used."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        lock_file = partial.with_name(f"{folder.name}.lock")
        lock_file.write_text(lock, "utf-8")
        install(lock_file, partial, python, platform, where)
        _normalise(partial)
        if platform == _PURE:
            _require_pure(partial, where)
        partial.rename(folder)
    except OSError as error:
        what = f"could not unpack the packages: {error.strerror or error}"
        raise InputError(
            what, where=str(error.filename or folder), fix="free disk space, or check its permissions"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _normalise(folder: Path) -> None:
    """Remove what depends on this machine: programs, which name its Python, and their lines in RECORD."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for record in folder.glob("*.dist-info/RECORD"):
        rows = [row for row in csv.reader(io.StringIO(record.read_text("utf-8"))) if row]
        kept = sorted(row for row in rows if not re.match(r"(\.\./)*bin/", row[0]))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(kept)
        record.write_text(text.getvalue(), "utf-8")


def _require_pure(folder: Path, where: str) -> None:
    """Raise unless no package has compiled code: the one that was unpacked is for another platform."""
    for wheel in sorted(folder.glob("*.dist-info/WHEEL")):
        if not re.search(r"(?m)^Tag: \S+-none-any\s*$", read_text(wheel, "WHEEL")):
            name = wheel.parent.name.removesuffix(".dist-info").replace("-", " ")
            fix = f"remove {_PURE} from image.platforms; numpy, scikit-learn and onnxruntime have no wheels for it"
            raise InputError(f"package {name!r} has no wheel for {_PURE}", where=where, fix=fix)


def _files(folder: Path, prefix: str, platform: str) -> list[ContextFile]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        relative = Path(parent).relative_to(folder).as_posix()
        start = prefix if relative == "." else f"{prefix}/{relative}"
        found += [ContextFile(f"{start}/{name}", Path(parent, name), platform=platform) for name in names]
    return found
