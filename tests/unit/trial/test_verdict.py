"""What a process leaves behind, and which mistake that is: no process is run here."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from manifestgen.errors import FoundError
from manifestgen.trial.layout import Layout
from manifestgen.trial.process import Asked, Left
from manifestgen.trial.setting import Setting
from manifestgen.trial.verdict import judge

LOCK = "numpy==2.4.0 \\\n    --hash=sha256:00\nscikit-learn==1.7.2 \\\n    --hash=sha256:00\n"


@dataclass
class Case:
    """A project, laid out, whose process left something behind."""

    root: Path
    asked: Asked = field(default_factory=lambda: Asked(b"{}", timeout=8))

    def __post_init__(self) -> None:
        for name in ("app", "model", "runner", "project"):
            (self.root / name).mkdir()
        (self.project / "score.py").write_text("import json\n\ndef init(): pass\n\ndef run(data): return data\n")
        (self.project / "model.pkl").write_bytes(b"\x80\x04.")
        (self.project / "myenv.yml").write_text("")
        (self.root / "model" / "model.pkl").symlink_to(self.project / "model.pkl")

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def layout(self) -> Layout:
        app, model, runner = (self.root / name for name in ("app", "model", "runner"))
        return Layout(app, model, runner, self.project / "score.py", self.project / "model.pkl", {})

    def left(self, *events: Mapping[str, Any], code: int = 0, trace: str = "", output: str = "") -> Left:
        return Left(tuple({"memory": 1_000_000, **event} for event in events), trace, output, code)

    def found(self, *events: Mapping[str, Any], **more: Any) -> FoundError:
        setting = Setting(Path("python"), self.project / "myenv.yml", LOCK)
        with pytest.raises(FoundError) as caught:
            judge(self.left(*events, **more), self.layout, setting, self.asked, "sample.json")
        return caught.value

    def failed(self, phase: str, kind: str, reason: str, **more: Any) -> Mapping[str, Any]:
        frames = [["/runner.py", 3, "run"], [str(self.root / "app" / "score.py"), 17, phase], ["/lib/x.py", 5, "f"]]
        usual = {"event": "failed", "frames": frames, "missing": "", "importing": "", "opened": ""}
        return {**usual, "phase": phase, "kind": kind, "reason": reason, **more}

    def opened(self) -> str:
        return str(self.root / "model" / "model.pkl")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_an_answer_has_its_times_and_its_memory(case: Case) -> None:
    body = json.dumps({"anomaly": True}).encode()
    left = case.left(
        {"event": "started", "python": "3.11.7"},
        {"event": "imported", "seconds": 0.5},
        {"event": "init", "seconds": 1.0},
        {"event": "run", "seconds": 0.3},
        {"event": "answer", "sent": True, "contentType": "application/json", "body": base64.b64encode(body).decode()},
        {"event": "run", "seconds": 0.1},
        {"event": "run", "seconds": 0.2},
        {"event": "warning", "text": "UserWarning: old"},
        {"event": "done", "memory": 2_000_000},
        output="loading\n",
    )
    verdict = judge(left, case.layout, Setting(Path("python")), case.asked, "sample.json")
    assert verdict.answer is not None
    assert (verdict.answer.sent, verdict.answer.body) == (True, body)
    assert verdict.times.init == 1.5
    assert (verdict.times.first, verdict.times.median, verdict.times.repeat) == (0.3, 0.2, 3)
    assert (verdict.memory, verdict.python, verdict.printed) == (2_000_000, "3.11.7", "loading\n")
    assert verdict.warnings == ("UserWarning: old",)


def test_without_a_message_there_is_no_answer(case: Case) -> None:
    left = case.left({"event": "init", "seconds": 1.0}, {"event": "done"})
    verdict = judge(left, case.layout, Setting(Path("python")), case.asked, "sample.json")
    assert verdict.answer is None
    assert verdict.times.first is None


def test_a_missing_module_names_the_package_that_has_it(case: Case) -> None:
    event = case.failed("import", "ModuleNotFoundError", "ModuleNotFoundError: No module named 'cv2'", importing="cv2")
    error = case.found(event)
    assert error.where == f"{case.project / 'score.py'}:17"
    assert error.what == "there is no module 'cv2' in the image"
    assert error.fix == "add opencv-python-headless to myenv.yml"
    unknown = case.found({**event, "importing": "nosuch", "reason": "ModuleNotFoundError: No module named 'nosuch'"})
    assert unknown.fix == "add it to myenv.yml if it is a package, or correct the name"


def test_a_module_that_the_pickle_needs_names_the_pickle(case: Case) -> None:
    reason = "ModuleNotFoundError: No module named 'sklearn'"
    event = case.failed("init", "ModuleNotFoundError", reason, importing="sklearn", opened=case.opened())
    error = case.found(event)
    assert error.what == "there is no module 'sklearn' in the image, and model.pkl needs it"
    assert error.fix == "add scikit-learn to myenv.yml"


def test_a_name_that_a_package_does_not_have_is_said_in_pythons_words(case: Case) -> None:
    reason = "ImportError: cannot import name 'x' from 'json'"
    error = case.found(case.failed("import", "ImportError", reason, importing="json"))
    assert error.what == reason


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"this is my model\n", "this is not a pickle but a text, which begins with 'this is my model'"),
        (b"", "the model's file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "this is a pointer of Git LFS, not the model"),
        (b"\xff\xfe\x00\x01\xff\xfe\x00\x01", "this is not a pickle"),
    ],
)
def test_a_model_that_is_not_a_pickle_is_named(case: Case, content: bytes, what: str) -> None:
    (case.project / "model.pkl").write_bytes(content)
    error = case.found(
        case.failed("init", "UnpicklingError", "UnpicklingError: invalid load key", opened=case.opened())
    )
    assert (error.where, error.what) == (str(case.project / "model.pkl"), what)


def test_an_unpickling_that_fails_because_of_the_version_names_both_versions(case: Case) -> None:
    (case.project / "model.pkl").write_bytes(b"\x80\x04\x8c\x10_sklearn_version\x94\x8c\x061.0.12\x94.")
    error = case.found(case.failed("init", "AttributeError", "AttributeError: x", opened=case.opened()))
    assert error.what == "the model was saved with scikit-learn 1.0.12, and the image has 1.7.2"
    assert error.fix == "write scikit-learn==1.0.12 in myenv.yml, or train the model again with 1.7.2"


def test_an_unpickling_that_works_with_another_version_is_found_too(case: Case) -> None:
    version = {"event": "version", "package": "scikit-learn", "made": "1.5.2", "installed": "1.7.2"}
    error = case.found({**version, "opened": case.opened()}, {"event": "done"})
    assert error.where == str(case.project / "model.pkl")
    assert error.what == "the model was saved with scikit-learn 1.5.2, and the image has 1.7.2"


def test_a_class_of_a_notebook_is_named(case: Case) -> None:
    reason = "AttributeError: Can't get attribute 'Doubler' on <module 'manifestgen_runner.trial'>"
    error = case.found(case.failed("init", "AttributeError", reason, opened=case.opened()))
    assert "needs the class 'Doubler' of the script that saved it" in error.what


def test_a_file_that_the_model_does_not_have_is_named_with_those_it_has(case: Case) -> None:
    missing = str(case.root / "model" / "best.pkl")
    error = case.found(case.failed("init", "FileNotFoundError", "FileNotFoundError: x", missing=missing))
    assert (
        error.what == "score.py opens 'best.pkl' in the model's folder, which does not have it; the model is model.pkl"
    )
    assert error.fix == "open 'model.pkl', or correct model.path"


def test_a_file_beside_the_script_is_not_in_the_image(case: Case) -> None:
    (case.project / "labels.txt").write_text("a")
    event = case.failed("init", "FileNotFoundError", "FileNotFoundError: x", missing="labels.txt")
    assert (
        case.found(event).what == "score.py opens 'labels.txt', which lies beside it here but is not part of the image"
    )
    absent = case.found({**event, "missing": "other.txt"})
    assert absent.what == "score.py opens 'other.txt', which does not exist; the model is model.pkl"
    elsewhere = case.found({**event, "missing": "/data/model.pkl"})
    assert elsewhere.what == "score.py opens /data/model.pkl, which the image does not have"


def test_what_init_or_run_raises_is_said_with_its_line(case: Case) -> None:
    error = case.found(case.failed("run", "KeyError", "KeyError: 'machine'"))
    assert error.message == f"{case.project / 'score.py'}:17: run() raised KeyError: 'machine'"
    assert error.fix == "correct run(), or the message in sample.json"
    error = case.found(case.failed("init", "RuntimeError", "RuntimeError: no licence"), output="a\n\nb\n")
    assert error.what == "init() raised RuntimeError: no licence"
    assert error.detail == ("a", "b")


def test_a_script_that_breaks_the_contract_is_said(case: Case) -> None:
    event = case.failed("contract", "ScorerError", "ScorerError: run() has no parameter for the input")
    assert case.found(event).what == "run() has no parameter for the input"


def test_memory_that_runs_out_is_said(case: Case) -> None:
    case.asked = Asked(b"", memory=800)
    error = case.found(case.failed("init", "MemoryError", "MemoryError"))
    assert error.what == "init() ran out of memory, of which it may have 800 MiB; it used 1 MB before"
    killed = case.found({"event": "begins", "phase": "run"}, code=-9)
    assert killed.what == "the process was killed in run(), most likely because memory ran out; it used 1 MB"


def test_what_never_returns_is_said_with_the_line_where_it_was(case: Case) -> None:
    inner = 'Timeout (0:00:08)!\nThread 0x1:\n  File "/lib/y.py", line 1 in f\n'
    trace = f'{inner}  File "{case.root}/app/score.py", line 9 in run\n'
    error = case.found({"event": "begins", "phase": "run"}, code=1, trace=trace)
    assert error.message == f"{case.project / 'score.py'}:9: run() did not return within 8 s"


def test_a_crash_and_an_end_are_said(case: Case) -> None:
    trace = f'Fatal Python error: Segmentation fault\n  File "{case.root}/app/score.py", line 9 in run\n'
    error = case.found({"event": "begins", "phase": "run"}, code=-11, trace=trace)
    assert error.message == f"{case.project / 'score.py'}:9: the process crashed in run(): SIGSEGV"
    error = case.found({"event": "begins", "phase": "init"}, code=3)
    assert error.what == "score.py ended the process in init(), with exit code 3"
    assert case.found(code=1).what == "Python could not be started"


def test_an_answer_that_json_cannot_represent_is_said_with_its_place(case: Case) -> None:
    reason = "run() returned a value that JSON cannot represent: Object of type ndarray is not JSON serializable"
    place = "['scores'], of type numpy.ndarray"
    error = case.found({"event": "unsendable", "reason": reason, "place": place})
    assert error.message == f"{case.project / 'score.py'}:5: {reason}: result{place}"
    assert "x.tolist()" in error.fix
    large = case.found({"event": "unsendable", "reason": "the result is too large: 1", "place": ""})
    assert large.what == "the result is too large: 1"


def test_a_message_that_run_cannot_be_called_with_is_the_messages_fault(case: Case) -> None:
    error = case.found({"event": "rejected", "reason": "the input is not a JSON object"})
    assert error.message == "sample.json: run() cannot be called with this message: the input is not a JSON object"
