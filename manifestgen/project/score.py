"""Static checks of entry script and conda file before anything is sent, since a build takes minutes and fails late."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from manifestgen.errors import InputError
from manifestgen.files import read_text
from manifestgen.project import source
from manifestgen.project.load import Project

_SIGNATURES = {"init": "def init():", "run": "def run(input_data):"}


def check_inputs(project: Project) -> None:
    """Check the model's path, the entry script and the conda file of a project.

    Raises:
        InputError: one of them is missing, does not parse, or does not fit the scoring server of Azure ML; with file
            and line.
    """
    image = project.image
    if image is None:
        fix = "add the section 'image'"
        raise InputError("the project builds no image", where=str(project.path), fix=fix)
    if not image.builds:
        return
    model = project.model
    if model is not None and model.path is not None and not model.path.exists():
        fix = "train the model first, correct model.path, or remove it to use the registered model"
        raise InputError("model not found", where=str(model.path), fix=fix)
    if image.entry_script is not None:
        check_entry_script(image.entry_script)
    if image.conda_file is not None:
        check_conda_file(image.conda_file)


def check_entry_script(path: Path) -> None:
    """Check that an entry script parses and has the functions that the scoring server calls: `init()`, `run(data)`.

    https://learn.microsoft.com/azure/machine-learning/v1/how-to-deploy-advanced-entry-script

    Raises:
        InputError: with file and line.
    """
    text = read_text(path, "entry script", fix="create it or correct image.entry_script")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as for an invalid escape sequence; not our concern
            tree = ast.parse(text, str(path))
    except SyntaxError as error:
        where = f"{path}:{error.lineno}:{error.offset}" if error.lineno else str(path)
        raise InputError(f"not Python: {error.msg}", where=where, fix="correct the syntax") from error
    except (ValueError, RecursionError, MemoryError) as error:
        fix = "correct the file"
        raise InputError(f"not Python: {str(error) or 'nested too deeply'}", where=str(path), fix=fix) from error
    found = {name: statement for statement in _statements(tree.body) for name in _names(statement)}
    for name, signature in _SIGNATURES.items():
        statement = found.get(name)
        if statement is None:
            what = f"the entry script has no function {name}()"
            raise InputError(what, where=str(path), fix=f"add '{signature}' at the top level")
        _check_function(path, name, statement)


def check_conda_file(path: Path) -> None:
    """Check that a conda file parses and lists packages.

    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html

    Raises:
        InputError: with file and line.
    """
    text = read_text(path, "conda file", fix="create it or correct image.conda_file", limit=source.MAX_BYTES)
    document = source.parse(text, str(path))
    data = document.data
    if not isinstance(data, dict):
        raise InputError("the conda file is not a mapping", where=str(path), fix="write 'dependencies:' and a list")
    if "dependencies" not in data:
        raise InputError("the conda file has no dependencies", where=str(path), fix="add 'dependencies:' and a list")
    _check_packages(document, data["dependencies"], ("dependencies",), pip=False)


def _check_packages(document: source.Source, packages: object, path: source.Path, *, pip: bool) -> None:
    where = document.where(path, key=True)
    name = ".".join(str(key) for key in path if isinstance(key, str))
    if not isinstance(packages, list):
        raise InputError(f"{name} is not a list", where=where, fix="write one package a line: '- scikit-learn=1.7'")
    if not packages:
        raise InputError(f"{name} is empty", where=where, fix="list what the entry script imports")
    for index, package in enumerate(packages):
        if isinstance(package, str) and package.strip():
            continue
        if isinstance(package, dict) and list(package) == ["pip"] and not pip:
            _check_packages(document, package["pip"], (*path, index, "pip"), pip=True)
            continue
        what = f"entry {index + 1} of {name} is not the name of a package"
        fix = "write '- NAME', '- NAME=VERSION', or '- pip:' with a list below it"
        raise InputError(what, where=document.where((*path, index)), fix=fix)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module's top level, including those inside `if`, `try` and `with`."""
    for statement in body:
        yield statement
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                yield from _statements(getattr(statement, field, []))
        if isinstance(statement, ast.Try):
            for handler in statement.handlers:
                yield from _statements(handler.body)


def _names(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name for alias in names)
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _check_function(path: Path, name: str, statement: ast.stmt) -> None:
    where = f"{path}:{statement.lineno}"
    fix = f"write '{_SIGNATURES[name]}'"
    if isinstance(statement, ast.AsyncFunctionDef):
        raise InputError(f"{name}() is async, and the scoring server does not await it", where=where, fix=fix)
    if isinstance(statement, ast.ClassDef):
        raise InputError(f"{name} is a class, not a function", where=where, fix=fix)
    if not isinstance(statement, ast.FunctionDef) or statement.decorator_list:
        return  # imported, assigned or decorated: its parameters are known only when it runs
    arguments = statement.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    required_by_name = sum(default is None for default in arguments.kw_defaults)
    if name == "init" and (required or required_by_name):
        what = f"init() is called without arguments, but requires {required + required_by_name}"
        raise InputError(what, where=where, fix=fix)
    takes_one = bool(positional) or arguments.vararg is not None
    if name == "run" and (required > 1 or required_by_name or not takes_one):
        taken = required + required_by_name if takes_one else 0
        what = f"run() is called with one argument, the input data, but takes {taken or 'none'}"
        raise InputError(what, where=where, fix=fix)
