from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from manifestgen.render import builtin_names, context_of, load_template

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")


def test_the_example_renders(tmp_path: Path) -> None:
    example = re.findall(r"```jinja\n(.*?)```", PAGE, re.DOTALL)
    assert len(example) == 1
    (tmp_path / "t.json.j2").write_text(example[0])
    values = context_of(image="acme.azurecr.io/x:1", values={"site": {"name": "hall 3"}})
    manifest = load_template("t.json.j2", tmp_path).render(values)
    assert [module.name for module in manifest.modules()] == ["edgeAgent", "edgeHub", "machinelearningmodule"]
    assert manifest.content["modulesContent"]["machinelearningmodule"] == {"properties.desired": {"site": "hall 3"}}


ROWS = re.findall(r"^\| `(\"\w+\": .+?)` \| `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("written", "value", "result"), ROWS)
def test_a_row_of_the_table_of_places_is_true(written: str, value: str, result: str, tmp_path: Path) -> None:
    assert len(ROWS) == 5
    try:
        given = json.loads(value)
    except ValueError:
        given = value
    (tmp_path / "t.json.j2").write_text('{"modulesContent": {"m": {"properties.desired": {' + written + "}}}}")
    twin = load_template("t.json.j2", tmp_path).render({"v": given}).content["modulesContent"]["m"]
    assert twin["properties.desired"] == json.loads("{" + result + "}")


def test_every_built_in_template_is_there() -> None:
    for name in builtin_names():
        assert f"| `{name}` |" in PAGE


def test_every_value_that_the_built_in_templates_take_is_there() -> None:
    from jinja2 import Environment, meta

    from manifestgen.render import builtin_templates

    parser = Environment(autoescape=True)
    names = set()
    for path in builtin_templates().glob("*.j2"):
        names |= meta.find_undeclared_variables(parser.parse(path.read_text()))
    for name in names - {"dict"}:
        assert re.search(rf"`{name}\b", PAGE), name
