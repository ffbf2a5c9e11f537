"""An image's packages from PyPI, read from a conda file, requirements.txt, pyproject.toml or an MLflow model.

Packages are taken from PyPI. Conda packages are taken from there by the same name; those that have another name there,
or none, are an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.project import source
from manifestgen.project.sections import Image

#: The runner's own requirements.
RUNNER_NEEDS: Final = "paho-mqtt>=2"
# Servers that the runner takes the place of; with them an image of 260 MiB has 600.
_SERVERS: Final = frozenset({"azureml-defaults", "azureml-inference-server-http"})
# In every base image, or of no use in one.
_TOOLS: Final = frozenset({"python", "pip"})
# Conda packages with another name on PyPI, or with none.
_OTHER_NAMES: Final = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "tensorflow-base": "tensorflow",
    "matplotlib-base": "matplotlib",
    "pytables": "tables",
    "msgpack-python": "msgpack",
    "ruamel_yaml": "ruamel.yaml",
    "protobuf-python": "protobuf",
    "cudatoolkit": "",
    "cudnn": "",
    "libgcc": "",
    "libgcc-ng": "",
    "libstdcxx-ng": "",
    "libblas": "",
    "openblas": "",
    "blas": "",
    "gcc_linux-64": "",
    "gxx_linux-64": "",
    "openssl": "",
    "ca-certificates": "",
    "nodejs": "",
}
_CONDA: Final = re.compile(
    r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<version>(?:[=<>!~]=?|\s)[^\s].*)?", re.ASCII
)
_NAME: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_PYTHON: Final = re.compile(r"(\d+\.\d+)")


class CondaError(InputError):
    """A conda package that cannot be taken from PyPI."""


@dataclass(frozen=True)
class Requirements:
    """The requirements of an image.

    Attributes:
        file: where it is written; None if nothing is needed.
        lines: as in a requirements.txt, without those of the file that uv reads itself (`include`).
        include: a requirements.txt or pyproject.toml that uv reads.
        python: version of Python that the file names, such as `3.11`; empty if it names none.
        notes: what was changed, for the user.
    """

    file: Path | None = None
    lines: tuple[str, ...] = (RUNNER_NEEDS,)
    include: Path | None = None
    python: str = ""
    notes: tuple[str, ...] = field(default=())


def mlflow_file(model: Path | None) -> Path | None:
    """The file in an MLflow model's folder that lists its requirements; None if it is not such a folder."""
    if model is None or not (model / "MLmodel").is_file():
        return None
    return next((model / name for name in ("requirements.txt", "conda.yaml") if (model / name).is_file()), None)


def read_requirements(image: Image, model: Path | None, imported: frozenset[str]) -> Requirements:
    """The requirements of a project's image.

    Args:
        image: section of the project file.
        model: the model's file or folder; an MLflow model brings its requirements if the section names none.
        imported: top-level modules that the entry script and its modules import.

    Raises:
        InputError: the file is missing or invalid, or names what cannot be taken from PyPI; with file and line.
    """
    file = image.conda_file or image.requirements or mlflow_file(model)
    if file is None:
        if image.own:
            return Requirements()
        raise InputError(
            "image has neither requirements nor conda_file",
            where="image",
            fix="add 'requirements: requirements.txt' under 'image'; the file may be empty",
        )
    if file.suffix in (".yml", ".yaml"):
        found = of_conda(file, imported)
    elif file.suffix == ".toml":
        read_text(file, "pyproject.toml", fix="create it or correct image.requirements")
        found = Requirements(file, include=file)
    else:
        found = _of_text(file, imported)
    return found if found.python else _with_python(found, _mlflow_python(model))


def _with_python(found: Requirements, python: str) -> Requirements:
    return Requirements(found.file, found.lines, found.include, python, found.notes)


def _mlflow_python(model: Path | None) -> str:
    """The version of Python in an MLflow model's python_env.yaml."""
    file = model / "python_env.yaml" if model is not None and (model / "MLmodel").is_file() else None
    if file is None or not file.is_file():
        return ""
    found = re.search(r"(?m)^python:\s*['\"]?(\d+\.\d+)", read_text(file, "python_env.yaml"))
    return found[1] if found else ""


def placed(error: InputError, file: Path | None) -> InputError:
    """An error about packages, with the line of the file that names the first of them."""
    if file is None or error.where != str(file) or not file.is_file():
        return error
    text = read_text(file, "requirements file")
    for number, line in enumerate(text.splitlines(), 1):
        name = _name(line.strip().removeprefix("-").lstrip(" \"'"))
        if len(name) > 1 and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", _normal(error.what)):
            error.where = f"{file}:{number}"
            break
    return error


