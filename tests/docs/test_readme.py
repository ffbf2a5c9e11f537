"""What the README shows is what happens."""

from __future__ import annotations

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


def test_there_is_one_way_for_a_new_user_and_the_first_guide_has_the_same() -> None:
    lines = [line for line, _ in ALL if line.startswith("manifestgen ")]
    assert [shlex.split(line)[1] for line in lines] == ["init", "test", "sandbox"]
    guide = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    assert all(f"$ {line}\n" in guide for line in lines)


def test_the_demo_prints_what_is_shown(new_sandbox: object, tmp_path: Path) -> None:
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


def plain(text: str) -> str:
    """A line without what differs from run to run: the image's tag, seconds, and how far the device's version went."""
    text = re.sub(r"(tempanomalydetection:)[0-9a-f]{12}", r"\1TAG", text)
    text = re.sub(r"\b\d+ s$", "N s", text)
    return re.sub(r"version \d+", "version N", text)
