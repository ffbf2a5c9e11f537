"""The Python environment of a trial: one with the packages of the image, or this process's own Python."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from manifestgen.cloud import Services
from manifestgen.context.environment import HERE, environment, environments_folder, header, python_exists
from manifestgen.context.make import choose
from manifestgen.context.packages import chosen, write_lock
from manifestgen.context.requirements import CondaError, Requirements, placed, read_requirements
from manifestgen.context.uv import NoWheelError, PythonUnavailableError
from manifestgen.errors import CloudError, InputError, ManifestgenError
from manifestgen.files import write_atomic
from manifestgen.project.app import app_files, imports_of
from manifestgen.project.builders import builds_from_context
from manifestgen.project.load import Project
from manifestgen.project.pending import work_folder

_KEPT: Final = "test.lock"


class UntestableError(InputError):
    """The model cannot be tested on this machine; its image may still be fine.

    Attributes:
        reason: why not.
    """

    def __init__(self, reason: str, *, where: str, detail: tuple[str, ...]) -> None:
        """See `ManifestgenError`."""
        super().__init__(
            f"cannot be tested on this machine: {reason}",
            where=where,
            fix="install the packages in a Python of your own, and run 'manifestgen test --here' with it",
            detail=detail,
        )
        self.reason = reason


@dataclass(frozen=True)
class Setting:
    """The Python environment of a trial.

    Attributes:
        python: the interpreter.
        file: that lists the packages; None if nothing was installed.
        lock: text of the requirements lock; empty in this process's own Python.
        wanted: version of Python in the image; empty if the project names none.
        notes: differences from the image.
    """

    python: Path
    file: Path | None = None
    lock: str = ""
    wanted: str = ""
    notes: tuple[str, ...] = ()

    def version_of(self, package: str) -> str:
        """The version of a package in it; empty if that is unknown."""
        found = re.search(rf"(?m)^{re.escape(package)}==([^\s;]+)", self.lock)
        return found[1] if found else ""


def this_python() -> Setting:
    """The Python that runs this process, with whatever is installed in it."""
    return Setting(Path(sys.executable))


def setting(
    project: Project, script: Path, model: Path | None, services: Services, report: Callable[[str], None]
) -> Setting:
    """An environment with the packages of the project's image, created if necessary.

    Args:
        script: the entry script.
        model: the model's file or folder; MLflow's lists its packages.
        services: asked which Python a base image of the user's own has.
        report: called before steps that take a while.

    Raises:
        InputError: the requirements are wrong: a package does not exist, versions conflict, no such Python.
        UntestableError: they may be right, but cannot be installed here.
        CloudError: the package index could not be reached.
    """
    image = project.image
    if image is None:
        raise ValueError("the project builds no image")
    from_context = builds_from_context(image)
    files = app_files(script)
    try:
        needed = read_requirements(image, model, imports_of(files))
        _require_python(needed)
        if from_context:
            recipe = choose(project, services, model, report)
            if recipe.lock:
                write_lock(project, recipe.lock)
            found = _Wanted(project, recipe.requirements, recipe.python or HERE, recipe.lock)
        else:
            found = _Wanted(project, needed, needed.python or HERE, "")
        return found.made(report)
    except CondaError as error:
        if from_context:
            raise
        raise _untestable(error, "conda installs it in the image") from error
    except NoWheelError as error:
        if from_context:
            raise
        raise _untestable(error, "in the image it may be built from its source") from error


@dataclass(frozen=True)
class _Wanted:
    """The packages that an environment is made from.

    Attributes:
        python: version of Python in the image.
        lock: of the image; empty to choose versions now.
    """

    project: Project
    needed: Requirements
    python: str
    lock: str

    def made(self, report: Callable[[str], None]) -> Setting:
        notes = [] if self.needed.python or self.lock else [f"no Python is named: tested with {HERE}"]
        lock, note = (self.lock, "") if self.lock else self._chosen(self.python, report)
        notes += filter(None, [note])
        try:
            python = self._installed(lock, self.python, report)
        except PythonUnavailableError as error:
            notes.append(f"tested with Python {HERE}: {error.what}, and the image has Python {error.version}")
            lock, _ = self._chosen(HERE, report)
            python = self._installed(lock, HERE, report)
        return Setting(python, self.needed.file, lock, self.needed.python, tuple(notes))

    def _installed(self, lock: str, python: str, report: Callable[[str], None]) -> Path:
        source = self._source
        report(f"testing with the packages in {source.name}, Python {python}")
        try:
            return environment(lock, python=python, folder=environments_folder(), where=str(source))
        except NoWheelError as error:
            raise _untestable(error, "the image has another platform") from error
        except InputError as error:
            raise placed(error, source) from error.__cause__

    def _chosen(self, python: str, report: Callable[[str], None]) -> tuple[str, str]:
        """The newly resolved lock; without an index, the one of the last test, with a note."""
        source, kept = self._source, work_folder(self.project.root) / _KEPT
        begin = header(python, " ".join(self.needed.lines))
        report(f"choosing versions of the packages in {source.name}")
        try:
            lock = begin + chosen(self.needed, python, ("linux/amd64",), source)
        except CloudError as error:
            if kept.is_file() and (text := kept.read_text("utf-8")).startswith(begin):
                return text, f"tested with the versions of the last time: {error.what}"
            raise
        write_atomic(kept, lock)
        return lock, ""

    @property
    def _source(self) -> Path:
        return self.needed.file or self.project.path


def _require_python(needed: Requirements) -> None:
    """Raise InputError if the requirements name a Python that does not exist, which uv would blame on packages."""
    version = needed.python
    if not version or python_exists(version):
        return
    line = _line(needed.file, r"^\s*-?\s*[\"']?python\b") if needed.file is not None else ""
    raise InputError(
        f"there is no Python {version}",
        where=f"{needed.file}{line}",
        fix="name a version that exists, such as python=3.12, or update uv if it is a new one",
    )


def _line(file: Path, pattern: str) -> str:
    """`:LINE` of the first line that has a pattern; empty if none has."""
    lines = file.read_text("utf-8", "replace").splitlines()
    return next((f":{number}" for number, line in enumerate(lines, 1) if re.search(pattern, line)), "")


def _untestable(error: ManifestgenError, why: str) -> UntestableError:
    return UntestableError(f"{error.what}; {why}", where=error.where, detail=error.detail)
