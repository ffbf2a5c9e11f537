"""How a value is written, by where it is: docs/decisions/values.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "manifestgen"
# Offline commands import them, so what it costs to define a class counts.
STRUCTS = ("check.py", "importing", "manifest", "project", "render", "rules", "solution")


def classes(path: Path) -> Iterator[tuple[str, str]]:
    """The classes of a module, each with how its values are written."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            decorators = [ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list]
            yield node.name, "dataclass" if "dataclass" in decorators else next(iter(bases & {"NamedTuple"}), "")


MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("kind", ["NamedTuple", "dataclass"])
def test_a_value_is_written_as_its_room_writes_values(kind: str) -> None:
    rooms = [name for name in MODULES if kind == "NamedTuple" or name.partition("/")[0] in STRUCTS]
    assert len(rooms) > 100
    assert [(name, one) for name in rooms for one, found in classes(PACKAGE / name) if found == kind] == []
