"""The images of a solution's modules as entries of `modules:` in a project file."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from manifestgen.credentials.azure_registry import is_azure
from manifestgen.importing.item import Notes
from manifestgen.manifest.image import registry_host
from manifestgen.manifest.pointer import escape, unescape
from manifestgen.manifest.secrecy import holds_secret
from manifestgen.project.modules import RESERVED
from manifestgen.project.sections import IMAGE_NAME, MODULE_NAME, NONE
from manifestgen.project.yaml_text import Reference
from manifestgen.secret import Secret
from manifestgen.solution.expansion import IMAGE, Kind
from manifestgen.solution.generate import Text, texts
from manifestgen.solution.module_json import ModuleFolder
from manifestgen.solution.solution import DEBUG, PLATFORMS, Solution

_DOCKER_HUB: Final = "docker.io"


class Entry(Struct, frozen=True):
    """An entry of `modules:`.

    Attributes:
        name: its key.
        image: the section `image`, as plain data.
    """

    name: str
    image: dict[str, Any]


class Images(Struct, frozen=True):
    """The images that a template uses.

    Attributes:
        entries: of `modules:`, in the order of the template.
        names: entry by the key of a placeholder, such as `MODULES.f.amd64`. A key without one keeps its text.
        open: folder by the key, where the image's name has placeholders without a value.
    """

    entries: tuple[Entry, ...]
    names: dict[str, str]
    open: dict[str, ModuleFolder]


class _Use(Struct):
    """How a template uses a module's folder, debug images apart."""

    module: ModuleFolder
    debug: bool
    keys: dict[str, None] = {}
    platforms: dict[str, None] = {}
    usual: bool = False
    modules: dict[str, None] = {}


def images_of(
    solution: Solution, root: Path, notes: Notes, *, platform: str, builder: str | None, debug: bool
) -> Images:
    """The images that a template uses, as a project builds them.

    Args:
        solution: the template and its modules.
        root: folder of the project file.
        notes: what is lost, such as images for Windows.
        platform: the tool's, for `builder: none`, which takes the tool's own image.
        builder: `acr`, `local` or `none`; None to choose by the registry.
        debug: whether placeholders without a platform mean debug images.
    """
    entries: list[Entry] = []
    names: dict[str, str] = {}
    unnamed: dict[str, ModuleFolder] = {}
    taken: set[str] = set()
    for use in _uses(solution, notes, debug=debug):
        if use.module.unresolved:
            first = use.module.unresolved[0]
            what = f"the build of module folder {use.module.name!r}"
            why = f"{first.text} in its module.json has no value, so the image is named by variables"
            notes.lose(what, why, f"add '{first.name}=…' to .env, and import again", first.where)
            unnamed.update(dict.fromkeys(use.keys, use.module))
            continue
        image = _image(use, solution, root, notes, platform, builder)
        name = _name(use, taken)
        taken.add(name.lower())
        _part(image, name, entries, use, notes)
        entries.append(Entry(name, image))
        names.update(dict.fromkeys(use.keys, name))
    return Images(tuple(entries), names, unnamed)


def _part(image: dict[str, Any], name: str, others: Sequence[Entry], use: _Use, notes: Notes) -> None:
    """Give an image its own repository: the tool tells images apart by tag, manifestgen by repository."""
    place = ("registry", "name")
    if "name" not in image or all(
        [other.image.get(key) for key in place] != [image[key] for key in place] for other in others
    ):
        return
    before = image["name"]
    image["name"] = f"{before}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"
    if use.debug:
        image["name"] = f"{before}-debug"
    notes.lose(f"repository {before!r} for module {name!r}", f"another image has it, so this one is {image['name']!r}")


def _uses(solution: Solution, notes: Notes, *, debug: bool) -> list[_Use]:
    uses: dict[tuple[Path, bool], _Use] = {}
    every = {f"{prefix}.{name}" for prefix, module in solution.modules.items() for name in module.dockerfiles}
    keys = dict.fromkeys([*every, *solution.modules, *(f"{prefix}{DEBUG}" for prefix in solution.modules)], "")
    for text in texts(solution, keys):
        for key in _keys(text):
            found = solution.module_of(key)
            if found is None:
                continue
            prefix, module = found
            rest = key.removeprefix(prefix).lstrip(".")
            is_debug = rest.endswith("debug") if rest else debug
            if not _has(module, rest, is_debug):
                where = module.file.where("/image/tag/platforms")
                why = f"module.json has no such platform, only {', '.join(module.dockerfiles) or 'none'}"
                notes.lose(f"image ${{{key}}}", why, "add the platform to module.json, and import again", where)
                continue
            use = uses.setdefault((module.folder.resolve(), is_debug), _Use(module, is_debug))
            use.keys[key] = None
            named = rest.removesuffix("debug").rstrip(".")
            if named:
                use.platforms[named] = None
            else:
                use.usual = True
            if owner := _owner(text.pointer):
                use.modules[owner] = None
    return list(uses.values())


def _has(module: ModuleFolder, named: str, debug: bool) -> bool:
    """Whether a module has an image for what a placeholder names: a platform, `debug` or nothing."""
    if named not in ("", "debug"):
        return named in module.dockerfiles
    return any(name.endswith(DEBUG) == debug for name in module.dockerfiles)


def _keys(text: Text) -> Iterator[str]:
    for piece in text.pieces:
        if piece.kind is Kind.IMAGE:
            yield piece.name
        else:
            yield from IMAGE.findall(piece.text)


