from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifestgen.cli import run


def test_a_new_project_renders_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new"
    assert run(["init", str(folder)]) == 0
    assert run(["render", str(folder), "-o", "-", "-q"]) == 0
    out, err = capsys.readouterr()
    assert f"wrote {folder / 'manifestgen.yaml'}" in out
    assert "next: manifestgen render" in err


def test_json_output_lists_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path), "--output", "json", "--template", "anomaly-detection"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [Path(file).name for file in files] == ["manifestgen.yaml", "score.py", "myenv.yml", ".gitignore"]
    assert "template: anomaly-detection" in (tmp_path / "manifestgen.yaml").read_text()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifestgen.yaml").write_text("mine")
    assert run(["init", str(tmp_path)]) == 2
    assert "manifestgen.yaml would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "manifestgen.yaml").read_text() == "mine"


def test_an_unknown_template_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path), "--template", "anomaly-detektion"]) == 2
    assert "did you mean 'anomaly-detection'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_gitignore_of_the_users_is_left_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    assert run(["init", str(tmp_path)]) == 0
    assert "deployment.json" in capsys.readouterr().err
    assert (tmp_path / ".gitignore").read_text() == "mine"


@pytest.mark.parametrize("arguments", [[], ["--output", "json"]])
def test_the_schema_is_printed_as_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", *arguments]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", ["init", "render", "schema"])
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"manifestgen {name}" in capsys.readouterr().out.partition("Examples:")[2]
