from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.project import load
from manifestgen.project.dockerignore import name_of, own_files
from manifestgen.project.inputs import inputs_hash
from manifestgen.project.written import written_files

FILES = ("Dockerfile", "a.py", "b.txt", "data/x.csv", "data/deep/y.csv", "docs/z.md", ".git/config", ".manifestgen/p")


def chosen(folder: Path, rules: str = "", name: str = ".dockerignore") -> set[str]:
    for file in FILES:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    if rules:
        (folder / name).write_text(rules)
    return {file for file, _ in own_files(folder / "Dockerfile")}


ALL = {"Dockerfile", "a.py", "b.txt", "data/x.csv", "data/deep/y.csv", "docs/z.md"}


@pytest.mark.parametrize(
    ("rules", "left_out"),
    [
        ("", set()),
        ("# comment\n\n*.txt\n", {"b.txt"}),
        ("data\n", {"data/x.csv", "data/deep/y.csv"}),
        ("/data/\n", {"data/x.csv", "data/deep/y.csv"}),
        ("*.csv\n", set()),
        ("**/*.csv\n", {"data/x.csv", "data/deep/y.csv"}),
        ("data/**\n!data/deep/y.csv\n", {"data/x.csv"}),
        ("data\n!data/x.csv\n", {"data/deep/y.csv"}),
        ("!data/x.csv\ndata\n", {"data/x.csv", "data/deep/y.csv"}),
        ("*\n!a.py\n", ALL - {"Dockerfile", "a.py"}),
        ("?.txt\n[ab].py\n", {"b.txt", "a.py"}),
        ("data/*/y.csv\n", {"data/deep/y.csv"}),
    ],
)
def test_the_last_rule_that_matches_wins(tmp_path: Path, rules: str, left_out: set[str]) -> None:
    assert chosen(tmp_path, rules) == ALL - left_out


def test_the_dockerfiles_own_ignore_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("*.py\n")
    assert chosen(tmp_path, "*.txt\n", "Dockerfile.dockerignore") == ALL - {"b.txt"}


def test_a_missing_dockerfile_and_a_wrong_pattern_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Dockerfile not found"):
        own_files(tmp_path / "Dockerfile")
    with pytest.raises(InputError, match="is not a pattern") as caught:
        chosen(tmp_path, "a\n[z-a]\n")
    assert caught.value.where == f"{tmp_path / '.dockerignore'}:2"


def test_dockerfiles_of_one_name_outside_of_the_context_keep_apart(tmp_path: Path) -> None:
    context = tmp_path / "context"
    for platform in ("amd64", "arm64"):
        (tmp_path / platform).mkdir()
        (tmp_path / platform / "Dockerfile").write_text("FROM scratch\n")
    context.mkdir()
    names = [name_of(tmp_path / platform / "Dockerfile", context) for platform in ("amd64", "arm64")]
    assert names == ["manifestgen/dockerfiles/1/amd64/Dockerfile", "manifestgen/dockerfiles/1/arm64/Dockerfile"]
    assert own_files(tmp_path / "arm64" / "Dockerfile", context) == [(names[1], tmp_path / "arm64" / "Dockerfile")]


def test_what_manifestgen_writes_itself_is_in_no_image_and_changes_none(tmp_path: Path) -> None:
    image = "{builder: local, name: gateway, registry: acme.azurecr.io, dockerfile: Dockerfile}"
    text = f"version: 1\nimage: {image}\nenvironments: {{dev: {{}}, prod: {{manifest: {{output: out/prod.json}}}}}}\n"
    (tmp_path / "manifestgen.yaml").write_text(text)
    users = ("Dockerfile", "app.py", "package.lock.json", "deployment.template.json", "sub/manifestgen.lock.json")
    for name in users:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("FROM scratch\n")
    before = {name: inputs_hash(load(tmp_path, environment=name), None) for name in (None, "dev", "prod")}
    for name in (
        "manifestgen.lock.json", "manifestgen.dev.lock.json", "manifestgen.requirements.lock", "deployment.json",
        "manifestgen.gateway.requirements.lock", "deployment.dev.json", "deployment.prod.json",
    ):  # fmt: skip
        (tmp_path / name).write_text("written")
    assert {name: inputs_hash(load(tmp_path, environment=name), None) for name in before} == before
    files = own_files(tmp_path / "Dockerfile", None, written_files(load(tmp_path)))
    assert {name for name, _ in files} == {*users, "manifestgen.yaml"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prod.json").write_text("written")
    assert inputs_hash(load(tmp_path, environment="prod"), None) == before["prod"]