def _owner(pointer: str) -> str:
    """The module whose image is at a pointer; empty if it is something else."""
    match = re.fullmatch(r".*?modules[./]([^/]+)/settings/image", pointer, re.DOTALL)
    return unescape(match[1]) if match else ""


def _name(use: _Use, taken: set[str]) -> str:
    """The key of an entry: the module's own name if one module has the image, else the folder's."""
    folder = re.sub(r"[^A-Za-z0-9_-]+", "-", use.module.folder.resolve().name).strip("-_") or "module"
    wanted = [*use.modules] if len(use.modules) == 1 else []
    for name in (*wanted, folder, f"{folder}-{'debug' if use.debug else 'module'}"):
        if re.fullmatch(MODULE_NAME, name) and name.lower() not in (*taken, *RESERVED):
            return name
    number = 2
    while f"{folder}-{number}".lower() in taken:
        number += 1
    return f"{folder}-{number}"


def _image(
    use: _Use, solution: Solution, root: Path, notes: Notes, platform: str, builder: str | None
) -> dict[str, Any]:
    module = use.module
    host, name = _split_repository(module.repository)
    chosen = builder or ("acr" if is_azure(host) else "local")
    files = _dockerfiles(use, notes)
    elsewhere = chosen == NONE
    if not elsewhere and not files:
        why = "none of its Dockerfiles is there for a Linux platform, so it has to be built elsewhere"
        notes.lose(f"the build of module folder {module.name!r}", why, "add a Dockerfile, and import again")
        elsewhere = True
    if not elsewhere and not re.fullmatch(IMAGE_NAME, name):
        why = f"{name!r} is not a name that a registry accepts"
        notes.lose(f"the build of module folder {module.name!r}", why, "correct the repository in its module.json")
        elsewhere = True
    if elsewhere:
        return {"builder": NONE, "reference": _reference(use, solution, platform)}
    image: dict[str, Any] = {"builder": chosen, "name": name, "registry": host}
    paths = {one: _relative(module.folder / file, root) for one, file in files.items()}
    if len(set(paths.values())) == 1:
        image |= {"dockerfile": next(iter(paths.values())), "platforms": list(paths)}
    else:
        image["dockerfiles"] = paths
    context = module.folder / module.context if module.context else module.folder
    if any((module.folder / file).parent.resolve() != context.resolve() for file in files.values()):
        image["context"] = _relative(context, root)
    if arguments := _build_args(module, notes):
        image["build_args"] = arguments
    return image


def _reference(use: _Use, solution: Solution, platform: str) -> str:
    """The image that the tool names for the chosen platform, or for the first that the module has."""
    usual = next(iter(use.platforms), platform) if not use.usual else platform
    wanted = usual + DEBUG if use.debug else usual
    name = wanted if wanted in use.module.dockerfiles else next(iter(use.module.dockerfiles), wanted)
    return use.module.reference(name, lower=solution.profile == "iotedgedev")


def _split_repository(repository: str) -> tuple[str, str]:
    """Registry host and name of a repository; Docker Hub is `docker.io`."""
    first, slash, rest = repository.partition("/")
    if slash and (registry_host(repository) == first or first.lower() == "localhost"):
        return first.lower(), rest.lower()
    return _DOCKER_HUB, repository.lower()


def _dockerfiles(use: _Use, notes: Notes) -> dict[str, str]:
    """Dockerfile, relative to the module's folder, by platform."""
    module = use.module
    found: dict[str, str] = {}
    for name, file in module.dockerfiles.items():
        plain = name.removesuffix(DEBUG)
        if name.endswith(DEBUG) != use.debug or (not use.usual and plain not in use.platforms):
            continue
        where = module.file.where(f"/image/tag/platforms/{escape(name)}")
        if PLATFORMS.get(plain) is None:
            why = "manifestgen builds for Linux" if plain in PLATFORMS else "it names no platform of Linux"
            notes.lose(f"platform {name!r} of module folder {module.name!r}", why, "", where)
        elif not (module.folder / file).is_file():
            why = f"its Dockerfile {file} is not there"
            notes.lose(f"platform {name!r} of module folder {module.name!r}", why, "add it, and import again", where)
        else:
            found[str(PLATFORMS[plain])] = file
    return found


def _build_args(module: ModuleFolder, notes: Notes) -> dict[str, str]:
    found: dict[str, str] = {}
    where = module.file.where("/image/buildOptions")
    try:
        words = [word for option in module.build_options for word in shlex.split(option)]
    except ValueError:
        notes.lose(f"buildOptions of module folder {module.name!r}", "a quotation mark is not closed", "", where)
        return found
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name == "--build-arg" and not equals and words:
            value = words.pop(0)
        elif name != "--build-arg" or not equals:
            if words and not equals and not words[0].startswith("-"):
                words.pop(0)
            why = "only --build-arg is carried over"
            notes.lose(f"build option {name!r} of module folder {module.name!r}", why, "", where)
            continue
        key, given, text = value.partition("=")
        secret = given and (holds_secret(key, text) or any(one and one.reveal() in text for one in module.secrets))
        if secret:
            Secret(text)
            why = "it looks like a secret, and an image keeps its build arguments"
            notes.supply(f"build argument {key}", why, f"set the environment variable {key}", where)
        found[key] = text if given and not secret else Reference(f"${{env:{key}}}")
    return found


def _relative(path: Path, root: Path) -> str:
    """A path as the project file has it."""
    try:
        return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
    except ValueError:
        return str(path.resolve())  # on another drive
