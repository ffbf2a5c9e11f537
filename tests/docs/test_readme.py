"""What the README shows is what happens."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(line)
    assert words[0] == "manifestgen"
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def commands(block: str) -> list[tuple[str, list[str]]]:
    """Command lines of a block, each with the lines of output that it shows."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


# Lines that only a sandbox prints whose devices run their modules: tests/unit/sandbox/test_running_modules.py.
_RUNNING = ("score ", "messages ")

ALL = [command for block in BLOCKS for command in commands(block)]


def test_the_quick_start_works_in_an_empty_folder(tmp_path: Path) -> None:
    offline = [line for line, _ in ALL if line.split()[:2][-1] in ("init", "render", "check")]
    assert len(offline) == 3
    for line in offline:
        result = run(line, tmp_path)
        assert result.returncode == 0, result.stderr
    assert "modulesContent" in json.loads((tmp_path / "deployment.json").read_text())


def test_the_error_is_the_one_that_is_shown(tmp_path: Path) -> None:
    (line, shown), *_ = [command for command in ALL if any(text.startswith("error: ") for text in command[1])]
    result = run(line, tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines() == shown


def test_the_twenty_second_example_prints_what_is_shown(new_sandbox: object, tmp_path: Path) -> None:
    pytest.importorskip("azureml.core", reason="azureml-core is not installed")
    (_, shown), *_ = [command for command in ALL if command[0] == "make demo"]
    (inner,) = re.findall(r"^\t@\$\(BIN\)/(manifestgen deploy .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shutil.copytree(
        ROOT / "samples", tmp_path / "samples", ignore=shutil.ignore_patterns(".manifestgen", "manifestgen.lock.json")
    )
    result = run(inner, tmp_path)
    assert result.returncode == 0, result.stderr
    printed = [plain(text) for text in (result.stderr + result.stdout).splitlines()]
    # What needs a package index is not there in a test.
    left_out = ("sandbox: ", "test ", "  | ", *_RUNNING)
    missing = [text for text in shown if plain(text) not in printed and not text.startswith(left_out)]
    assert missing == []
    assert [text.split()[0] for text in shown if text.startswith(_RUNNING)] == ["score", "messages"]


def test_the_program_deploys_the_sample_in_fifteen_lines(sandbox: object, tmp_path: Path) -> None:
    pytest.importorskip("azureml.core", reason="azureml-core is not installed")
    program, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(program.splitlines()) <= 15
    ignored = shutil.ignore_patterns(".manifestgen", "manifestgen.lock.json")
    shutil.copytree(ROOT / "samples", tmp_path / "samples", ignore=ignored)
    environment = {**os.environ, "MANIFESTGEN_STATE": str(tmp_path / "state")}
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    *steps, last = result.stdout.splitlines()
    assert [step.split()[0] for step in steps] == ["test", "image", "render", "check", "preflight", "apply", "wait"]
    assert re.fullmatch(r"sandboxmodels\.azurecr\.io/tempanomalydetection:[0-9a-f]{12} is healthy", last)
    assert (tmp_path / "samples" / "anomaly-detection" / "manifestgen.lock.json").is_file()
    assert "Traceback" not in result.stderr


def test_the_library_example_deploys(sandbox: object, tmp_path: Path) -> None:
    _, example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    project = tmp_path / "my-model"
    assert run("manifestgen init my-model", tmp_path).returncode == 0
    image = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"
    assert run(f"manifestgen render my-model -o deployment.json --image {image}", tmp_path).returncode == 0, project
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "healthy"
    assert "module machinelearningmodule" in result.stdout


def plain(text: str) -> str:
    """A line without what differs from run to run: the image's tag, seconds, and how far the device's version went."""
    text = re.sub(r"(tempanomalydetection:)[0-9a-f]{12}", r"\1TAG", text)
    text = re.sub(r"\b\d+ s$", "N s", text)
    return re.sub(r"version \d+", "version N", text)
