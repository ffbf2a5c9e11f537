"""What stops a manifest before it is sent, and how it is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from manifestgen.check import Finding
from manifestgen.errors import FoundError, InputError
from manifestgen.gate import require_applicable, require_manifest, require_no_errors
from manifestgen.manifest.document import Document, of_manifest, read
from manifestgen.manifest.manifest import Manifest

PLAIN = json.loads((Path(__file__).parent.parent / "rules/route-syntax/pass/plain.json").read_text("utf-8"))
LAYER = {"modulesContent": {"$edgeAgent": {"properties.desired.modules.a": {"settings": {"image": "a.io/b:1"}}}}}


def broken() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(PLAIN))
    data["modulesContent"]["$edgeHub"]["properties.desired"]["routes"]["up"] = "x"
    return data


def test_a_manifest_without_errors_passes_with_its_findings_reported() -> None:
    given: list[tuple[Document, Sequence[Finding]]] = []
    document = of_manifest(Manifest.of(PLAIN), "the rendered manifest")
    manifest = require_applicable(document, report=lambda *found: given.append(found))
    assert manifest == Manifest.of(PLAIN)
    assert [(one.name, list(findings)) for one, findings in given] == [("the rendered manifest", [])]


def test_the_first_error_in_a_text_is_named_by_its_line() -> None:
    document = read(json.dumps(broken(), indent=2), "a.json")
    with pytest.raises(FoundError, match=r"^a\.json: 1 error, the first at line \d+: ") as caught:
        require_no_errors(document)
    assert "FROM" in caught.value.fix


def test_the_first_error_in_a_value_is_named_by_its_pointer() -> None:
    with pytest.raises(FoundError) as caught:
        require_no_errors(of_manifest(Manifest.of(broken()), "the rendered manifest"))
    place = "/modulesContent/$edgeHub/properties.desired/routes/up"
    assert str(caught.value).startswith(f"the rendered manifest: 1 error, the first at {place}: ")


def test_force_lets_pass_what_the_hub_takes_and_nothing_else() -> None:
    require_no_errors(of_manifest(Manifest.of(broken())), force=True)
    data = broken()
    data["modulesContent"]["scorer"]["properties.desired"] = {"a.b": 1}
    with pytest.raises(FoundError, match="1 error that IoT Hub itself rejects"):
        require_no_errors(of_manifest(Manifest.of(data)), force=True)


def test_ignored_rules_stop_nothing() -> None:
    require_no_errors(of_manifest(Manifest.of(broken())), ignore={"route-syntax"})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", r"^a\.json:1:1: the text ends"),
        ("[]", "not a deployment manifest"),
        (json.dumps(LAYER), "a layered manifest"),
        (json.dumps(PLAIN).replace('"up"', '"${ROUTE}"').replace('"scorer"', '"${NAME}"'), "a template"),
    ],
)
def test_what_is_not_a_full_manifest_is_an_input_error(text: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        require_applicable(read(text, "a.json"))


def test_a_layer_is_accepted_where_it_is_asked_for() -> None:
    assert require_manifest(read(json.dumps(LAYER)), layered=True).layered
