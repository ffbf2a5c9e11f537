"""The tests with the lowest version of each dependency that pyproject.toml admits; prints which those are.

    python tests/lowest.py [--python 3.10] [PYTEST ARGUMENT …]

A lower bound that nobody tries is a guess. uv installs the direct dependencies at their lowest versions into a new
environment, and the tools of the tests beside them without changing those. Needs the package index.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent

# What uses each dependency: adapters, command line, templates, the sandbox.
TESTS: Final = (
    "tests/unit/azure",
    "tests/unit/cli",
    "tests/contract",
    "tests/templates",
    "tests/integration/test_main_job.py",
    "tests/integration/test_answers.py",
    "tests/integration/test_secrets.py",
)
_TOOLS: Final = (
    "hypothesis",
    "inference-schema",
    "jsonschema",
    "pytest",
    "pytest-cov",
    "pytest-timeout",
    "pytest-xdist",
)
# Old versions of SDKs and of aiohttp warn of what later Pythons and pytests make an error of.
_WARNINGS: Final = ("-W", "default")


def main(arguments: Sequence[str]) -> int:
    """Install and test; returns pytest's exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter or version for the environment")
    options, more = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lowest-") as name:
        folder = Path(name)
        python = folder / "environment" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        _uv("venv", "--quiet", "--no-python-downloads", "--python", options.python, str(folder / "environment"))
        into = ("--quiet", "--python", str(python))
        _uv("pip", "install", *into, "--resolution", "lowest-direct", "--editable", f"{ROOT}[all]")
        pins = folder / "pins.txt"
        frozen = subprocess.run(
            [sys.executable, "-m", "uv", "pip", "freeze", "--exclude-editable", *into],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        pins.write_text(frozen, encoding="utf-8")
        print(frozen, flush=True)
        _uv("pip", "install", *into, "--constraint", str(pins), *_TOOLS)
        chosen = [one for one in more if not one.startswith("-")] or TESTS
        flags = [one for one in more if one.startswith("-")]
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *_WARNINGS, *flags, *chosen]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
