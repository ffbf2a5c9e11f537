from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from manifestgen.cli import run
from manifestgen.credentials.logins import placeholders
from manifestgen.manifest.dump import dump
from manifestgen.project import load
from manifestgen.project.score import check_inputs
from manifestgen.render import builtin_names, context_of, render, render_project

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "samples"
GOLDEN = ROOT / "tests" / "golden" / "render"
IMAGE = "acme.azurecr.io/scorer:1.4.2"

projects = sorted(path.parent.name for path in SAMPLES.glob("*/manifestgen.yaml"))


def test_there_are_the_samples_that_the_documentation_names() -> None:
    assert projects == ["anomaly-detection", "bring-your-own-image", "onnx-vision", "several-modules"]


@pytest.mark.parametrize("name", projects)
def test_a_sample_renders_as_it_did(name: str, golden: Callable[[Path, str], None]) -> None:
    project = load(SAMPLES / name)
    images = {module.name: IMAGE for module in project.modules if module.builds}
    rendered = render_project(project, placeholders(), image=images)
    golden(GOLDEN / f"sample-{name}.json", dump(rendered.manifest.content))


@pytest.mark.parametrize("name", builtin_names())
def test_a_built_in_template_renders_as_it_did(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.json", dump(render(name, context_of(image=IMAGE)).content))


@pytest.mark.parametrize("name", projects)
def test_what_a_sample_names_is_there_and_fit_to_be_built(name: str) -> None:
    for one in load(SAMPLES / name).each():
        check_inputs(one)


def test_bring_your_own_image_needs_no_network_no_variables_and_no_azure() -> None:
    # Every import of an SDK fails, and so does every socket.
    blocked = (
        "import sys, socket\n"
        "for name in ('azure', 'azureml', 'azureml.core', 'msrest', 'requests'): sys.modules[name] = None\n"
        "def refuse(*_): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "from manifestgen.cli import run\n"
        "sys.exit(run(['render', sys.argv[1], '-o', '-']))\n"
    )
    environ = {"PATH": os.environ["PATH"], "SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}
    done = subprocess.run(
        [sys.executable, "-c", blocked, str(SAMPLES / "bring-your-own-image")],
        capture_output=True, text=True, env=environ, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["modulesContent"]["scorer"]["properties.desired"]["site"]["name"] == "hall-3"


ANOMALY = SAMPLES / "anomaly-detection"


# One worker trains, not each of them.
one_worker = pytest.mark.xdist_group("samples")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample without what its scripts make, and then with it."""
    folder = tmp_path_factory.mktemp("samples") / "anomaly-detection"
    shutil.copytree(ANOMALY, folder, ignore=shutil.ignore_patterns("model.pkl", "sensor.csv", "__pycache__"))
    for script in ("make_data.py", "train.py"):
        subprocess.run(
            [sys.executable, "-W", "error", script], cwd=folder, check=True, capture_output=True, timeout=120
        )
    return folder


# One process, as scikit-learn takes longer to import than all that is asked of it: three folders, each with a score.py
# that is imported anew, and with the folder of its model, if Azure ML names one.
SCORING = """\
import csv, json, os, sys

answers = []
for folder, models in json.loads(sys.argv[1]):
    os.chdir(folder)
    os.environ.pop("AZUREML_MODEL_DIR", None)
    if models:
        os.environ["AZUREML_MODEL_DIR"] = models
    sys.modules.pop("score", None)
    import score

    assert os.path.samefile(os.path.dirname(os.path.abspath(score.__file__)), folder)
    score.init()
    with open("sensor.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    messages = [{"machine": {name: float(row[name]) for name in ("temperature", "pressure")}} for row in rows]
    results = [score.run(json.dumps(message)) for message in messages]
    assert score.run(json.dumps(messages)) == results == score.run(messages)
    errors = [score.run("no JSON"), score.run("{}"), score.run('{"machine": {"temperature": "hot", "pressure": 1}}')]
    answers.append({"known": [row["anomaly"] == "1" for row in rows], "results": results, "errors": errors})
print(json.dumps(answers))
"""

Answer = dict[str, list[object]]


@pytest.fixture(scope="module")
def answers(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What the model says: the one that was trained here, the committed one, and the first from Azure ML's place."""
    folder = tmp_path_factory.mktemp("azureml")
    (folder / "models").mkdir()
    (folder / "models" / "model.pkl").write_bytes((trained / "model.pkl").read_bytes())
    elsewhere = shutil.copytree(trained, folder / "server", ignore=shutil.ignore_patterns("model.pkl"))
    places = {"trained": (trained, None), "committed": (ANOMALY, None), "elsewhere": (elsewhere, folder / "models")}
    asked = json.dumps([[str(place), models and str(models)] for place, models in places.values()])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCORING, asked],
        cwd=folder, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return dict(zip(places, json.loads(done.stdout), strict=True))


@one_worker
def test_the_model_that_train_makes_finds_the_anomalies(answers: dict[str, Answer]) -> None:
    answer = answers["trained"]
    found = [result["anomaly"] for result in answer["results"] if isinstance(result, dict)]
    assert found == answer["known"]
    assert sum(map(bool, found)) == 12
    assert all("not a message of the sensor" in str(error) for error in answer["errors"])


@one_worker
def test_the_committed_data_and_model_are_what_the_scripts_make(trained: Path, answers: dict[str, Answer]) -> None:
    assert (trained / "sensor.csv").read_bytes() == (ANOMALY / "sensor.csv").read_bytes()
    assert answers["committed"] == answers["trained"]


@one_worker
def test_the_model_is_loaded_from_where_azure_ml_puts_it(answers: dict[str, Answer]) -> None:
    assert answers["elsewhere"] == answers["trained"]


def test_the_image_gets_the_version_that_the_model_was_made_with() -> None:
    installed = importlib.metadata.version("scikit-learn")
    packages = yaml.safe_load((ANOMALY / "myenv.yml").read_text())["dependencies"]
    pip = next(package["pip"] for package in packages if isinstance(package, dict))
    assert f"scikit-learn=={installed}" in pip
    assert f'"scikit-learn=={installed}"' in (ROOT / "pyproject.toml").read_text()


def test_its_names_are_those_of_the_sandbox() -> None:
    from manifestgen.sandbox.world import Names

    names = Names()
    project = load(ANOMALY)
    assert json.loads((ANOMALY / "config.json").read_text()) == {
        "subscription_id": names.subscription_id,
        "resource_group": names.resource_group,
        "workspace_name": names.workspace,
    }
    assert project.hub is not None
    assert project.target is not None
    assert (project.hub.host, project.target.device) == (names.hub_host, names.device)


def test_its_model_is_small() -> None:
    assert (ANOMALY / "model.pkl").stat().st_size < 100_000


@pytest.mark.parametrize("name", builtin_names())
def test_the_checker_finds_nothing_in_a_built_in_template(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACR_USERNAME_ACME", "acme")
    monkeypatch.setenv("ACR_PASSWORD_ACME", "canary-password")
    (tmp_path / "manifestgen.yaml").write_text(
        f"version: 1\nregistry: {{credentials: env}}\nmanifest: {{template: {name}}}\n"
    )
    assert run(["render", str(tmp_path), "--image", IMAGE, "-q"]) == 0
    capsys.readouterr()
    assert run(["check", str(tmp_path / "deployment.json"), "--output", "json", "--fail-on", "info"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"] == {"errors": 0, "warnings": 0, "infos": 0}
