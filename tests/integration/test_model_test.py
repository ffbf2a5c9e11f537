"""`manifestgen test` as a user runs it, and as `image` and `deploy` run it before they build."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.wheels import index_in_use, make_wheel
from integration.command_line import building_project, complaint, in_a_new_process, in_this_process

pytest.importorskip("aiohttp", reason="the sandbox is not installed")

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SCORE = "import answer\n\ndef init(): pass\n\ndef run(data): return {'answer': answer.VALUE}\n"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[None]:
    make_wheel(tmp_path / "index", "paho-mqtt", "2.1.0", {"paho/__init__.py": b""})
    make_wheel(tmp_path / "index", "answer", "42.0", {"answer.py": b"VALUE = 42"})
    with index_in_use(tmp_path / "index", tmp_path / "cache"):
        yield


def test_the_guides_first_commands_work_as_they_are(index: None, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    commands, shown = re.findall(r"```(?:sh|text)\n(.*?)```", guide, re.DOTALL)[:2]
    printed = ""
    for line in commands.splitlines():
        program, *arguments = line.split()
        assert program == "manifestgen"
        done = in_a_new_process(*arguments, cwd=tmp_path)
        assert done.code == 0, done
        printed = done.stdout
    assert printed.splitlines()[0] == shown.splitlines()[0]
    assert [line.split()[0] for line in printed.splitlines()] == [line.split()[0] for line in shown.splitlines()]


@pytest.fixture
def project(tmp_path: Path, index: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has Azure ML build its image, and is tested before."""
    monkeypatch.delenv("MANIFESTGEN_NO_TEST")
    folder = building_project(tmp_path / "project", "tested")
    (folder / "score.py").write_text(SCORE)
    (folder / "myenv.yml").write_text(f"dependencies:\n  - python={HERE}\n  - pip: [azureml-defaults, answer]\n")
    (folder / "sample.json").write_text("{}")
    return folder


def test_the_answer_its_times_and_the_memory_are_printed(project: Path) -> None:
    done = in_a_new_process("test", project, cwd=project)
    assert done.code == 0, done
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["answer"] == '{"answer": 42}'
    assert lines["times"].startswith("init 0.")
    assert lines["memory"].endswith("MB at most")
    assert lines["packages"].startswith("2 of myenv.yml, Python ")


def test_a_pipeline_reads_one_document(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "expected.json").write_text('{"answer": 42}')
    (project / "message.json").write_text("{}")
    options = ("--input", project / "message.json", "--repeat", "2", "--expect", project / "expected.json")
    done = in_this_process("test", project, *options, "--output", "json")
    assert done.code == 0, done
    assert set(done.json) == {
        *("schema", "input", "answer", "sent", "expected", "times", "memory", "python", "packages", "here", "notes"),
    }
    assert (done.json["schema"], done.json["answer"], done.json["expected"]) == (
        "manifestgen/test/1",
        {"answer": 42},
        True,
    )
    assert done.json["times"]["repeat"] == 2
    (project / "expected.json").write_text('{"answer": 43}')
    differs = complaint(in_this_process("test", project, *options), 1)
    assert "the answer differs from the expected one at /answer: 42, not 43" in differs
    for broken in ("{", "[" * 100_000):
        (project / "expected.json").write_text(broken)
        assert "not JSON" in complaint(in_this_process("test", project, *options), 2)
    assert "stdin cannot be both" in complaint(in_this_process("test", project, "--input", "-", "--expect", "-"), 2)


def test_without_a_message_it_says_what_to_write(project: Path) -> None:
    (project / "sample.json").unlink()
    said = complaint(in_this_process("test", project), 2)
    assert "there is no message to score" in said
    assert "sample.json" in said.fix


def test_a_mistake_is_two_lines_and_what_the_script_printed_is_above_them(project: Path) -> None:
    (project / "score.py").write_text("def init(): print('loading')\n\ndef run(data): return {}['x']\n")
    done = in_this_process("test", project)
    assert complaint(done, 1).error == f"{project / 'score.py'}:3: run() raised KeyError: 'x'"
    assert "  | loading" in done.stderr


def test_nothing_is_registered_or_built_for_a_model_that_does_not_score(project: Path, quick: Any) -> None:
    pytest.importorskip("azureml.core", reason="azureml-core is not installed")
    (project / "score.py").write_text(SCORE.replace("answer.VALUE", "answer.VALEU"))
    said = complaint(in_this_process("image", project), 1)
    assert "run() raised AttributeError: module 'answer' has no attribute 'VALEU'" in said
    assert "build it untested with --no-test" in said.fix
    assert not list(quick.world.store.items("build"))
    assert in_this_process("image", project, "--no-test", "-q").code == 0


def test_deploy_tests_what_it_builds_and_only_that(project: Path, quick: Any) -> None:
    pytest.importorskip("azureml.core", reason="azureml-core is not installed")
    manifest = "manifest: {template: single-module}\nhub: {host: sandbox-hub.azure-devices.net}\n"
    with (project / "manifestgen.yaml").open("a") as stream:
        stream.write(f"registry: {{credentials: admin}}\n{manifest}target: {{device: edge-01}}\n")
    first = in_this_process("deploy", project, "--yes", "--prune")
    assert first.code == 0, first
    assert 'test      answer {"answer":42}; init ' in first.stderr
    assert "test      not run: no image is built" in in_this_process("deploy", project, "--yes", "--prune").stderr
    asked = in_this_process("deploy", project, "--yes", "--prune", "--test")
    assert 'test      answer {"answer":42}' in asked.stderr
    dry = in_this_process("deploy", project, "--dry-run", "--rebuild", "--prune")
    assert "test      not run in a dry run" in dry.stderr


def test_the_sandboxs_build_fails_for_packages_that_are_not_there(
    project: Path, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("azureml.core", reason="azureml-core is not installed")
    monkeypatch.setattr(quick.world, "pace", replace(quick.world.pace, packages=True))
    text = (project / "myenv.yml").read_text()
    (project / "myenv.yml").write_text(text.replace("answer", "scikit-lern"))
    failed = in_this_process("image", project, "--no-test")
    assert "the image build failed: package 'scikit-lern' is not on PyPI" in complaint(failed, 1)
    (project / "myenv.yml").write_text(f"# It exists.\n{text}")
    built = in_this_process("image", project, "--no-test")
    assert built.code == 0, built
    assert "  |  + answer==42.0" in built.stderr
    (built,) = json.loads((project / "manifestgen.lock.json").read_text())["modules"].values()
    assert built["builder"] == "package"