def _normal(text: str) -> str:
    return re.sub(r"[-_]+", "-", text).lower()


def _of_text(file: Path, imported: frozenset[str]) -> Requirements:
    """A requirements.txt. uv reads it; here is only looked for what it would not say well."""
    text = read_text(file, "requirements file", fix="create it or correct image.requirements")
    dropped = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split(" #")[0].strip()
        _reject_local(content, f"{file}:{number}")
        if _is_server(content, imported):
            dropped.append(_name(content))
    if not dropped:
        return Requirements(file, include=file)
    kept = tuple(line for line in text.splitlines() if not _is_server(line, imported))
    return Requirements(file, (*_without_comments(kept), RUNNER_NEEDS), notes=tuple(map(_dropped, dropped)))


def _without_comments(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        content = line.split(" #")[0].strip()
        if content and not content.startswith("#"):
            yield content


def of_conda(file: Path, imported: frozenset[str]) -> Requirements:
    """The requirements in a conda file, see `read_requirements`."""
    text = read_text(file, "conda file", fix="create it or correct image.conda_file", limit=source.MAX_BYTES)
    document = source.parse(text, str(file))
    entries: Any = document.data.get("dependencies") if isinstance(document.data, dict) else None
    lines: list[str] = []
    notes: list[str] = []
    python, taken = "", []
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            pip = entry.get("pip")
            for place, item in enumerate(pip if isinstance(pip, list) else []):
                content = str(item).strip()
                _reject_local(content, document.where(("dependencies", index, "pip", place)))
                if _is_server(content, imported):
                    notes.append(_dropped(_name(content)))
                else:
                    lines.append(content)
            continue
        where = document.where(("dependencies", index))
        name, version = _conda_package(str(entry), where)
        if name == "python":
            named = _PYTHON.search(version)
            python = named[1] if named else ""
        elif name not in _TOOLS:
            lines.append(f"{name}{version}")
            taken.append(name)
    if taken:
        notes.append(f"taken from PyPI instead of conda: {', '.join(taken)}")
    return Requirements(file, (*lines, RUNNER_NEEDS), python=python, notes=tuple(notes))


def _conda_package(text: str, where: str) -> tuple[str, str]:
    """Name and version of a conda package, the version as pip writes it.

    https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
    """
    match = _CONDA.fullmatch(text.strip())
    if match is None:
        fix = "write 'NAME' or 'NAME=VERSION'"
        raise InputError(f"{text!r} is not a conda package", where=where, fix=fix)
    name, version = match["name"].lower(), match["version"] or ""
    if re.match(r"\s+\d", version):
        version = f"=={version.strip()}"  # after a blank it is exact
    version = version.strip()
    other = _OTHER_NAMES.get(name)
    if other is not None:
        what = f"conda package {name!r} is called {other!r} on PyPI, and packages are taken from there"
        if not other:
            what = f"{name!r} is a conda package only, and packages are taken from PyPI"
        fix = f"list {other} under pip instead" if other else "remove it"
        raise CondaError(
            what,
            where=where,
            fix=f"{fix}, or use builder package, which installs conda packages",
        )
    return name, _pip_version(version, text, where)


def _pip_version(version: str, text: str, where: str) -> str:
    if not version:
        return ""
    if "|" in version:
        fix = "name one version, or a range such as '>=1,<2'"
        raise CondaError(f"{text!r} names alternatives, which PyPI's packages cannot", where=where, fix=fix)
    if version[0] in "<>!~":
        return ",".join(part.strip() for part in version.split(","))
    number = version.lstrip("= ").replace(" ", "=").partition("=")[0]
    exact = version.startswith("==") or number.endswith("*") or " " in version
    # One '=' is a prefix for conda: 1.26 takes 1.26.4 too.
    return f"=={number}" if exact else f"=={number}.*"


def _reject_local(line: str, where: str) -> None:
    option = re.match(r"(-e|--editable)\b", line)
    if option or re.match(r"(\.|/|~|file:)", line):
        raise InputError(
            f"{line!r} is on this machine only, so an image cannot be built from it again",
            where=where,
            fix="put the modules beside the entry script, or publish the package to an index",
        )
    if re.search(r"(^|\s|@\s*)(git|hg|svn|bzr)\+", line):
        raise InputError(
            f"{line!r} would have to be built, which runs its code, and only wheels are used",
            where=where,
            fix="name a released version, or publish a wheel to an index",
        )


def _is_server(line: str, imported: frozenset[str]) -> bool:
    """Whether a requirement is a server that the runner replaces, and that the script does not import itself."""
    return _name(line) in _SERVERS and not imported & {"azureml"}


def _name(line: str) -> str:
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def _dropped(name: str) -> str:
    return f"left out {name}: the runner takes the place of its server"
