"""The programs in docs/library.md do what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from integration.command_line import in_this_process

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")


def test_the_program_deploys_the_sample_in_fifteen_lines(sandbox: object, tmp_path: Path) -> None:
    pytest.importorskip("azureml.core", reason="azureml-core is not installed")
    program, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
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
    _, example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    project, image = tmp_path / "my-model", "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"
    assert in_this_process("init", str(project)).code == 0
    rendered = in_this_process("render", str(project), "-o", str(tmp_path / "deployment.json"), "--image", image)
    assert rendered.code == 0, rendered
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "healthy"
    assert "module my-model" in result.stdout
