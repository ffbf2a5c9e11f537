"""A model that is tried, in a process of its own with this Python, and in an environment of its own."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes.services import FakeServices
from fakes.wheels import index_in_use, make_wheel

from manifestgen.context.uv import NoUvError, NoWheelError, PythonUnavailableError
from manifestgen.errors import CloudError, FoundError, InputError
from manifestgen.project import load
from manifestgen.project.load import Project
from manifestgen.runner.trial import Trial as RunnersTrial
from manifestgen.trial import setting as settings
from manifestgen.trial.process import Asked
from manifestgen.trial.setting import UntestableError
from manifestgen.trial.trial import sample_of, try_before_build, try_out

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGE = """\
version: 1
workspace: {subscription_id: 5ab5c710-0000-4000-8000-000000000001, resource_group: sandbox, name: sandbox-ml}
model: {name: scales, path: model.json}
image: {builder: package, name: scales, entry_script: score.py, conda_file: myenv.yml}
manifest: {values: {env: {SCALE: 3}}}
"""
CONTEXT = """\
version: 1
model: {name: scales, path: model.json}
image: {builder: local, name: scales, entry_script: score.py, requirements: requirements.txt, registry: acme.azurecr.io}
"""
SCORE = """\
import json
import os
from pathlib import Path

factor = 0


def init():
    global factor
    factor = json.loads((Path(os.environ["AZUREML_MODEL_DIR"]) / "model.json").read_text())["factor"]


def run(data):
    return {"scaled": json.loads(data)["value"] * factor * float(os.environ.get("SCALE", 1))}
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Project]:
    """Writes a project; keyword arguments replace its files, by their stems."""

    def write(kind: str = PACKAGE, **files: str) -> Project:
        usual = {"score.py": SCORE, "model.json": '{"factor": 2}', "sample.json": '{"value": 21}'}
        usual |= {"myenv.yml": f"dependencies: [python={HERE}, {{pip: [azureml-defaults]}}]\n", "requirements.txt": ""}
        for name, text in (usual | {"manifestgen.yaml": kind}).items():
            (tmp_path / name).write_text(files.get(name.partition(".")[0], text))
        return load(tmp_path)

    return write


def here(project: Project, **more: Any) -> Any:
    return try_out(project, FakeServices(), here=True, **more)


def test_a_model_is_scored_where_its_image_has_it(make: Callable[..., Project]) -> None:
    trial = here(make(), asked=Asked(None, repeat=3))
    assert trial.answer == {"scaled": 126.0}
    assert trial.verdict.times.repeat == 3
    assert trial.verdict.memory > 1_000_000
    assert trial.words.startswith('answer {"scaled":126.0}; init ')


def test_without_a_sample_only_init_is_called_and_that_is_said(make: Callable[..., Project]) -> None:
    project = make()
    (project.root / "sample.json").unlink()
    assert sample_of(project) is None
    trial = here(project)
    assert trial.answer is None
    assert trial.words.endswith("run() was not called: there is no sample.json")


