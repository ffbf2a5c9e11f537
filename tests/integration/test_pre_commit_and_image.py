"""The hook and the image, as far as the programs for them are here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.command_line import in_this_process

ROOT = Path(__file__).parents[2]
HOOK: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("deployment.json", True),
        ("edge/deployment.json", True),
        ("deployment.amd64.json", True),
        ("deployment.template.json", True),
        ("mydeployment.json", False),
        ("deployment.json.j2", False),
        ("deployment.jsonc", False),
    ],
)
def test_the_hook_looks_at_manifests_and_nothing_else(path: str, matches: bool) -> None:
    assert bool(re.search(HOOK["files"], path)) is matches


def test_the_hooks_command_refuses_a_bad_manifest(tmp_path: Path) -> None:
    bad = tmp_path / "deployment.json"
    bad.write_text(json.dumps({"modulesContent": {"$edgeAgent": 1}}))
    program, *arguments = HOOK["entry"].split()
    assert program == "manifestgen"
    assert in_this_process(*arguments, str(bad)).code == 1


def test_the_image_runs_as_an_ordinary_user_and_holds_no_source() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    *_, last = lines.split("\nFROM ")
    assert re.search(r"^USER \d{4,}$", last, re.M)
    assert "COPY . " not in last
    assert not re.search(r"(?i)arch|amd64|x86", re.sub(r"#.*", "", lines))


@pytest.mark.slow
def test_the_image_builds_and_says_its_version(tmp_path: Path) -> None:
    base = os.environ.get("MANIFESTGEN_TEST_BASE_IMAGE")
    if shutil.which("buildah") is None or not base:
        pytest.skip("needs buildah, and a Python image that is here in MANIFESTGEN_TEST_BASE_IMAGE")
    tag = "manifestgen-test"
    build = ["buildah", "build", "--pull=never", "--build-arg", f"PYTHON={base}", "--tag", tag, str(ROOT)]
    subprocess.run(build, check=True, timeout=600)
    container = subprocess.run(["buildah", "from", tag], check=True, capture_output=True, text=True).stdout.strip()
    try:
        command = ["buildah", "run", container, "--", "sh", "-c", "manifestgen --version; id -u"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    finally:
        subprocess.run(["buildah", "rm", container], check=True, capture_output=True)
    assert said.startswith("manifestgen ") and said.strip().endswith("10001")
