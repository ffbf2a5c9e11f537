"""What a user can get wrong: two lines and an exit code each, one JSON document on demand, and nothing half written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.other_client import OtherClient
from integration.command_line import Complaint, complaint, files, in_a_new_process, in_this_process

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def refused(code: int, *arguments: str | Path, folder: Path) -> Complaint:
    """The complaint of a command, which is all that it says and does; with `--output json` it is the document too."""
    before = files(folder)
    text = in_this_process(*arguments, "-q")
    said = complaint(text, code)
    assert text.stderr.count("\n") == 2, text.stderr
    assert text.stdout == ""
    as_json = in_this_process(*arguments, "-q", "--output", "json")
    document = as_json.json
    assert set(document) == {"schema", "error"}
    told = {key: document["error"][key] for key in ("message", "fix", "exit_code")}
    assert told == {"message": said.error, "fix": said.fix, "exit_code": code}
    assert complaint(as_json, code) == said
    kept = {name: content for name, content in files(folder).items() if not name.startswith(".manifestgen/")}
    assert kept == {name: content for name, content in before.items() if not name.startswith(".manifestgen/")}
    return said


@dataclass(frozen=True)
class Mistake:
    """A change of a project, and the words that its complaint must have."""

    words: tuple[str, ...]
    change: Callable[[Any], object]


def _write(name: str, text: str) -> Callable[[Any], object]:
    return lambda project: (project.root / name).write_text(text)


def _edit(before: str, after: str) -> Callable[[Any], object]:
    return lambda project: project.edit(before, after)


def _template(text: str) -> Callable[[Any], object]:
    def change(project: Any) -> None:
        (project.root / "mine.json.j2").write_text(text)
        project.edit("template: anomaly-detection", "template: mine.json.j2")

    return change


_PROJECT = {
    "no project file": Mistake(("project file not found", "manifestgen init"), lambda p: p.file.unlink()),
    "empty": Mistake(("empty", "version: 1"), _write("manifestgen.yaml", "")),
    "YAML error": Mistake(("manifestgen.yaml:3", "YAML"), _write("manifestgen.yaml", "version: 1\nmodel: {name: [\n")),
    "tab": Mistake(("manifestgen.yaml:2",), _write("manifestgen.yaml", "model:\n\tname: x\n")),
    "unknown key": Mistake(("'modle'", "did you mean 'model'?"), _edit("model:", "modle:")),
    "unknown key of a section": Mistake(("'entry_scirpt'", "'entry_script'"), _edit("entry_script", "entry_scirpt")),
    "duplicate key": Mistake(("'version'",), _edit("version: 1\n", "version: 1\nversion: 1\n")),
    "wrong type": Mistake(("model.name is", "manifestgen.yaml:4"), _edit("name: best_model", "name: [1]")),
    "tags as a set": Mistake(("mapping",), _edit("tags: {area: iot}", "tags: {area, iot}")),
    "another version": Mistake(("version 2",), _edit("version: 1", "version: 2")),
    "undefined variable": Mistake(("NOT_THERE",), _edit("DEVICE", '"${env:NOT_THERE}"')),
    "file of a reference missing": Mistake(("no-such-file",), _edit("DEVICE", '"${file:no-such-file}"')),
    "builder": Mistake(("image.builder",), _edit("builder: package", "builder: docker")),
    "not UTF-8": Mistake(("UTF-8",), lambda p: p.file.write_bytes(b"version: 1 # \xff\n")),
}

_INPUTS = {
    "syntax error": Mistake(("score.py:2",), _write("score.py", "def init(): pass\ndef run(\n")),
    "no init": Mistake(("score.py", "init"), _write("score.py", "def run(data): return data\n")),
    "no run": Mistake(("score.py", "run"), _write("score.py", "def init(): pass\n")),
    "init with an argument": Mistake(("init",), _write("score.py", "def init(a): pass\ndef run(data): return 1\n")),
    "run without one": Mistake(("run",), _write("score.py", "def init(): pass\ndef run(): return 1\n")),
    "no script": Mistake(("score.py", "not found"), lambda p: (p.root / "score.py").unlink()),
    "conda file is no YAML": Mistake(("myenv.yml",), _write("myenv.yml", "dependencies: [\n")),
    "conda file without packages": Mistake(("myenv.yml", "dependencies"), _write("myenv.yml", "name: x\n")),
    "no conda file": Mistake(("myenv.yml", "not found"), lambda p: (p.root / "myenv.yml").unlink()),
    "no model": Mistake(("model.pkl", "not found"), lambda p: (p.root / "model.pkl").unlink()),
}

_TEMPLATES = {
    "undefined variable": Mistake(
        ("'nowhere'", "mine.json.j2:2", "is undefined"),
        _template('{"modulesContent": {\n"a": {{ nowhere | tojson }}}}\n'),
    ),
    "no JSON": Mistake(("mine.json.j2:3", "JSON"), _template('{"modulesContent": {\n"a": 1\n"b": 2}}\n')),
    "syntax error": Mistake(("mine.json.j2:2",), _template('{"modulesContent":\n{% if %}}\n')),
    "no such built-in": Mistake(
        ("'anomaly-detektion'", "anomaly-detection"),
        _edit("template: anomaly-detection", "template: anomaly-detektion"),
    ),
    "no such file": Mistake(("nowhere.json.j2",), _edit("template: anomaly-detection", "template: nowhere.json.j2")),
}


@pytest.mark.parametrize("name", _PROJECT)
@pytest.mark.parametrize("command", ["render", "deploy"])
def test_a_wrong_project_file_is_refused_before_anything_is_asked(
    command: str, name: str, project: Any, asked: Any
) -> None:
    project.edit(f"device: {project.device}", "device: DEVICE")
    mistake = _PROJECT[name]
    mistake.change(project)
    said = refused(2, command, project, folder=project.root)
    assert all(words in said for words in mistake.words), said
    assert not (project.root / ".manifestgen").exists()


@pytest.mark.parametrize("name", _INPUTS)
def test_wrong_input_of_an_image_is_refused_before_anything_is_sent(name: str, project: Any, asked: Any) -> None:
    mistake = _INPUTS[name]
    mistake.change(project)
    said = refused(2, "deploy", project, "--yes", folder=project.root)
    assert all(words in said for words in mistake.words), said
    assert (asked.registered, asked.built, asked.applied) == (0, 0, 0)


@pytest.mark.parametrize("name", _TEMPLATES)
def test_a_wrong_template_is_refused_with_its_line(name: str, project: Any) -> None:
    mistake = _TEMPLATES[name]
    mistake.change(project)
    (project.root / "deployment.json").write_text("what was there before")
    said = refused(2, "render", project, "--image", "mcr.microsoft.com/x:1", folder=project.root)
    assert all(words in said for words in mistake.words), said


def test_rendering_before_the_image_is_built_says_so(project: Any) -> None:
    assert "manifestgen image" in refused(2, "render", project, folder=project.root)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rendr"], "render"),
        (["--no-such-option"], "--no-such-option"),
        (["apply"], "missing argument"),
        (["score"], "missing option '--data'"),
        (["render", "--secrets", "shown"], "--secrets"),
        (["render", "--set", "no-equals-sign"], "no-equals-sign"),
        (["render", "--values", "no-such-values.yaml"], "no-such-values.yaml"),
        (["apply", "nowhere.json", "--device", "x", "--yes"], "nowhere.json"),
        (["device", "register", "a/b"], "'a/b'"),
        (["device", "register", "x", "--tag", "broken"], "'broken'"),
        (["image", "--timeout", "soon"], "soon"),
        (["init", "--template", "no-such-template"], "no-such-template"),
        (["sandbox", "run", "--", "no-such-program-anywhere"], "no-such-program-anywhere"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_refused_with_what_to_do(
    arguments: list[str], words: str, ready_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ready_made.root)
    ended = in_this_process(*arguments)
    assert words in complaint(ended, 2), ended
    assert ended.stdout == ""


@pytest.mark.parametrize("command", ["status", "apply"])
def test_a_device_that_the_hub_does_not_know_is_named(command: str, ready_made: Any) -> None:
    _render(ready_made)
    file = [ready_made.root / "deployment.json", "--yes"] if command == "apply" else []
    said = refused(3, command, *file, "--device", "nobody-here", folder=ready_made.root)
    assert "'nobody-here'" in said
    assert "manifestgen device" in said


def test_a_device_that_is_no_edge_device_cannot_be_deployed_to(ready_made: Any, quick: Any, asked: Any) -> None:
    OtherClient(quick.environment["IOTHUB_CONNECTION_STRING"]).register("a-sensor")
    _render(ready_made)
    manifest = ready_made.root / "deployment.json"
    said = refused(3, "apply", manifest, "--device", "a-sensor", "--yes", folder=ready_made.root)
    assert "'a-sensor'" in said
    assert "manifestgen device register" in said
    assert asked.applied == 0


def test_no_device_named_at_all(ready_made: Any) -> None:
    ready_made.edit(f"target: {{device: {ready_made.device}}}\n", "")
    assert "--device" in refused(2, "deploy", ready_made, "--yes", folder=ready_made.root)


def test_no_hub_named_at_all(ready_made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING")
    monkeypatch.chdir(ready_made.root.parent)
    assert "--hub" in refused(2, "status", "--device", "x", folder=ready_made.root)


def test_nobody_to_ask_is_no_yes(ready_made: Any, asked: Any) -> None:
    ended = in_this_process("deploy", ready_made)
    assert "--yes" in complaint(ended, 2)
    assert asked.applied == 0


@pytest.mark.azureml
def test_a_workspace_that_is_not_there_is_named(project: Any) -> None:
    pytest.importorskip("azureml.core")
    project.edit("name: sandbox-ml", "name: no-such-workspace")
    said = refused(3, "image", project, folder=project.root)
    assert "no-such-workspace" in said


@pytest.mark.azureml
def test_a_model_that_is_not_registered_is_named(project: Any) -> None:
    pytest.importorskip("azureml.core")
    project.edit("  name: best_model\n  path: model.pkl\n", "  name: no-such-model\n  version: 7\n")
    said = refused(3, "image", project, folder=project.root)
    assert "no-such-model:7" in said
    assert "manifestgen model list" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("connection", "no HostName"),
        ("HostName=h.azure-devices.net;SharedAccessKeyName=x;SharedAccessKey=%%%", "base64"),
        ("HostName=h.azure-devices.net;DeviceId=d;SharedAccessKey=Y2FuYXJ5", "a device's"),
    ],
)
def test_a_connection_string_that_is_none_is_not_repeated(
    content: str, words: str, ready_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", content)
    said = refused(2, "status", "--device", "x", folder=ready_made.root)
    assert words in said
    assert "SharedAccessKey=…" in said.fix
    assert "Y2FuYXJ5" not in f"{said.error}{said.fix}"


def test_a_port_is_no_host_name(ready_made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(2, "status", "--device", "x", "--hub", "https://sandbox-hub/", folder=ready_made.root)
    assert "'https://sandbox-hub/'" in said


@pytest.mark.parametrize(
    "out",
    ["manifestgen.yaml/deployment.json", "no-such-folder/deployment.json", "."],
    ids=["below a file", "folder missing", "a folder"],
)
def test_an_output_that_cannot_be_written_leaves_nothing(
    out: str, ready_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ready_made.root)
    said = refused(2, "render", "-o", out, folder=ready_made.root)
    assert out in said
    assert "output" in said


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that even root cannot write to")
def test_an_output_folder_that_is_not_writable_is_named(ready_made: Any) -> None:
    said = refused(2, "render", ready_made, "-o", "/proc/deployment.json", folder=ready_made.root)
    assert "/proc/deployment.json" in said


def test_a_project_folder_that_cannot_hold_the_runs_lock_is_refused(ready_made: Any, asked: Any) -> None:
    (ready_made.root / ".manifestgen").write_text("a file where the folder must be")
    said = refused(2, "deploy", ready_made, "--yes", folder=ready_made.root)
    assert "not writable" in said
    assert asked.applied == 0


def test_init_overwrites_nothing(ready_made: Any) -> None:
    said = refused(2, "init", ready_made.root, folder=ready_made.root)
    assert "manifestgen.yaml" in said


def test_a_new_process_says_the_same(project: Any) -> None:
    project.edit("model:", "modle:")
    ended = in_a_new_process("deploy", project, "--yes", cwd=project.root)
    assert "did you mean 'model'?" in complaint(ended, 2)
    assert ended.stderr.count("\n") == 2
    assert ended.stdout == ""


def test_verbose_adds_the_cause_and_no_traceback(ready_made: Any) -> None:
    ended = in_this_process("render", ready_made, "--values", "nowhere.yaml", "-v")
    assert ended.code == 2
    error, fix, cause = ended.stderr.splitlines()
    assert error.startswith("error: ")
    assert fix.startswith("  fix: ")
    assert cause.startswith("  cause: FileNotFoundError")


def test_output_that_nobody_reads_any_more_is_no_error(ready_made: Any) -> None:
    import subprocess
    import sys

    (ready_made.root / "bad.json").write_text("{")
    for arguments, code in (("schema", 0), ("check bad.json", 1)):
        command = f"{sys.executable} -m manifestgen {arguments} | true; exit ${{PIPESTATUS[0]}}"
        ended = subprocess.run(
            ["bash", "-c", command], cwd=ready_made.root, capture_output=True, text=True, check=False, env=os.environ
        )
        assert (ended.stderr, ended.returncode) == ("", code), arguments


def _render(project: Any) -> None:
    assert in_this_process("render", project).code == 0
