"""Every fix text in the package: which options it names, and whether the commands that say it have them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.fix_texts import ALL, unknown_options

import manifestgen
from manifestgen.cli._console import Console
from manifestgen.errors import InputError

PACKAGE = Path(manifestgen.__file__).parent

_APPLY, _TO_FLEET, _ROWS = ("apply",), ("apply", "--deployment"), ("apply", "--devices")
_DEPLOY, _RENDER, _ROTATE = ("deploy",), ("render",), ("credentials", "rotate")
_HUB = [path for path, command in ALL.items() if any("--hub" in option.opts for option in command.params)]
# Modules below the command line whose texts name options, and all commands that may say them. The text of another
# module names a whole command, such as 'manifestgen deploy --enable-admin', or is one of the error's `options`.
SAID_BY: dict[str, list[tuple[str, ...]]] = {
    "azure/iot_hub/__init__.py": _HUB,
    "credentials/rotation/password.py": [_ROTATE],
    "deploy/rendered.py": [_DEPLOY],
    "deploy/steps.py": [_DEPLOY],
    "deployments/deployment.py": [_TO_FLEET],
    "deployments/request.py": [_TO_FLEET],
    "deployments/stages.py": [_TO_FLEET],
    "device/apply.py": [_APPLY, _DEPLOY],
    "device/saved_plan.py": [_APPLY],
    "images/build.py": [("image",), _DEPLOY],
    "operate/bundle.py": [("bundle",)],
    "operate/score.py": [("score",)],
    "images/preflight.py": [("preflight",)],
    "project/start.py": [("init",)],
    "project/vscode_template.py": [("init",)],
    "project/values.py": [_RENDER, _DEPLOY],
    "render_file.py": [_RENDER],
    "rotate.py": [_ROTATE],
    "rows/journal.py": [_ROWS],
    "rows/pace.py": [_ROWS],
    "rows/report_file.py": [_ROWS],
    "rows/rows.py": [_ROWS],
    "services/hub.py": _HUB,
    "state.py": [("rollback",)],
    "trial/trial.py": [("test",)],
    "trial/verdict.py": [("image",), _DEPLOY],
}
# Modules of the command line that belong to more or other commands than their name says.
SAID_BY_CLI: dict[str, list[tuple[str, ...]]] = {
    "__init__.py": [path for path in ALL if path],
    "_asking.py": [("bundle",), ("logs",), ("ping",), ("restart",), ("score",), ("status",)],
    "_device.py": [_APPLY, _DEPLOY],
    "_console.py": [_APPLY, _TO_FLEET, _DEPLOY, ("rollback",)],
    "_manifest.py": [("plan",)],
    "_modules.py": [_RENDER, _DEPLOY, ("credentials", "show"), ("credentials", "create-token"), _ROTATE],
    "_rows.py": [_ROWS],
    "_target.py": [("status",), ("history",), ("rollback",), ("plan",), ("export",), ("preflight",), _APPLY],
    "credentials.py": [_ROTATE],
    "import_template.py": [("import",)],
    "run_project.py": [("run",)],
}
_TEXTS = ("fix", "_FIX", "advice", "_ADVICE", "ignore")


@dataclass(frozen=True)
class Fix:
    """A fix text: where it is, and how it reads; `…` stands for what is put in."""

    module: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.text}"

    @property
    def commands(self) -> list[tuple[str, ...]]:
        """The commands that may say it; none for a text that may not name a bare option."""
        if not self.module.startswith("cli/"):
            return SAID_BY.get(self.module, [])
        name = self.module.removeprefix("cli/")
        return SAID_BY_CLI.get(name) or [(name.removesuffix(".py"),)]


class _Collector(ast.NodeVisitor):
    """Collects what is given as `fix=`, assigned to a name for fixes, or returned by a method for advice."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.module = module
        self.found: dict[tuple[int, str], Fix] = {}
        self.options: list[Fix] = []
        self._names = _assigned(tree)
        self.visit(tree)

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            if keyword.arg in ("fix", "renewal", "unreachable"):
                self._take(keyword.value)
            if keyword.arg == "options" and isinstance(keyword.value, ast.Tuple):
                self.options += [
                    Fix(self.module, each.lineno, text) for each in keyword.value.elts for text in self._texts(each)
                ]
        if isinstance(node.func, ast.Name) and node.func.id in ("Problem", "Row") and len(node.args) > 2:
            self._take(node.args[-1])
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and _is_fix(target.id) for target in node.targets):
            self._take(node.value)
        self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> None:
        named = [*node.posonlyargs, *node.args][-len(node.defaults) :] if node.defaults else []
        for argument, default in [
            *zip(named, node.defaults, strict=True),
            *zip(node.kwonlyargs, node.kw_defaults, strict=True),
        ]:
            if argument.arg == "fix" and default is not None:
                self._take(default)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in ("advice", "_rollback_advice", "_look_again", "_login_advice"):
            for each in ast.walk(node):
                if isinstance(each, ast.Return) and each.value is not None:
                    self._take(each.value)
        self.generic_visit(node)

    def _take(self, node: ast.expr) -> None:
        for text in self._texts(node):
            if " " in text:
                fix = Fix(self.module, node.lineno, text)
                self.found.setdefault((node.lineno, text), fix)

    def _texts(self, node: ast.expr) -> Iterator[str]:
        """All texts that an expression may give."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.IfExp):
            yield from self._texts(node.body)
            yield from self._texts(node.orelse)
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self._texts(value)
        elif isinstance(node, ast.BinOp):
            for left in self._texts(node.left):
                yield from (left + right for right in self._texts(node.right))
        elif isinstance(node, ast.Name) and not _is_fix(node.id):
            for value in self._names.get(node.id, []):
                yield from self._texts(value)
        elif isinstance(node, ast.Tuple):
            for value in node.elts:
                yield from self._texts(value)
        elif isinstance(node, ast.Dict):
            for value in node.values:
                yield from self._texts(value)


def _assigned(tree: ast.Module) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found.setdefault(node.target.id, []).append(node.value)
    return {name: values for name, values in found.items() if len(values) < 4}


def _is_fix(name: str) -> bool:
    return name in _TEXTS or name.endswith(("_fix", "_FIX", "_FIXES"))


@functools.cache
def collected() -> tuple[list[Fix], list[Fix]]:
    """All fix texts of the package, and all texts of `options=`; the sandbox and the runner speak for themselves.

    Found when a test asks: to parse the package takes seconds, and each process of the suite imports this module.
    """
    fixes: list[Fix] = []
    options: list[Fix] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if module.startswith(("sandbox/", "runner/")):
            continue
        found = _Collector(module, ast.parse(path.read_text(encoding="utf-8")))
        fixes += found.found.values()
        options += found.options
    return fixes, options


def test_the_fix_texts_are_found() -> None:
    fixes, options = collected()
    print(f"{len(fixes)} fix texts in {len({fix.module for fix in fixes})} modules, {len(options)} with an option")
    for fix in [*fixes, *options]:
        print(fix)
    assert len(fixes) > 400
    assert len(options) >= 5
    texts = {fix.text for fix in fixes}
    # One of each way in which a text is given.
    assert "check the path" in texts
    assert "add them to the manifest, keep them with --merge, or remove them with --prune" in texts
    assert "run 'manifestgen image', and commit the lock file that it writes" in texts


def test_the_options_that_a_fix_names_exist_in_every_command_that_says_it() -> None:
    named = [fix for fix in collected()[0] if "--" in fix.text]
    wrong = {str(fix): unknown_options(fix.text, *fix.commands) for fix in named}
    assert {fix: options for fix, options in wrong.items() if options} == {}
    bare = [str(fix) for fix in named if not fix.commands and unknown_options(fix.text, ()) != []]
    assert bare == [], (
        "name the whole command, such as 'manifestgen deploy --enable-admin', or give it as one of the error's options"
    )


#: How a text begins that states something and leaves to the reader what to do.
_STATES = {"a", "an", "available", "built-in", "its", "it", "known", "names", "no", "there", "they", "valid", "which"}


def test_a_fix_says_what_to_do_and_does_not_only_list_what_there_is() -> None:
    begins = [(fix, fix.text.split()[0].strip(",:")) for fix in collected()[0]]
    stating = [str(fix) for fix, word in begins if word in _STATES or word.startswith("'")]
    # They state what is wrong first, and then say what to do.
    assert [text for text in stating if ": check" not in text and ": review" not in text] == []


def test_an_option_of_an_error_exists_in_a_command() -> None:
    for option in collected()[1]:
        assert option.text.count("--") == 1, option
        assert any(unknown_options(option.text, path) == [] for path in ALL if path), option


@pytest.mark.parametrize("module", [*SAID_BY, *(f"cli/{name}" for name in SAID_BY_CLI)])
def test_no_module_is_listed_in_vain(module: str) -> None:
    fixes, options = collected()
    assert any(fix.module == module and "--" in fix.text for fix in [*fixes, *options])


@pytest.mark.parametrize(
    ("has", "fix"),
    [
        ({"--build-timeout", "--timeout"}, "run the same command again, or wait longer with --build-timeout"),
        ({"--timeout"}, "run the same command again, or wait longer with --timeout"),
        (set(), "run the same command again"),
    ],
)
def test_the_command_line_names_the_option_that_the_running_command_has(
    has: set[str], fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console()
    console.options = frozenset(has)
    options = ("wait longer with --build-timeout", "wait longer with --timeout")
    console.fail(InputError("too slow", fix="run the same command again", options=options))
    assert capsys.readouterr().err == f"error: too slow\n  fix: {fix}\n"
