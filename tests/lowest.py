"""The tests with the lowest version of each dependency that pyproject.toml admits; prints which those are.

    python tests/lowest.py [--python 3.10] [PYTEST ARGUMENT …]

A lower bound that nobody tries is a guess. uv works out the lowest versions of the direct dependencies; then everything
is installed into a new environment in one go, the tools of the tests too, with these as constraints. What the
dependencies need in their turn is as new as it gets. Needs the package index.
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
        lowest = folder / "lowest.txt"
        lowest.write_text("\n".join(lowest_versions(python)), encoding="utf-8")
        print(lowest.read_text(encoding="utf-8"), flush=True)
        constraints = ("--python", str(python), "--constraint", str(lowest))
        _uv("pip", "install", "--quiet", *constraints, "--editable", f"{ROOT}[all]", *_TOOLS)
        chosen = [one for one in more if not one.startswith("-")] or TESTS
        flags = [one for one in more if one.startswith("-")]
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *_WARNINGS, *flags, *chosen]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def lowest_versions(python: Path) -> list[str]:
    """`NAME==VERSION` of each direct dependency, as low as pyproject.toml and the others admit."""
    listed = _uv(
        "pip", "compile", "--quiet", "--no-header", "--annotation-style=line", "--resolution=lowest-direct",
        "--python", str(python), "--extra=all", str(ROOT / "pyproject.toml"),
    )  # fmt: skip
    # Each line ends with who needs it: `click==8.2.0  # via manifestgen (pyproject.toml)`.
    return [line.split()[0] for line in listed.splitlines() if "manifestgen (" in line]


def _uv(*arguments: str) -> str:
    command = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
