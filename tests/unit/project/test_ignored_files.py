"""What git must not see of a project, and what it must: the rendered manifests, and the lock file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from manifestgen.project.start import start

SAMPLE = Path(__file__).parents[3] / "samples" / "anomaly-detection"


def _ignored(folder: Path, name: str) -> bool:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return subprocess.run(["git", "-C", str(folder), "check-ignore", "-q", name], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("origin", ["init", "sample"])
def test_git_keeps_the_lock_file_and_ignores_what_holds_secrets(tmp_path: Path, origin: str) -> None:
    if origin == "init":
        start(tmp_path, "single-module")
    else:
        shutil.copy(SAMPLE / ".gitignore", tmp_path)
    for name in ("manifestgen.lock.json", "prod.lock.json", "manifestgen.yaml"):
        assert not _ignored(tmp_path, name), name
    for name in ("deployment.json", "deployment.prod.json", ".manifestgen/pending.json"):
        assert _ignored(tmp_path, name), name
