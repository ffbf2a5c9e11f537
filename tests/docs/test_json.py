"""The page about JSON documents has every kind of error, and its example is what the schema says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from manifestgen import errors
from manifestgen.project.load import FILE_NAME
from manifestgen.state import NoSnapshotError

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "json.md").read_text(encoding="utf-8")


def test_every_kind_of_error_is_listed_with_its_exit_code() -> None:
    rows = {code: int(number) for code, number in re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", PAGE, re.M)}
    named = vars(errors).values()
    kinds = {kind for kind in named if isinstance(kind, type) and issubclass(kind, errors.ManifestgenError)}
    raised: set[type[errors.ManifestgenError]] = {*kinds, NoSnapshotError} - {errors.ManifestgenError}
    assert rows == {kind.code: kind.exit_code for kind in raised}
    known = json.loads((DOCS / "schemas" / "error.json").read_text())
    assert set(known["$defs"]["failure"]["properties"]["error"]["properties"]["code"]["examples"]) == set(rows)


def test_the_example_is_valid() -> None:
    example = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.S)[0])
    files = {path.name: json.loads(path.read_text()) for path in (DOCS / "schemas").glob("*.json")}
    registry = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in files.items())
    Draft202012Validator(files["check.json"], registry=registry).validate(example)


def test_the_entry_for_the_schema_store_names_the_schema_and_the_project_file() -> None:
    entry = json.loads((DOCS / "schema-store.json").read_text(encoding="utf-8"))
    assert set(entry) == {"name", "description", "fileMatch", "url"}
    assert FILE_NAME in entry["fileMatch"]
    assert entry["url"].startswith("https://")
    path = entry["url"].partition("/main/")[2]
    schema = json.loads((DOCS.parent / path).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
