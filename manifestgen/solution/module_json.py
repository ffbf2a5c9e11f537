"""A `module.json`: how the tool builds and names the image of a module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.manifest.pointer import escape
from manifestgen.secret import Secret
from manifestgen.solution.expansion import Lookup, Piece, pieces
from manifestgen.solution.json_file import JsonFile, read_json

FILE_NAME = "module.json"


class Unresolved(Struct, frozen=True):
    """A placeholder that has no value.

    Attributes:
        text: as it is written.
        where: `FILE:LINE:COLUMN`.
        name: of the variable; empty if it is an image's.
    """

    text: str
    where: str
    name: str = ""


class ModuleFolder(Struct, frozen=True):
    """A folder with a `module.json`.

    Attributes:
        name: of the folder.
        file: its `module.json`.
        repository: of the image, with its registry, expanded.
        version: of the image, expanded.
        dockerfiles: Dockerfile by the tool's platform, such as `arm32v7`, relative to the folder.
        build_options: options for `docker build`.
        context: path of the build context relative to the folder; empty for the folder itself.
        unresolved: placeholders in repository and version that have no value.
        secrets: that its texts may have from variables.
    """

    name: str
    file: JsonFile
    folder: Path
    repository: str
    version: str
    dockerfiles: dict[str, str]
    build_options: tuple[str, ...] = ()
    context: str = ""
    unresolved: tuple[Unresolved, ...] = ()
    secrets: tuple[Secret, ...] = ()

    def reference(self, platform: str, *, lower: bool = False) -> str:
        """The image for a platform, as the tool tags it."""
        return f"{self.repository.lower() if lower else self.repository}:{self.version}-{platform}"


def read_module(folder: Path, lookup: Lookup, secrets: Sequence[Secret]) -> ModuleFolder:
    """Read a folder's `module.json`.

    Args:
        folder: that has it.
        lookup: the value of a variable; None if it has none.
        secrets: the values of those that hold a secret.

    Raises:
        InputError: it is missing or not JSON, or has no repository, version or platforms; with line and column.
    """
    file = read_json(folder / FILE_NAME, "module.json", fix="create it, or correct the folder's name in the template")
    reader = _Reader(file, lookup)
    repository = reader.text("/image/repository", 'such as "acme.azurecr.io/scorer"')
    version = reader.text("/image/tag/version", 'such as "1.4.2"')
    platforms = reader.value("/image/tag/platforms")
    if not isinstance(platforms, dict) or not all(isinstance(path, str) and path for path in platforms.values()):
        raise reader.error("/image/tag/platforms", 'write {"amd64": "./Dockerfile.amd64"}')
    dockerfiles = {
        reader.expanded(name, "/image/tag/platforms"): reader.expanded(path, f"/image/tag/platforms/{escape(name)}")
        for name, path in platforms.items()
    }
    options = reader.value("/image/buildOptions")
    context = reader.value("/image/contextPath")
    if options is not None and not (isinstance(options, list) and all(isinstance(one, str) for one in options)):
        raise reader.error("/image/buildOptions", "write a list of strings")
    if context is not None and not isinstance(context, str):
        raise reader.error("/image/contextPath", "write the path of a folder")
    return ModuleFolder(
        folder.name, file, folder, repository, version, dockerfiles,
        tuple(reader.expanded(one, f"/image/buildOptions/{index}") for index, one in enumerate(options or ())),
        reader.expanded(context, "/image/contextPath") if context else "", tuple(reader.unresolved), tuple(secrets),
    )  # fmt: skip


class _Reader:
    def __init__(self, file: JsonFile, lookup: Lookup) -> None:
        self._file, self._lookup = file, lookup
        self.unresolved: list[Unresolved] = []

    def value(self, pointer: str) -> Any:
        value: Any = self._file.data
        for key in pointer.split("/")[1:]:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def text(self, pointer: str, example: str) -> str:
        value = self.value(pointer)
        if not isinstance(value, str) or not value.strip():
            raise self.error(pointer, f"write a string, {example}")
        return self.expanded(value, pointer)

    def expanded(self, text: str, pointer: str) -> str:
        cut: list[Piece] = pieces(text, {}, self._lookup)
        for piece in cut:
            if piece.name and piece.value is None:
                where = self._file.where(pointer, index=piece.start)
                self.unresolved.append(Unresolved(piece.text, where, piece.name))
        return "".join(piece.result for piece in cut)

    def error(self, pointer: str, fix: str) -> InputError:
        name = ".".join(pointer.split("/")[1:])
        what = f"'{name}' is missing" if self.value(pointer) is None else f"'{name}' is not what the tool takes"
        return InputError(what, where=self._file.where(pointer), fix=fix)