def test_the_process_sees_no_logins_and_nothing_beside_the_script(
    make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary")
    monkeypatch.setenv("ACR_PASSWORD_ACME", "canary")
    score = "import os\n\ndef init(): pass\n\ndef run(data): return [sorted(os.environ), os.listdir('.')]\n"
    names, files = here(make(score=score)).answer
    assert not [name for name in names if name.startswith(("AZURE_", "ACR_"))]
    assert {*files} - {"__pycache__"} == {"score.py"}


def test_what_score_py_leaves_running_is_ended(make: Callable[..., Project], tmp_path: Path) -> None:
    score = (
        "import subprocess, sys, threading, time\n\n"
        "def init():\n    threading.Thread(target=time.sleep, args=(600,)).start()\n\n"
        "def run(data):\n    return subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid\n"
    )
    child = here(make(score=score), asked=Asked(None, repeat=1)).answer
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{child}/cmdline").read_bytes():
            break  # it has ended, and waits for its parent to notice
        time.sleep(0.05)
    assert time.monotonic() < deadline


MISTAKES: Mapping[str, tuple[str, str]] = {
    "import": ("import nosuchmodule\n" + SCORE, "score.py:1: there is no module 'nosuchmodule' in the image"),
    "file": (
        SCORE.replace('"model.json"', '"best.json"'),
        "score.py:10: score.py opens 'best.json' in the model's folder",
    ),
    "init": ("def init(): raise RuntimeError('no licence')\n\ndef run(data): return 1\n", "score.py:1: init() raised"),
    "run": ("def init(): pass\n\ndef run(data): return {}['x']\n", "score.py:3: run() raised KeyError: 'x'"),
    "nan": ("def init(): pass\n\ndef run(data): return {'s': float('nan')}\n", "JSON cannot represent"),
    "large": ("def init(): pass\n\ndef run(data): return 'x' * 300000\n", "the result is too large"),
    "loop": ("def init(): pass\n\ndef run(data):\n    while True:\n        pass\n", "run() did not return within 2 s"),
    "killed": (
        "import os\n\ndef init(): os.kill(os.getpid(), 9)\n\ndef run(data): return 1\n",
        "most likely because memory",
    ),
    "exit": ("import os\n\ndef init(): pass\n\ndef run(data): os._exit(3)\n", "in run(), with exit code 3"),
    "error": (
        "def init(): pass\n\ndef run(data): return {'error': 'what is this?'}\n",
        "answers with an error: what is",
    ),
    "arguments": (
        "import functools\n\ndef init(): pass\n\n@functools.cache\ndef run(): return 1\n",
        "no parameter for",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_no_mistake_ends_green(name: str, make: Callable[..., Project]) -> None:
    score, words = MISTAKES[name]
    with pytest.raises(FoundError) as caught:
        here(make(score=score), asked=Asked(None, repeat=1, timeout=2 if name == "loop" else 60))
    assert words in caught.value.message
    assert caught.value.fix


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_memory_has_a_limit_if_one_is_given(make: Callable[..., Project]) -> None:
    score = "def init():\n    kept = [bytes(10_000_000) + b'1' for _ in range(100)]\n\ndef run(data): return 1\n"
    with pytest.raises(FoundError, match=r"init\(\) ran out of memory, of which it may have 300 MiB"):
        here(make(score=score), asked=Asked(None, memory=300))


def test_the_expected_answer_is_compared(make: Callable[..., Project]) -> None:
    project = make()
    assert here(project, expected={"scaled": 126.0000000001}).expected is True
    for expected, words in (
        ({"scaled": 127}, "at /scaled: 126.0, not 127"),
        ({"scaled": 126, "more": 1}, "at /more: it is missing"),
        ({}, "at /scaled: it is not expected"),
        ([1], 'the expected one: {"scaled": 126.0}, not [1]'),
    ):
        with pytest.raises(FoundError) as caught:
            here(project, expected=expected)
        assert words in caught.value.what
    bad = make(score="def init(): pass\n\ndef run(data): return {'error': 'bad'}\n")
    assert here(bad, expected={"error": "bad"}).expected is True


def test_none_is_an_answer_that_is_not_sent(make: Callable[..., Project]) -> None:
    trial = here(make(score="def init(): pass\n\ndef run(data): return None\n"))
    assert not trial.verdict.answer.sent
    assert trial.words.startswith("answer nothing (run() returned None)")


def test_an_image_that_is_built_elsewhere_has_nothing_to_test(make: Callable[..., Project]) -> None:
    project = make("version: 1\nimage: {builder: none, reference: 'acme.azurecr.io/x:1'}\n")
    with pytest.raises(InputError, match="no entry script to test"):
        here(project)


# In an environment of its own.


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "index"
    make_wheel(folder, "paho-mqtt", "2.1.0", {"paho/__init__.py": b""})
    make_wheel(folder, "answer", "42.0", {"answer.py": b"VALUE = 42"})
    with index_in_use(folder, tmp_path / "cache"):
        yield folder


ANSWER = "import answer\n\ndef init(): pass\n\ndef run(data): return answer.VALUE\n"


@pytest.mark.parametrize("kind", ["package", "context"])
def test_packages_come_from_the_projects_requirements(kind: str, make: Callable[..., Project], index: Path) -> None:
    conda = f"dependencies:\n  - python={HERE}\n  - pip: [azureml-defaults, answer]\n"
    base = f"image: {{base: 'acme.azurecr.io/base/python:{HERE}-slim', "
    text = PACKAGE if kind == "package" else CONTEXT.replace("image: {", base)
    project = make(text, score=ANSWER, myenv=conda, requirements="answer\n")
    said: list[str] = []
    trial = try_out(project, FakeServices(), report=said.append)
    assert trial.answer == 42
    assert trial.setting.version_of("answer") == "42.0"
    assert trial.setting.notes == ()
    assert trial.verdict.python.startswith(HERE)
    # Of a context, the lock is kept beside the project: what is tested is what is built.
    assert (project.root / "manifestgen.requirements.lock").exists() == (kind == "context")


def test_the_line_of_a_package_that_is_not_there_is_named(make: Callable[..., Project], index: Path) -> None:
    conda = f"dependencies:\n  - python={HERE}\n  - pip:\n      - answer\n      - scikit-lern\n"
    with pytest.raises(InputError) as caught:
        try_out(make(myenv=conda), FakeServices())
    assert caught.value.where.endswith("myenv.yml:5")
    assert caught.value.what == "package 'scikit-lern' is not on PyPI"
    assert caught.value.fix == "did you mean 'scikit-learn'?"


def test_the_line_of_a_python_that_does_not_exist_is_named(make: Callable[..., Project]) -> None:
    with pytest.raises(InputError) as caught:
        try_out(make(myenv="name: x\ndependencies:\n  - python=3.99\n  - pip: [answer]\n"), FakeServices())
    assert caught.value.where.endswith("myenv.yml:3")
    assert caught.value.what == "there is no Python 3.99"


def test_without_an_index_the_versions_of_the_last_time_are_used(
    make: Callable[..., Project], index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(score=ANSWER, myenv=f"dependencies: [python={HERE}, {{pip: [answer]}}]\n")
    assert try_out(project, FakeServices()).setting.notes == ()

    def unreachable(*arguments: Any) -> str:
        raise CloudError("the package index could not be reached: x", fix="check the network")

    monkeypatch.setattr(settings, "chosen", unreachable)
    trial = try_out(project, FakeServices())
    assert trial.answer == 42
    assert trial.setting.notes[0].startswith(
        "tested with the versions of the last time: the package index could not be"
    )
    (project.root / ".manifestgen" / "test.lock").unlink()
    assert try_before_build(project, FakeServices(), print) == ("not tested: the package index could not be reached: x")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            NoWheelError("package 'x' has no wheel for linux/amd64", fix="f"),
            "in the image it may be built from its source",
        ),
        (NoUvError("uv is not installed", fix="f"), "uv is not installed"),
    ],
)
def test_what_cannot_be_tested_here_is_said_and_no_reason_not_to_build(
    make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, error: InputError, words: str
) -> None:
    def fail(*arguments: Any) -> str:
        raise error

    monkeypatch.setattr(settings, "chosen", fail)
    project = make()
    said = try_before_build(project, FakeServices(), print)
    assert said.startswith("not tested: ")
    assert words in said
    with pytest.raises(InputError):
        try_out(project, FakeServices())


def test_packages_that_only_conda_has_are_not_tested(make: Callable[..., Project]) -> None:
    project = make(myenv=f"dependencies:\n  - python={HERE}\n  - cudatoolkit=11\n")
    with pytest.raises(
        UntestableError, match="cannot be tested on this machine: 'cudatoolkit' is a conda package only"
    ):
        try_out(project, FakeServices())
    assert "conda installs it in the image" in try_before_build(project, FakeServices(), print)


def test_a_python_that_is_not_here_is_replaced_by_this_one_and_that_is_said(
    make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def made(lock: str, *, python: str, folder: Path, where: str) -> Path:
        asked.append(python)
        if python != HERE:
            raise PythonUnavailableError(python, where)
        return Path(sys.executable)

    monkeypatch.setattr(settings, "environment", made)
    monkeypatch.setattr(settings, "chosen", lambda *arguments: "answer==42.0\n")
    monkeypatch.setattr(settings, "python_exists", lambda version: True)
    trial = try_out(make(myenv="dependencies: [python=3.6, {pip: [answer]}]\n"), FakeServices())
    assert asked == ["3.6", HERE]
    assert f"tested with Python {HERE}: Python 3.6 is not on this machine" in trial.setting.notes[0]


# In the process, by the runner's own module.


def events_of(folder: Path, score: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    (folder / "score.py").write_text(score)
    events = io.StringIO()
    with (folder / "trace").open("w") as trace:
        environ = {"AML_APP_ROOT": str(folder), "AZUREML_MODEL_DIR": str(folder)}
        RunnersTrial(events, trace, asked, environ).run()
    return [json.loads(line) for line in events.getvalue().splitlines()]


def test_every_step_is_written_as_it_happens(tmp_path: Path) -> None:
    found = events_of(tmp_path, "def init(): pass\ndef run(data): return data\n", {"input": "e30=", "repeat": 2})
    assert [event["event"] for event in found] == [
        *("started", "begins", "imported", "begins", "init", "begins", "run", "answer", "begins", "run"),
    ]
    assert all(event["memory"] > 0 for event in found)


def test_a_failure_has_the_frames_and_the_phase(tmp_path: Path) -> None:
    found = events_of(tmp_path, "import os\ndef init(): open('nothing')\ndef run(data): return data\n", {})
    assert (found[-1]["phase"], found[-1]["kind"], found[-1]["missing"]) == ("init", "FileNotFoundError", "nothing")
    assert found[-1]["frames"][-1][1:] == [2, "init"]
    syntax = events_of(tmp_path, "import broken\n", {})[-1] if (tmp_path / "broken.py").write_text("def f(:\n") else {}
    assert syntax["frames"][-1][:2] == [str(tmp_path / "broken.py"), 1]
    assert events_of(tmp_path, "def init(): pass\n", {})[-1]["phase"] == "contract"


def test_the_place_of_what_json_cannot_represent_is_found(tmp_path: Path) -> None:
    score = "def init(): pass\ndef run(data): return {'a': [1, {'b': {2}}]}\n"
    found = events_of(tmp_path, score, {"input": "e30="})
    assert found[-1]["place"] == "['a'][1]['b'], of type set"
    raising = events_of(tmp_path, "def init(): pass\ndef run(data): raise SystemExit(2)\n", {"input": "e30="})
    assert (raising[-1]["phase"], raising[-1]["kind"]) == ("run", "SystemExit")
    rejected = events_of(tmp_path, "def init(): pass\ndef run(data): return 1\n", {"input": "/w=="})
    assert rejected[-1]["event"] == "rejected"
