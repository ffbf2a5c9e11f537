"""The package as an image holds it: a copy named manifestgen_runner, with old and new Pythons and hardly any rights."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runner.broker import Mosquitto
from runner.conftest import ECHO, Run

import manifestgen
import manifestgen.runner

PACKAGE = Path(manifestgen.runner.__file__).parent
FILES = sorted(PACKAGE.glob("*.py"))
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")


def test_the_runner_has_the_version_of_manifestgen() -> None:
    assert manifestgen.runner.__version__ == manifestgen.__version__


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_file_is_python_3_9_and_imports_the_standard_library_and_paho_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1, "above the package"
            continue
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            top = name.partition(".")[0]
            assert top == "paho" or top in sys.stdlib_module_names, name


def interpreter(version: str) -> str | None:
    """A Python of this version on this machine."""
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    found = [str(path) for root in roots for path in sorted(root.glob(f"{version}.*/bin/python"))]
    return found[-1] if found else shutil.which(f"python{version}")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """What `PYTHONPATH` names in an image."""
    shutil.copytree(PACKAGE, tmp_path / "runner" / "manifestgen_runner", ignore=shutil.ignore_patterns("__pycache__"))
    yield tmp_path / "runner"


def copy_paho(copy: Path) -> None:
    """Put the paho-mqtt that is installed here beside the runner: it is pure Python, and needs no other package."""
    import paho

    shutil.copytree(Path(next(iter(paho.__path__))), copy / "paho", ignore=shutil.ignore_patterns("__pycache__"))


def with_copies(python: str, folder: Path, copy: Path) -> str:
    """An interpreter that has what the copy has and nothing else of its machine: a virtual environment without pip."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    assert (copy / "paho").is_dir()
    return str(folder / "bin" / "python")


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_a_copy_of_the_package_runs_with(
    edge_hub: Mosquitto, run: Run, copy: Path, tmp_path: Path, version: str
) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    copy_paho(copy)
    made = with_copies(python, tmp_path / "venv", copy)
    environment = {**edge_hub.environment(), "PYTHONPATH": str(copy), "PYTHONWARNINGS": "error"}
    runner = run(environment, ECHO, python=made, package="manifestgen_runner")
    edge_hub.send(b"1", {"$.mid": "m"})
    assert edge_hub.result(20).json == {"echo": 1}
    assert edge_hub.call("score", b"2") == (200, {"echo": 2})
    edge_hub.cut()
    edge_hub.send(b"3")
    assert edge_hub.result(20).json == {"echo": 3}
    assert f"Python {version}." in runner.log
    assert runner.stop() == 0
    assert "Warning" not in runner.log


@pytest.mark.slow
def test_the_oldest_paho_2_will_do(edge_hub: Mosquitto, run: Run, copy: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(copy), "paho-mqtt==2.0.0"]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"paho-mqtt 2.0.0 could not be installed: {installed.stderr}")
    made = with_copies(sys.executable, tmp_path / "venv", copy)
    environment = {**edge_hub.environment(), "PYTHONPATH": str(copy)}
    runner = run(environment, ECHO, python=made, package="manifestgen_runner")
    edge_hub.send(b"1")
    assert edge_hub.result(20).json == {"echo": 1}
    assert runner.stop() == 0


def test_it_needs_no_rights_and_one_writable_folder_at_the_most(
    edge_hub: Mosquitto, run: Run, copy: Path, tmp_path: Path
) -> None:
    system = "/usr/bin/python3"
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv") or not Path(system).exists():
        pytest.skip("needs root, unshare, setpriv and a Python that everybody may run")
    copy_paho(copy)
    writable = tmp_path / "writable"
    writable.mkdir()
    writable.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    edge_hub.workload.path.chmod(0o666)
    script = f'mount --bind {writable} {writable} && mount -o remount,ro,bind / && exec setpriv --reuid=10001 \
        --regid=10001 --clear-groups --no-new-privs --bounding-set=-all "$@"'
    if subprocess.run(["unshare", "-m", "sh", "-c", "mount -o remount,ro,bind /"], check=False).returncode:
        pytest.skip("this machine lets nobody make a read-only root file system")
    environment = {
        **edge_hub.environment(),
        "PYTHONPATH": str(copy),
        "RUNNER_SAMPLES": str(writable / "samples"),
        "RUNNER_SAMPLE_EVERY": "1",
        "AZUREML_MODEL_DIR": str(tmp_path / "app"),
    }
    model = """\
import os

def init():
    for place in ("/", os.getcwd(), os.path.dirname(__file__)):
        try:
            open(os.path.join(place, "made"), "w").close()
        except OSError:
            continue
        raise RuntimeError(f"{place} is writable")

def run(data):
    return {"user": os.getuid(), "groups": os.getgroups()}
"""
    runner = run(
        environment,
        model,
        python=system,
        package="manifestgen_runner",
        prefix=("unshare", "-m", "sh", "-ec", script, "sh"),
    )
    edge_hub.send(b"1")
    assert edge_hub.result(20).json == {"user": 10001, "groups": []}
    runner.terminate()
    assert runner.wait() == 0
    assert [path.name for path in (writable / "samples").iterdir()] == ["samples-00000001.jsonl"]
