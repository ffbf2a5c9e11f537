"""What the manifests of rows are rendered from."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.project.load import load
from manifestgen.render import load_template
from manifestgen.rows.source import load_again, names_in, source_of


def test_the_names_of_a_template_are_those_of_its_parents_too(tmp_path: Path) -> None:
    (tmp_path / "a.json.j2").write_text(
        '{% extends "single-module.json.j2" %}{% block twins %}{{ mine }}{% endblock %}'
    )
    names = names_in(load_template(str(tmp_path / "a.json.j2")))
    assert names is not None and {"mine", "image", "ttl", "env"} <= names
    assert "name" not in names and "value" not in names
    (tmp_path / "b.json.j2").write_text("{% include which %}")
    assert names_in(load_template(str(tmp_path / "b.json.j2"))) is None
    (tmp_path / "c.json.j2").write_text('{% include "missing" ignore missing %}')
    assert names_in(load_template(str(tmp_path / "c.json.j2"))) is None


def test_the_hash_of_a_template_covers_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "a.json.j2").write_text('{% include "b.json.j2" %}')
    (tmp_path / "b.json.j2").write_text("{}")
    before = source_of(tmp_path / "a.json.j2").hash
    (tmp_path / "b.json.j2").write_text("{ }")
    assert source_of(tmp_path / "a.json.j2").hash != before


def test_a_template_alone_takes_the_values_of_the_project_that_is_here(tmp_path: Path) -> None:
    (tmp_path / "manifestgen.yaml").write_text(
        "version: 1\nmanifest: {template: single-module, values: {ttl: 77, module: m}}\n"
    )
    project = load(tmp_path)
    here = source_of(Path("single-module"), project)
    named = source_of(tmp_path)
    assert here.base == named.base and here.base["ttl"] == 77
    assert here.hash == named.hash
    assert named.project is not None and named.root == tmp_path
    assert source_of(Path("single-module")).base.get("ttl") != 77


def test_a_manifest_makes_no_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the same for every device") as caught:
        source_of(tmp_path / "deployment.json")
    assert "--deployment" in caught.value.fix


def test_a_template_is_loaded_again_only_if_it_is_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json.j2"
    path.write_text("{}")
    source = source_of(path)
    assert load_again(source.name, source.root, source.hash).name == source.template.name
    path.write_text("{ }")
    with pytest.raises(InputError, match="changed while it was read"):
        load_again(source.name, source.root, source.hash)
