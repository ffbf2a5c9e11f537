"""The manifest that the tool makes of a solution."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest import create_options
from manifestgen.manifest.dump import compact
from manifestgen.manifest.pointer import escape, split
from manifestgen.manifest.unfilled import find
from manifestgen.solution.expansion import IMAGE, Kind, Piece, pieces
from manifestgen.solution.module_json import Unresolved
from manifestgen.solution.solution import DEBUG, Solution

#: Characters of a chunk of createOptions, and how many chunks the tools write.
CHUNK: Final = 512
_CHUNKS: Final = 8
OPTIONS: Final = "createOptions"


class Text(Struct, frozen=True):
    """A text of a template, in pieces.

    Attributes:
        pointer: JSON Pointer to the value, or to what the key leads to.
        is_key: whether it is the key.
    """

    pointer: str
    is_key: bool
    pieces: list[Piece]


class Generated(Struct, frozen=True):
    """A manifest.

    Attributes:
        content: as the tool writes it.
        unresolved: placeholders that have no value; they stay in it.
        secrets: names of the variables with a secret that are in it.
    """

    content: dict[str, Any]
    unresolved: tuple[Unresolved, ...]
    secrets: tuple[str, ...]


def generate(
    solution: Solution,
    platform: str = "amd64",
    *,
    debug: bool = False,
    keep: Callable[[str], bool] = lambda name: False,
) -> Generated:
    """Make the manifest of a solution.

    Args:
        solution: the template and what is beside it.
        platform: for image placeholders that name none.
        debug: whether those mean the platform's debug image.
        keep: names of variables whose placeholders stay, such as secrets.

    Raises:
        InputError: a module's createOptions are longer than the tool takes, or a module has no image for the platform.
    """
    images = solution.images(platform, debug=debug)
    check_platform(solution, images, platform + DEBUG if debug else platform)
    secrets: dict[str, None] = {}

    def replaced(text: Text) -> str:
        kept = [piece for piece in text.pieces if piece.kind is Kind.VARIABLE and keep(piece.name)]
        for piece in text.pieces:
            variable = solution.env.variables.get(piece.name) if piece.kind is Kind.VARIABLE else None
            if variable is not None and variable.secret and piece not in kept:
                secrets[piece.name] = None
        return "".join(piece.text if piece in kept else piece.result for piece in text.pieces)

    content = rewritten(solution, images, replaced)
    options = _vscode_options if solution.profile == "vscode" else _iotedgedev_options
    for base, name, settings in module_settings(content):
        options(name, settings, partial(solution.template.where, f"{base}/settings/{OPTIONS}", key=True))
    found = [one for one in unresolved(solution, images) if not keep(one.name)]
    return Generated(content, tuple(found), tuple(secrets))


def rewritten(solution: Solution, images: Mapping[str, str], write: Callable[[Text], str]) -> dict[str, Any]:
    """The template's content with every key and text rewritten, since the tool renames and drops keys."""
    content: dict[str, Any] = _rewritten(solution, images, solution.template.data, "", write)
    return _renamed(content)


def _renamed(content: dict[str, Any]) -> dict[str, Any]:
    result = {
        "modulesContent" if key == "moduleContent" and "modulesContent" not in content else key: value
        for key, value in content.items()
        if key != "$schema-template"
    }
    inner = result.get("content")
    if isinstance(inner, dict) and "modulesContent" not in result:
        result["content"] = _renamed(inner)
    return result


