"""The JSON Schema takes the samples, and rejects broken project files at the place that an editor should mark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from manifestgen.errors import InputError
from manifestgen.project import source
from manifestgen.project.load import read
from manifestgen.project.schema import json_schema

_VALIDATOR = Draft202012Validator(json_schema())
_SAMPLES = sorted((Path(__file__).parents[3] / "samples").glob("*/manifestgen.yaml"))


def _deepest(error: ValidationError) -> ValidationError:
    """What is wrong: of the alternatives of `anyOf`, the one that fits furthest."""
    if not error.context:
        return error
    # `null` is an alternative of almost everything, and never what was meant.
    return max(map(_deepest, error.context), key=lambda inner: (len(inner.absolute_path), inner.validator != "type"))


def _places(data: Any) -> set[str]:
    return {"/".join(map(str, _deepest(error).absolute_path)) for error in _VALIDATOR.iter_errors(data)}


@pytest.mark.parametrize("sample", _SAMPLES, ids=lambda path: path.parent.name)
def test_the_samples_are_taken(sample: Path) -> None:
    assert _places(source.parse(sample.read_text(encoding="utf-8"), str(sample)).data) == set()


@pytest.mark.parametrize(
    "environments",
    [
        "",
        "{}",
        "{dev: , prod: {}}",
        "{prod: {hub: {}, target: {device: null, deployment: a, condition: '*'}}}",
        "{prod: {image: null, model: {tags: {a: null}}, check: {ignore: {floating-tag: null}}}}",
        "{prod: {manifest: {values: {a: {b: [1, null]}}}}}",
        "{prod: {hub: {host: '${env:HUB}'}}}",
        "{prod: {registry: {sources: {ghcr.io: null}, keyvault: {vault: contoso-edge}}}}",
    ],
)
def test_what_is_partial_is_taken_in_an_environment(environments: str) -> None:
    assert _places(source.parse(f"version: 1\nenvironments: {environments}\n", "p").data) == set()


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("hub: {host: a.net}", "", 1),
        ("version: 2", "version", 1),
        ("version: 1\nhubs: {}", "", 2),
        ("version: 1\nhub: a.azure-devices.net", "hub", 2),
        ("version: 1\nhub: {}", "hub", 2),
        ("version: 1\nhub: {host: https://a.azure-devices.net}", "hub/host", 2),
        ("version: 1\nmodel: {name: ''}", "model/name", 2),
        ("version: 1\nmodel: {name: m, version: 0}", "model/version", 2),
        ("version: 1\nmodel: {name: m, tags: [a]}", "model/tags", 2),
        ("version: 1\nimage: {builder: packages}", "image/builder", 2),
        ("version: 1\nimage: {builder: none, reference: r/x:1, name: Upper}", "image/name", 2),
        ("version: 1\nimage: {builder: acr, platforms: []}", "image/platforms", 2),
        ("version: 1\nmanifest: {pin: 1}", "manifest/pin", 2),
        ("version: 1\ntarget: {deployment: Big, condition: '*'}", "target/deployment", 2),
        ("version: 1\ntarget: {deployment: a, condition: '*', priority: -1}", "target/priority", 2),
        ("version: 1\nregistry: {credentials: admins}", "registry/credentials", 2),
        ("version: 1\nenvironments: [dev]", "environments", 2),
        ("version: 1\nenvironments: {dev: on}", "environments/dev", 2),
        ("version: 1\nenvironments: {'a b': {}}", "environments", 2),
        ("version: 1\nenvironments:\n  dev:\n    hubb: {}", "environments/dev", 4),
        ("version: 1\nenvironments:\n  dev:\n    version: 1", "environments/dev", 4),
        ("version: 1\nenvironments:\n  dev:\n    extends: dev", "environments/dev", 4),
        ("version: 1\nenvironments:\n  dev:\n    hub:\n      hosts: x", "environments/dev/hub", 5),
        ("version: 1\nenvironments:\n  dev:\n    hub:\n      host: no host", "environments/dev/hub/host", 5),
        ("version: 1\nenvironments:\n  dev:\n    model: {path: 5}", "environments/dev/model/path", 4),
        ("version: 1\nenvironments:\n  dev:\n    check: {ignore: [a]}", "environments/dev/check/ignore", 4),
    ],
)
def test_what_is_broken_is_rejected_at_its_place_by_schema_and_reader(text: str, place: str, line: int) -> None:
    assert _places(source.parse(text, "p").data) == {place}
    with pytest.raises(InputError) as caught:
        read(text, Path("p"), {}, "dev" if "dev:" in text else None)
    assert caught.value.where.split(":")[:2] == ["p", str(line)]
