"""Messages, help, reports, docs, docstrings and comments are plain English: phrases that are wrong do not come back."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "manifestgen"

#: Phrase to what to write in its place.
WRONG = {
    r"(?<!\b[Tt]here) is no (?!longer\b)": "'X is not a Y'",
    r"\bwhich is none\b": "'which is not one'",
    r"\b(?:[Nn]o|[Ss]ome|[Aa]ny)body(?:'s)?\b": "the user, the device or the program by its name, or the passive voice",
    r"\b[Ww]ho(?:m|so)?ever\b": "'anyone who', or the user, the device or the program by its name",
    r"\bthe former\b": "'the previous'",
    r"\b(?:is|are|be|was|were) told\b": "'gets', 'is set to', or the fact itself",
    r"\bfor the time being\b": "'temporary', or until when",
    r"\bto go on\b|\bgoes on\b": "'to resume', 'continues'",
    r"\bby halves\b": "'partly'",
    r"\bdevice's id\b|\b[Dd]evice ids?\b": "'device ID'",
    r"\bexclude each other\b": "'cannot be used together'",
    r"\badmin user (?:is )?o(?:n|ff)\b": "'enabled' or 'disabled'",
    r"\b(?:[Cc]ontinue|[Gg]o on) although\b": "'continue even if'",
}

_ANY = re.compile("|".join(WRONG))

#: The same, only in docs, docstrings and comments.
WRONG_IN_PROSE = {
    r"\bformer\b": "'previous'",
    r"\btold\b": "'configured', 'reported', or the fact itself",
    r"\banew\b": "'again'",
    r"\bin vain\b": "'without success', or what fails",
    r"\bwithout a word\b": "'silently'",
    r"\b(?:insists?|admits?)\b": "'requires', 'allows'",
    r"\bas far as can be told\b": "'as far as is known'",
    r"\bof (?:its|their) own\b(?! \w)": "'its own X' or 'a separate X'",
}
#: A docstring or a comment names its subject: "The report of a runner", not "What a runner reports".
WHAT = re.compile(r"What (?!if\b)")

#: Messages that quote a phrase from elsewhere, by their text.
QUOTED: frozenset[str] = frozenset()


def is_command(node: ast.AST) -> bool:
    """Whether click shows a function's docstring as help."""
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in ("command", "group")
        for decorator in node.decorator_list
    )


def texts_in(source: str) -> Iterator[tuple[int, str]]:
    """The texts of several words in a module, with their lines; `{}` stands for what an f-string fills in.

    Docstrings are left out, except those of commands.
    """
    nodes = list(ast.walk(ast.parse(source)))
    skipped: set[int] = set()
    for node in nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and not is_command(node):
                skipped.add(id(first.value))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values if isinstance(part, ast.Constant))
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield node.lineno, text


def wrong_in(text: str) -> list[str]:
    found = re.sub(r"\s+", " ", text)
    if not _ANY.search(found):
        return []
    return [better for phrase, better in WRONG.items() if re.search(phrase, found)]


def prose_in(source: str) -> Iterator[tuple[int, str]]:
    """The docstrings and comments in a module, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text is not None:
                yield node.body[0].lineno, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#: ")


def may_be_wrong(source: str) -> bool:
    """Whether a module has a wrong phrase anywhere, code included; much faster than `prose_in`."""
    joined = re.sub(r"\s+(?:#:? )?", " ", source)
    return bool(re.search("|".join([*WRONG, *WRONG_IN_PROSE, r'(?:""" ?| )What ']), joined))


def wrong_in_prose(text: str) -> list[str]:
    """What to write in place of wrong phrases outside of code."""
    found = re.sub(r"\s+", " ", re.sub(r"```.*?```|`[^`\n]*`", "``", text, flags=re.DOTALL))
    return wrong_in(found) + [better for phrase, better in WRONG_IN_PROSE.items() if re.search(phrase, found)]


