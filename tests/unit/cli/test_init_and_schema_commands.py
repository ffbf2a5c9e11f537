from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifestgen.cli import run


@pytest.mark.parametrize("template", ["single-module", "anomaly-detection"])
def test_a_new_project_scores_its_sample_and_renders(
    template: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert run(["init", str(folder), "--template", template]) == 0
    assert run(["test", str(folder), "--here", "--repeat", "1"]) == 0
    assert run(["render", str(folder), "-o", "-", "-q", "--image", "acme.azurecr.io/new:1"]) == 0
    out, err = capsys.readouterr()
    assert f"wrote {folder / 'manifestgen.yaml'}" in out
    assert 'answer    [{"anomaly": false}]' in out
    assert "inputs/amlInput" in out
    assert f"next: manifestgen test {folder}" in err


@pytest.mark.xdist_group("scikit-learn")  # one worker imports it, not each
@pytest.mark.parametrize("kind", ["pkl", "joblib", "score.py"])
def test_a_model_that_is_there_scores_at_once(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joblib = pytest.importorskip("joblib", reason="scikit-learn is not installed")
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    joblib.dump(linear.LinearRegression().fit([[1, 2, 3], [3, 2, 1], [1, 1, 1]], [1, 2, 3]), tmp_path / "model.joblib")
    if kind == "pkl":
        (tmp_path / "model.joblib").rename(tmp_path / "model.pkl")
    if kind == "score.py":
        (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return 1\n")
        (tmp_path / "sample.json").write_text("{}")
    assert run(["init", str(tmp_path)]) == 0
    assert run(["test", str(tmp_path), "--here", "--repeat", "1", "--output", "json"]) == 0
    out = capsys.readouterr().out
    document = json.loads(out[out.index("{") :])
    assert document["schema"] == "manifestgen/test/1"
    assert document["answer"] == 1 if kind == "score.py" else len(document["answer"]["predictions"]) == 1
    assert document["here"] is True


def test_json_output_lists_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path), "--output", "json", "--template", "anomaly-detection"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"manifestgen.yaml", "score.py", "sample.json"} <= {Path(file).name for file in document["files"]}
    assert document["kept"] == []
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
