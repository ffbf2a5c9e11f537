"""Environments: made once, by one of several processes, and never half."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.wheels import index_in_use, make_wheel

from manifestgen.context import environment as environments
from manifestgen.context.environment import environment, environments_folder, interpreter
from manifestgen.context.uv import compile_lock
from manifestgen.errors import InputError, ManifestgenError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


class Uv:
    """In place of uv: makes the folders that it would make, and counts."""

    def __init__(self) -> None:
        self.calls: list[Sequence[str]] = []
        self.error: Exception | None = None

    def run(self, arguments: Sequence[str], folder: Path, where: str, **more: Any) -> str:
        self.calls.append(arguments)
        if arguments[0] == "venv":
            python = Path(arguments[-1], "Scripts/python.exe" if os.name == "nt" else "bin/python")
            python.parent.mkdir(parents=True)
            python.write_text("")
        elif self.error is not None:
            raise self.error
        return ""


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> Uv:
    fake = Uv()
    monkeypatch.setattr(environments, "run", fake.run)
    return fake


def test_an_environment_is_made_once_for_each_lock_and_python(uv: Uv, tmp_path: Path) -> None:
    first = environment("a==1\n", python="3.11", folder=tmp_path)
    assert first.exists()
    calls = len(uv.calls)
    assert environment("# of another project\na==1\n", python="3.11", folder=tmp_path) == first
    assert len(uv.calls) == calls
    assert environment("a==2\n", python="3.11", folder=tmp_path) != first
    assert environment("a==1\n", python="3.12", folder=tmp_path) != first


def test_a_lock_names_its_python(uv: Uv, tmp_path: Path) -> None:
    lock = "# Written by manifestgen\n# For: Python 3.9, linux/amd64, requirements 12\na==1\n"
    assert environment(lock, python=None, folder=tmp_path) == environment(lock, python="3.9", folder=tmp_path)
    assert environment("a==1\n", python=None, folder=tmp_path) == environment("a==1\n", python=HERE, folder=tmp_path)


def test_hashes_are_required_where_the_lock_has_them(uv: Uv, tmp_path: Path) -> None:
    environment("a==1 \\\n    --hash=sha256:00\n", python=HERE, folder=tmp_path)
    assert "--require-hashes" in uv.calls[-1]
    environment("", python=HERE, folder=tmp_path)
    assert uv.calls[-1][0] == "venv"


def test_what_failed_leaves_nothing_behind_and_is_tried_again(uv: Uv, tmp_path: Path) -> None:
    uv.error = InputError("no wheel", where="here", fix="another")
    with pytest.raises(InputError, match="no wheel"):
        environment("a==1\n", python=HERE, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    uv.error = None
    assert environment("a==1\n", python=HERE, folder=tmp_path).exists()


def test_an_environment_whose_python_is_gone_is_made_again(uv: Uv, tmp_path: Path) -> None:
    python = environment("a==1\n", python=HERE, folder=tmp_path)
    python.unlink()
    assert environment("a==1\n", python=HERE, folder=tmp_path).exists()


def test_what_was_not_used_for_long_is_deleted(uv: Uv, tmp_path: Path) -> None:
    old = environment("old==1\n", python=HERE, folder=tmp_path)
    new = environment("new==1\n", python=HERE, folder=tmp_path)
    long_ago = time.time() - 40 * 24 * 3600
    for python in (old, new):
        os.utime(python.parent.parent / ".manifestgen-used", (long_ago, long_ago))
    environment("new==1\n", python=HERE, folder=tmp_path)
    environment("newest==1\n", python=HERE, folder=tmp_path)
    assert new.exists()
    assert not old.exists()


def test_a_folder_that_cannot_be_written_to_is_named(uv: Uv, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        environment("a==1\n", python=HERE, folder=tmp_path / "file" / "environments")
    assert "MANIFESTGEN_ENVIRONMENTS" in caught.value.fix


def test_the_folder_is_the_same_in_the_sandbox_and_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "mine"))
    before = environments_folder({"HOME": str(tmp_path / "mine")})
    monkeypatch.setenv("HOME", str(tmp_path / "sandbox"))
    inside = {
        "HOME": str(tmp_path / "sandbox"),
        "MANIFESTGEN_OUTSIDE_HOME": str(tmp_path / "mine"),
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "MANIFESTGEN_SANDBOX_PROXY": "http://127.0.0.1:1",
    }
    assert environments_folder(inside) == before
    assert environments_folder({"MANIFESTGEN_ENVIRONMENTS": "/elsewhere"}) == Path("/elsewhere")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Path]:
    make_wheel(tmp_path / "index", "paho-mqtt", "2.1.0", {"paho/__init__.py": b""})
    make_wheel(tmp_path / "index", "answer", "42.0", {"answer.py": b"VALUE = 42"}, requires=["paho-mqtt"])
    with index_in_use(tmp_path / "index", tmp_path / "cache"):
        yield tmp_path / "index"


def test_two_processes_at_once_make_one_environment_that_works(index: Path, tmp_path: Path) -> None:
    lock = compile_lock(["answer", "paho-mqtt"], None, HERE, ("linux/amd64", "linux/arm64"), "requirements.txt")
    (tmp_path / "lock").write_text(lock)
    code = (
        "import sys; from pathlib import Path; from manifestgen.context.environment import environment\n"
        "print(environment(Path(sys.argv[1]).read_text(), python=None, folder=Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock"), str(tmp_path / "kept")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (python,) = answers
    asked = subprocess.run([python, "-c", "import answer; print(answer.VALUE)"], capture_output=True, text=True)
    assert asked.stdout.strip() == "42", asked.stderr
    assert len([path for path in (tmp_path / "kept").iterdir() if path.is_dir()]) == 1


def test_a_python_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(ManifestgenError) as caught:
        environment("", python="2.7", folder=tmp_path, where="myenv.yml")
    assert "2.7" in caught.value.what
    assert caught.value.where == "myenv.yml"


def test_pythons_of_pyenv_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    python = tmp_path / "versions" / "3.7.16" / "bin" / "python3.7"
    python.parent.mkdir(parents=True)
    python.write_text("")
    assert interpreter("3.7") == str(python)
    assert interpreter("3.6") == "3.6"
    assert interpreter(HERE) == sys.executable
