from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import manifestgen


@pytest.mark.parametrize("name", manifestgen.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(manifestgen, name).__doc__


PUBLIC = re.findall(r"`(manifestgen\.[a-z_.]+)`", manifestgen.__doc__ or "")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_module_is_there_and_every_public_name_in_it_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    own = {key: value for key, value in vars(module).items() if getattr(value, "__module__", None) == name}
    undocumented = [key for key, value in own.items() if not key.startswith("_") and not value.__doc__]
    assert undocumented == []


def test_the_page_about_the_library_imports_public_modules_only() -> None:
    page = (Path(__file__).parents[2] / "docs" / "library.md").read_text(encoding="utf-8")
    imported = set(re.findall(r"^from (manifestgen[a-z_.]*) import", page, re.MULTILINE))
    assert imported
    assert imported <= {"manifestgen", *PUBLIC}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = manifestgen.nonsense


def test_a_manifest_is_checked_in_three_lines() -> None:
    document = manifestgen.read_document('{"modulesContent": {"$edgeAgent": 1}}', "deployment.json")
    findings = manifestgen.check_document(document)
    assert manifestgen.summarize(findings).errors == len(
        [f for f in findings if f.severity is manifestgen.Severity.ERROR]
    )
    assert findings


def test_a_route_is_parsed_and_checked() -> None:
    route = manifestgen.parse_route("FROM /messages/* WHERE temperature > 30 INTO $upstream")
    assert [error.offset for error in manifestgen.check_route(route)]
    with pytest.raises(manifestgen.RouteSyntaxError):
        manifestgen.parse_route("FORM /messages/* INTO $upstream")


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, json, manifestgen; print(json.dumps([n for n in sys.modules if n.startswith('manifestgen')]))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == ["manifestgen"]