# Each of the next tests goes through all files and shows all faults: one test a file would cost more than it does.
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.no_cover  # nothing of it runs
def test_messages_are_plain_english() -> None:
    found = [
        f"manifestgen/{module}:{line}: {text!r}: write {' and '.join(better)}"
        for module in MODULES
        for line, text in texts_in((PACKAGE / module).read_text(encoding="utf-8"))
        if text not in QUOTED and (better := wrong_in(text))
    ]
    assert MODULES
    assert not found, "\n".join(found)


@pytest.mark.no_cover
def test_docstrings_and_comments_are_plain_english() -> None:
    found = [
        f"manifestgen/{module}:{line}: {text!r}: write {' and '.join(better)}"
        for module in MODULES
        if may_be_wrong(source := (PACKAGE / module).read_text(encoding="utf-8"))
        for line, text in prose_in(source)
        if (better := wrong_in_prose(text) + ["the subject"] * bool(WHAT.match(text)))
    ]
    assert MODULES
    assert not found, "\n".join(found)


PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]
)


@pytest.mark.no_cover
def test_pages_are_plain_english() -> None:
    found = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
        wrong = [(line, better) for line in text.split("\n") if (better := wrong_in(line))]
        found += [f"{page}: {line!r}: write {' and '.join(better)}" for line, better in wrong]
    assert PAGES
    assert not found, "\n".join(found)


def test_docstrings_and_comments_are_looked_at() -> None:
    texts = [text for _, text in prose_in((PACKAGE / "render" / "limits.py").read_text(encoding="utf-8"))]
    assert "A template exceeds a limit." in texts  # a class
    assert any(text.startswith("Limits the resources of a template") for text in texts)  # the module
    assert "of a whole number" in texts  # a comment


def test_a_phrase_is_found_across_lines_of_a_comment() -> None:
    source = "# the device is\n    # told to pull\n"
    assert may_be_wrong(source) and not may_be_wrong("# the device pulls\n")


def test_every_kind_of_message_is_looked_at() -> None:
    def all_of(module: str) -> str:
        source = (PACKAGE / module).read_text(encoding="utf-8")
        return "\n".join(text for _, text in texts_in(source))

    assert "is not a valid device ID" in all_of("azure/iot_hub/hub.py")  # an f-string
    assert "Set the modules of a device and wait until they run." in all_of("cli/_device.py")  # a command's help
    assert "Do not ask for confirmation" in all_of("cli/_device.py")  # an option's help
    assert "no changes: the device already has this manifest" in all_of("report/changes.py")
    assert "Proposes a plan" not in all_of("device/apply.py")  # no docstring


@pytest.mark.parametrize(
    "text",
    [
        "this is no file that can be read twice",
        "nobody can be asked whether to apply this",
        "priority 11 is somebody else's",
        "whoever has it can be the device",
        "the former state is restored",
        "the device is told to pull it",
        "run the same command again to go on",
        "the device id must be a string",
        "the admin user is off",
        "--device and --deployment exclude each other",
    ],
)
def test_what_is_wrong_is_found(text: str) -> None:
    assert wrong_in(text)


@pytest.mark.parametrize(
    "text",
    ["the former image", "it is told to restart", "versions are chosen anew", "it runs in a thread of its own"],
)
def test_what_is_wrong_in_prose_is_found(text: str) -> None:
    assert wrong_in_prose(text)


@pytest.mark.parametrize("text", ["the user `nobody`", "the text of its own error", "There is no list of devices"])
def test_what_is_right_in_prose_is_not(text: str) -> None:
    assert not wrong_in_prose(text)


@pytest.mark.parametrize(
    "text",
    [
        "there is no tag '1' in 'scorer'",
        "image is no longer in its registry",
        "the device ID must be a string",
        "deviceId",
    ],
)
def test_what_is_right_is_not(text: str) -> None:
    assert not wrong_in(text)
