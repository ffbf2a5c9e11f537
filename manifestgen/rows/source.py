"""The source of the manifests of rows: a template, and the values that all rows share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifestgen.errors import InputError
from manifestgen.project.load import Project, load
from manifestgen.project.sections import ManifestSection
from manifestgen.render import Template, base_of, load_template, locks_of
from manifestgen.render.context import OF_MODULES


@dataclass(frozen=True)
class Source:
    """The source of manifests.

    Attributes:
        name: of the template, or its path relative to `root`.
        base: the shared values, see `render.base_of`.
        hash: SHA-256 of the template's text and of those that it names, hex digest.
    """

    project: Project | None
    name: str
    root: Path
    template: Template
    base: Mapping[str, Any]
    hash: str


def is_project(file: Path) -> bool:
    """Whether rows come from a project, rather than from a template alone."""
    return file.is_dir() or file.suffix in (".yaml", ".yml")


def source_of(file: Path, here: Project | None = None) -> Source:
    """The source for a project, or for the name or path of a template.

    Args:
        file: a project file or folder, or a template.
        here: the project whose values and image a template on its own uses.

    Raises:
        InputError: it is a manifest, or cannot be read.
    """
    if is_project(file):
        project = load(file)
        name = (project.manifest or ManifestSection()).template
        return _loaded(project, name, project.root)
    if file.suffix == ".json":
        raise InputError(
            "this is a manifest, the same for every device",
            where=str(file),
            fix="give a template (.json.j2) or a project; for one manifest and many devices use "
            "'manifestgen apply FILE --deployment NAME'",
        )
    return _loaded(here, str(file), Path())


def _loaded(project: Project | None, name: str, root: Path) -> Source:
    template = load_template(name, root)
    locks = locks_of(project) if project is not None else {}
    return Source(project, name, root, template, base_of(project, locks), _hash_of(template))


def load_again(name: str, root: Path, hash_: str) -> Template:
    """The template of a `Source`, in another process.

    Raises:
        InputError: it cannot be loaded, or has changed.
    """
    template = load_template(name, root)
    if _hash_of(template) != hash_:
        raise InputError("the template was changed while it was read", where=name, fix="run the same command again")
    return template


def names_in(template: Template) -> frozenset[str] | None:
    """The names that a template and its parts look up; None if they cannot be determined."""
    from jinja2.meta import find_undeclared_variables

    names: set[str] = set()
    for source in template.sources():
        if source is None:
            return None
        names |= find_undeclared_variables(source[1])
    return frozenset(names | (OF_MODULES if "modules" in names else frozenset()))


def _hash_of(template: Template) -> str:
    digest = hashlib.sha256()
    for source in template.sources():
        text = b"" if source is None else source[0].encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()
