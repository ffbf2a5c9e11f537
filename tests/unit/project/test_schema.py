from __future__ import annotations

import re
from pathlib import Path

import pytest

from manifestgen.manifest.dump import dump
from manifestgen.project.builders import BUILDERS
from manifestgen.project.load import read
from manifestgen.project.schema import json_schema

DOCS = Path(__file__).parents[3] / "docs"


def test_the_committed_schema_is_the_one_that_is_printed() -> None:
    assert (DOCS / "manifestgen.schema.json").read_text(encoding="utf-8") == dump(json_schema())


def test_unknown_keys_are_refused_and_every_key_is_described() -> None:
    for name, section in json_schema()["$defs"].items():
        assert section["additionalProperties"] is False, name
        for key, field in section["properties"].items():
            assert field.get("description"), f"{name}.{key}"


def test_every_key_is_in_the_documentation() -> None:
    text = (DOCS / "project-file.md").read_text(encoding="utf-8")
    for name, section in json_schema()["$defs"].items():
        for key in section["properties"]:
            assert f"`{key}`" in text or f"`{key}:" in text, f"{name}.{key}"


def test_every_builder_has_a_row_in_the_documentation() -> None:
    text = (DOCS / "project-file.md").read_text(encoding="utf-8")
    for name, entry in BUILDERS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert all(word in row for word in (*entry.platforms, *(f"`{key}`" for key in entry.needs))), row


@pytest.mark.parametrize("page", ["credentials.md", "project-file.md"])
def test_the_registry_sections_that_are_shown_are_taken(page: str) -> None:
    shown = re.findall(r"```yaml\n(registry:.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert shown
    for text in shown:
        assert read(f"version: 1\n{text}", DOCS / page, {}).registry is not None
