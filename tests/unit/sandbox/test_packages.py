"""The packages of the sandbox's builds: really installed, from an index on loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.wheels import index_in_use, make_wheel

from manifestgen.context.uv import NoWheelError, PythonUnavailableError
from manifestgen.errors import CloudError
from manifestgen.sandbox import packages
from manifestgen.sandbox.acr_tasks import pip
from manifestgen.sandbox.acr_tasks.source import Entry
from manifestgen.sandbox.packages import in_background, install, install_conda

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[None]:
    make_wheel(tmp_path / "index", "answer", "42.0", {"answer.py": b"VALUE = 42"}, requires=["question<2"])
    make_wheel(tmp_path / "index", "question", "1.0", {"question.py": b""})
    with index_in_use(tmp_path / "index", tmp_path / "cache"):
        yield


def conda(*pip_packages: str, python: str = HERE) -> dict[str, Any]:
    return {"dependencies": [f"python={python}", {"pip": list(pip_packages)}]}


def test_the_log_says_what_was_installed(index: None) -> None:
    found = install_conda(conda("azureml-defaults", "answer"))
    assert found.error == ""
    assert found.lines == (
        "(simulated) left out azureml-defaults",
        f"uv resolved 2 packages for Python {HERE}",
        " + answer==42.0",
        " + question==1.0",
        "uv installed 2 packages",
        "(simulated) they are not copied into the image's layers",
    )


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (("scikit-lern",), "package 'scikit-lern' is not on PyPI"),
        (("answer==43",), "there is no version answer==43 that fits"),
        (("answer", "question>=2"), "no versions of the packages fit together"),
        (("answer", "question==1.0", "question<1"), "no versions of the packages fit together"),
    ],
)
def test_what_uv_cannot_resolve_fails_the_build_in_uvs_words(index: None, wanted: tuple[str, ...], words: str) -> None:
    found = install_conda(conda(*wanted))
    assert found.error.startswith(words)
    assert "No solution found" in "\n".join(found.lines)


def test_a_python_that_does_not_exist_fails_the_build() -> None:
    assert install_conda(conda("answer", python="3.99")).error == "there is no Python 3.99"


@pytest.mark.parametrize(
    "error",
    [
        CloudError("the package index could not be reached: x", fix="f"),
        NoWheelError("package 'x' has no wheel for linux/amd64", fix="f"),
    ],
)
def test_what_cannot_be_installed_here_is_simulated_and_says_so(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: Any) -> str:
        raise error

    monkeypatch.setattr(packages, "compile_lock", fail)
    found = install_conda(conda("answer"))
    assert (found.lines, found.error) == ((f"(simulated) the packages are not installed: {error}",), "")


def test_packages_without_a_python_for_them_are_resolved_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **more: Any) -> Path:
        raise PythonUnavailableError("3.6", "environment.yml")

    monkeypatch.setattr(packages, "compile_lock", lambda *arguments: "answer==42.0\n")
    monkeypatch.setattr(packages, "environment", fail)
    found = install(["answer"], HERE, "environment.yml")
    assert found.lines[-1] == (
        "(simulated) they are not installed: Python 3.6 is not on this machine, and could not be downloaded"
    )
    assert found.error == ""


def test_a_package_that_only_conda_has_is_simulated() -> None:
    found = install_conda({"dependencies": ["cudatoolkit=11"]})
    assert found.lines[0].startswith(
        "(simulated) the packages are not installed: 'cudatoolkit' is a conda package only"
    )


def test_what_fails_in_the_background_is_raised_where_it_is_awaited() -> None:
    def fail() -> None:
        raise ValueError("x")

    assert asyncio.run(in_background(lambda: 3)) == 3
    with pytest.raises(ValueError, match="x"):
        asyncio.run(in_background(fail))


class Content:
    def chunks(self) -> Iterator[bytes]:
        yield b"numpy\n\nscipy==1\n"


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("pip install numpy", ["numpy"]),
        ("python -m pip install --no-cache-dir 'numpy>=2' scipy", ["numpy>=2", "scipy"]),
        ("pip3 install -r requirements.txt", ["numpy", "scipy==1"]),
        ("uv pip install --index-url https://x/simple numpy", ["numpy"]),
        ("pip install -r missing.txt", None),
        ("apt-get update && pip install numpy", None),
        ("pip download numpy", None),
        ("pip install numpy && rm -rf /root/.cache", None),
        ("pip install 'numpy", None),
    ],
)
def test_only_a_plain_pip_install_is_understood(command: str, wanted: list[str] | None) -> None:
    content: Any = Content()
    files = {"app/requirements.txt": Entry("file", 0o644, 0, 0, content=content)}
    assert pip.requirements(command, files, "/app") == wanted


def test_the_python_of_a_base_image_is_known_by_its_variables_or_its_name() -> None:
    assert pip.python_of("acme.azurecr.io/base", {"Env": ["A=1", "PYTHON_VERSION=3.9.1"]}) == "3.9"
    assert pip.python_of("docker.io/library/python:3.13-slim", {}) == "3.13"
    assert pip.python_of("debian", {}) == ""
