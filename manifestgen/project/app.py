"""The files that belong to an entry script: itself, and the modules beside it that it imports.

They are the files that Python would load from the script's folder: `features.py` for `import features`, or the whole
folder `features/` if it is a package, with its data files. Other files beside the script are not included: data
belongs in a package or in the model's folder.
"""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from manifestgen import runner
from manifestgen.errors import InputError
from manifestgen.files import read_text

#: Name of the runner's package in an image.
RUNNER_PACKAGE: Final = "manifestgen_runner"
# Files beside the script that the runner serves as /swagger.json.
_SWAGGER: Final = ("swagger2.json", "swagger3.json")
# Folders that are never part of a package.
_NEVER: Final = frozenset({"__pycache__", "node_modules", "site-packages"})


def app_files(script: Path) -> dict[str, Path]:
    """The files of an entry script, by their paths relative to its folder, with `/`.

    Raises:
        InputError: the script or a module is missing, not readable, or not Python.
    """
    root = script.parent
    files = {script.name: script}
    pending = [script]
    while pending:
        for name in sorted(_imported(pending.pop())):
            for relative, path in _module(root, name):
                if relative not in files:
                    files[relative] = path
                    if path.suffix == ".py":
                        pending.append(path)
    return files | {name: root / name for name in _SWAGGER if (root / name).is_file()}


def runner_files() -> dict[str, Path]:
    """The files of the runner, by their paths in an image's folder of Python modules."""
    folder = Path(runner.__file__).parent
    return {f"{RUNNER_PACKAGE}/{path.name}": path for path in sorted(folder.glob("*.py"))}


def imports_of(files: dict[str, Path]) -> frozenset[str]:
    """The names of all top-level modules that the Python files among these import, local ones included."""
    return frozenset(name for path in files.values() if path.suffix == ".py" for name in _imported(path))


def _imported(path: Path) -> set[str]:
    """The top-level modules that a file imports; the relative imports of a package stay inside it."""
    text = read_text(path, "entry script", fix="create it or correct image.entry_script")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as for an invalid escape sequence; not our concern
            tree = ast.parse(text, str(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f"{path}:{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else str(path)
        raise InputError(f"not Python: {error}", where=where, fix="correct the syntax") from error
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _module(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """The files of a module, if it is in this folder; a package comes before a file, as for Python."""
    folder, file = root / name, root / f"{name}.py"
    if folder.is_dir():
        files = list(_package(root, folder))
        if any(path.suffix == ".py" for _, path in files):
            yield from files
            return
    if file.is_file():
        yield file.name, file


def _package(root: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _NEVER and not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix != ".pyc" and path.is_file():
                yield path.relative_to(root).as_posix(), path