def _rewritten(
    solution: Solution, images: Mapping[str, str], value: Any, pointer: str, write: Callable[[Text], str]
) -> Any:
    if isinstance(value, str):
        return write(Text(pointer, False, _cut(solution, images, value, pointer)))
    if isinstance(value, list):
        return [_rewritten(solution, images, item, f"{pointer}/{index}", write) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        below = f"{pointer}/{escape(key)}"
        name = key if key == "$schema-template" else write(Text(below, True, _cut(solution, images, key, "")))
        result[name] = _rewritten(solution, images, item, below, write)
    return result


def _cut(solution: Solution, images: Mapping[str, str], text: str, pointer: str) -> list[Piece]:
    is_image = pointer.endswith("/settings/image") and "/modules" in pointer
    return pieces(text, images, solution.lookup, solution.profile, is_image=is_image)


def texts(solution: Solution, images: Mapping[str, str]) -> Iterator[Text]:
    """Every key and text of a template, in the order of the file."""
    found: list[Text] = []

    def note(text: Text) -> str:
        found.append(text)
        return "".join(piece.text for piece in text.pieces)

    _rewritten(solution, images, solution.template.data, "", note)
    yield from found


def unresolved(solution: Solution, images: Mapping[str, str]) -> Iterator[Unresolved]:
    """The placeholders that have no value, in the order of the file; then those of the images that it uses.

    Placeholders are recognized as by `check`: a dollar in a shell command, or in a route, is not one.
    """
    known: dict[tuple[str, bool], set[str]] = {}
    for one in find(solution.template.data):
        known.setdefault((one.pointer, one.at_key), set()).add(one.text)
    used: dict[str, None] = {}
    for text in texts(solution, images):
        used.update({piece.name: None for piece in text.pieces if piece.kind is Kind.IMAGE})
        there = known.get((text.pointer, text.is_key), set())
        for piece in text.pieces if there else ():
            found = [(piece.text, 0, piece.name)] if piece.kind is Kind.VARIABLE and piece.value is None else []
            if piece.kind is Kind.TEXT:
                found = [(match[0], match.start(), "") for match in IMAGE.finditer(piece.text)]
            for placeholder, start, name in found:
                if placeholder in there:
                    where = solution.template.where(text.pointer, key=text.is_key, index=piece.start + start)
                    yield Unresolved(placeholder, where, name)
    for prefix, module in solution.modules.items():
        if any(key == prefix or key.startswith(f"{prefix}.") for key in used):
            yield from module.unresolved


def in_shell(solution: Solution, pointer: str) -> bool:
    """Whether a text is what a shell in the container reads."""
    head, _, _ = pointer.rpartition("/")
    if head.rpartition("/")[2].lower() not in ("cmd", "entrypoint"):
        return False
    command: Any = solution.template.data
    for key in split(head):
        command = command.get(key) if isinstance(command, dict) else None
    return isinstance(command, list) and "-c" in command


def check_platform(solution: Solution, images: Mapping[str, str], platform: str) -> None:
    """Raise InputError if a placeholder names a module that has no Dockerfile for the platform."""
    for text in texts(solution, images):
        whole = "".join(piece.text for piece in text.pieces)
        for match in IMAGE.finditer(whole):
            module = solution.module_of(match[1])
            if module is None or match[1] in images:
                continue
            wanted = match[1].removeprefix(module[0]).lstrip(".") or platform
            wanted = platform.removesuffix(DEBUG) + DEBUG if wanted == DEBUG[1:] else wanted
            raise InputError(
                f"module {module[1].name!r} has no Dockerfile for platform {wanted!r}; it has "
                f"{', '.join(module[1].dockerfiles) or 'none'}",
                where=module[1].file.where("/image/tag/platforms"),
                fix="add it to module.json",
                options=("choose another platform with --platform",),
            )


def module_settings(content: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Pointer, name and `settings` of each module, system modules included; whole manifests and layers."""
    base = "/content" if isinstance(content.get("content"), dict) and "modulesContent" not in content else ""
    inner = content["content"] if base else content
    for key in ("modulesContent", "moduleContent"):
        agent = inner.get(key, {}).get("$edgeAgent") if isinstance(inner.get(key), dict) else None
        if isinstance(agent, dict):
            yield from _of_agent(agent, f"{base}/{key}/$edgeAgent")


def _of_agent(agent: dict[str, Any], base: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    desired = "properties.desired"
    for key, value in agent.items():
        if not isinstance(value, dict):
            continue
        path = key.removeprefix(desired).removeprefix(".").split(".") if key.startswith(desired) else []
        below = f"{base}/{escape(key)}"
        if path == [""]:
            for group in ("systemModules", "modules"):
                yield from _of_modules(value.get(group), f"{below}/{group}")
        elif len(path) == 1 and path[0] in ("systemModules", "modules"):
            yield from _of_modules(value, below)
        elif len(path) == 2 and path[0] in ("systemModules", "modules"):
            yield from _of_modules({path[1]: value}, below, at=below)


def _of_modules(modules: Any, base: str, at: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, module in modules.items() if isinstance(modules, dict) else ():
        settings = module.get("settings") if isinstance(module, dict) else None
        if isinstance(settings, dict):
            yield at or f"{base}/{escape(name)}", name, settings


def _vscode_options(name: str, settings: dict[str, Any], where: Callable[[], str]) -> None:
    value = settings.get(OPTIONS)
    if value not in (None, "", False, 0):  # the extension leaves alone what is false in JavaScript
        _put(name, settings, options_text(settings) if isinstance(value, str) else compact(value), where)


def _iotedgedev_options(name: str, settings: dict[str, Any], where: Callable[[], str]) -> None:
    if OPTIONS in settings:
        value = settings[OPTIONS]
        text = options_text(settings) if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        _put(name, settings, text, where)


def options_text(settings: Mapping[str, Any]) -> str:
    """The createOptions that are written as a text: with its numbered chunks, unless it is complete without them."""
    text: str = settings[OPTIONS]
    try:
        json.loads(text)
    except ValueError:
        try:
            return create_options.join(settings)
        except create_options.ChunkError:
            pass
    return text


def _put(name: str, settings: dict[str, Any], text: str, where: Callable[[], str]) -> None:
    """Put createOptions as text, in chunks, in the place of what was there; numbered chunks of before are dropped."""
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)] or [""]
    if len(chunks) > _CHUNKS:
        what = f"createOptions of {name!r} have {len(text)} characters; the tool takes up to {CHUNK * _CHUNKS}"
        fix = "shorten them, or import a project: 'manifestgen render' writes longer ones in chunks"
        raise InputError(what, where=where(), fix=fix)
    written = {f"{OPTIONS}{number:02d}" if number else OPTIONS: chunk for number, chunk in enumerate(chunks)}
    kept = list(settings.items())
    settings.clear()
    for key, value in kept:
        if key == OPTIONS:
            settings.update(written)
        elif not key.lower().startswith(OPTIONS.lower()):
            settings[key] = value
