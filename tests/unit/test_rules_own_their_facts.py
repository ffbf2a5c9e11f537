"""Only `rules/` knows rules by their ids: a fact about a rule is an attribute of that rule."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import manifestgen
from manifestgen.rules import RULES

ROOT = Path(manifestgen.__file__).parent
# The same words with another meaning, and examples in help.
ELSEWHERE = {
    ("cli/explain.py", "route-syntax"),  # an example in the help
    ("project/sections.py", "floating-tag"),  # an example in the project file's schema
    ("manifest/document.py", "not-a-manifest"),  # a kind of file
    ("cli/render.py", "placeholder"),  # a choice of --secrets
    ("cli/export.py", "placeholder"),  # the same
    ("cli/import_template.py", "placeholder"),  # the same
    ("render_file.py", "placeholder"),  # the same
    ("project/between.py", "placeholder"),  # a key of the project file
    ("manifest_source.py", "placeholder"),  # what stands in for logins is no finding in a project
    ("view/read.py", "placeholder"),  # the thing itself, counted
}


IDS = {rule.id for rule in RULES}


def _named(text: str) -> set[str]:
    """The ids of rules in a string of the program; a single word counts only if it is the whole string."""
    return IDS & {text, *re.findall(r"[a-z]+(?:-[a-z]+)+", text)}


def _prefixes() -> set[str]:
    """What `startswith` could be asked for: two words or more of an id of three or more."""
    parts = [rule.id.split("-") for rule in RULES]
    return {"-".join(words[:length]) for words in parts for length in range(2, len(words))}


def _strings(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_no_id_of_a_rule_occurs_outside_the_rules() -> None:
    prefixes = _prefixes()
    found: set[tuple[str, str]] = set()
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        if not place.startswith("rules/"):
            for text in _strings(path):
                found |= {(place, id_) for id_ in _named(text)}
                found |= {(place, text)} & {(place, prefix) for prefix in prefixes}
    assert found == ELSEWHERE
