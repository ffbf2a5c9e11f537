"""`builder: acr` as its users run it: commands, lock files, interruptions, and an image that other clients unpack."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the sandbox is not installed")
pytest.importorskip("uv", reason="uv is not installed")

from fakes.acr_tasks import Registry
from fakes.wheels import index_in_use, make_wheel
from integration.command_line import complaint, in_this_process

from manifestgen.device import apply
from manifestgen.images import build
from manifestgen.sandbox import accounts
from manifestgen.sandbox.world import Pace
from manifestgen.target import Patience

HOST = "sandboxmodels.azurecr.io"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
CANARY = "canary-password-4711"

_PROJECT = f"""\
version: 1
model: {{name: scale, path: model.json}}
image:
  builder: acr
  name: NAME
  entry_script: score.py
  requirements: requirements.txt
  registry: {HOST}
  base: {HOST}/base/python:{PYTHON}-slim
  platforms: [linux/amd64, linux/arm64]
  description: scales
"""
_SCORE = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"


@pytest.fixture
def registry(sandbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The sandbox's registry, with a base image that has a file."""
    sandbox.world.pace = Pace(image_build=0.06)
    make_wheel(tmp_path / "wheels", "paho-mqtt", "2.1.0", {"paho/__init__.py": b""})
    monkeypatch.setenv("MANIFESTGEN_CANARY", CANARY)
    monkeypatch.setattr(build, "PATIENCE", Patience(1800.0, first=0.05, longest=0.2))
    sandbox.admin("PUT", f"/images/{HOST}/base/python:{PYTHON}-slim", {"platforms": ["linux/amd64", "linux/arm64"]})
    made = Registry(sandbox)
    with index_in_use(tmp_path / "wheels", tmp_path / "uv"):
        yield made
    made.settings(runs="normal", allowed=True, full=False)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Writes a project; those of one test have one image name."""

    def write(folder: str = "project") -> Path:
        place = tmp_path / folder
        place.mkdir()
        name = f"team/{request.node.name.replace('_', '-').lower()[:60].strip('-')}"
        (place / "manifestgen.yaml").write_text(_PROJECT.replace("NAME", name))
        (place / "score.py").write_text(_SCORE)
        (place / "model.json").write_text('{"factor": 3}')
        (place / "requirements.txt").write_text("")
        return place

    return write


def image(folder: Path, *options: str) -> Any:
    return in_this_process("image", str(folder), *options)


def lock_of(folder: Path) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = json.loads((folder / "manifestgen.lock.json").read_text())["modules"]
    (built,) = found.values()
    return built


def runs(registry: Registry) -> int:
    return int(registry.world.store.get("acr-run-count", registry.world.names.registry) or 0)


def test_an_image_for_two_platforms_is_built_and_locked(registry: Registry, make: Callable[..., Path]) -> None:
    folder = make()
    done = image(folder)
    assert done.code == 0, done.output
    lock = lock_of(folder)
    assert lock["builder"] == "acr"
    assert lock["platforms"] == ["linux/amd64", "linux/arm64"]
    assert "building image team/" in done.stderr and "ACR Tasks (acr)" in done.stderr
    assert "Step 1/" in done.stderr, "the registry's log is shown"
    for platform in ("linux-amd64", "linux-arm64"):
        made = registry.image(f"{lock['image'].partition('/')[2]}-{platform}")
        assert made.files["opt/manifestgen/model/model.json"] == b'{"factor": 3}'
        assert made.files["opt/manifestgen/app/score.py"] == _SCORE.encode()
        assert "opt/manifestgen/packages/paho/__init__.py" in made.files
        assert made.config["config"]["Labels"]["manifestgen.inputs"] == lock["inputs"]
        assert made.config["config"]["User"] == "10001:10001"
    again = image(folder)
    assert (again.code, runs(registry)) == (0, runs(registry))
    assert "reusing it" in again.stderr


def test_a_second_clone_without_a_lock_file_builds_nothing(registry: Registry, make: Callable[..., Path]) -> None:
    first, second = make("first"), make("second")
    assert image(first).code == 0
    before = runs(registry)
    done = image(second)
    assert (done.code, runs(registry)) == (0, before), done.output
    assert "is already in the registry, reusing it" in done.stderr
    assert lock_of(first)["digest"] == lock_of(second)["digest"]


def test_a_changed_description_builds_nothing_and_a_changed_script_one_layer(
    registry: Registry, make: Callable[..., Path]
) -> None:
    folder = make()
    assert image(folder).code == 0
    first, before = lock_of(folder), runs(registry)
    (folder / "score.py").write_text(_SCORE + "# changed\n")
    done = image(folder)
    assert done.code == 0, done.output
    assert runs(registry) == before + 2
    second = lock_of(folder)
    layers = [registry.image(f"{lock['image'].partition('/')[2]}-linux-arm64").layers for lock in (first, second)]
    assert len(layers[0]) == len(layers[1])
    assert sum(one != other for one, other in zip(*layers, strict=True)) == 1


def test_a_device_downloads_the_new_model_only_and_status_names_it(
    registry: Registry, make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "PATIENCE", Patience(600.0, 60.0, 0.05, 0.5))
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
    registry.world.pace = Pace(image_build=0.06, pull=0.0, start=0.0, retry=0.05)
    monkeypatch.chdir(tmp_path)  # away from the project and its lock file
    folder = make()
    text = (folder / "manifestgen.yaml").read_text()
    (folder / "manifestgen.yaml").write_text(f"{text}manifest: {{template: single-module, module: scorer}}\n")
    manifest, device = folder / "deployment.json", ("--device", "edge-downloads")

    def run(*arguments: str | Path) -> Any:
        done = in_this_process(*arguments, "--output", "json")
        assert done.code == 0, done.output
        return done.json

    def rendered(model: bytes) -> dict[str, Any]:
        (folder / "model.json").write_bytes(model)
        run("image", folder)
        run("render", folder, "-o", manifest)
        return lock_of(folder)

    run("device", "register", "edge-downloads")
    rendered(b"first" * 4_000)
    run("apply", manifest, *device, "--yes")
    size, layers = 50_000, 5
    lock = rendered(random.Random(1).randbytes(size))  # noqa: S311 - what gzip cannot make smaller
    for command in ("plan", "preflight"):
        (download,) = run(command, manifest, *device)["downloads"]
        assert (download["image"], download["modules"]) == (lock["image"], ["scorer"]), command
        assert (download["size"], download["layers"]) == (lock["sizes"][download["platform"]], layers)
        assert download["layers_reused"] == layers - 1
        assert size < download["pulled"] <= size + 20 * 1024
    shown = in_this_process("plan", manifest, *device).stdout
    assert f"download {lock['image']}: 5" in shown and f"(the device has {layers - 1} of {layers} layers)" in shown
    run("apply", manifest, *device, "--yes")
    registry.sandbox.admin("DELETE", "/requests")
    (scorer,) = [module for module in run("status", *device)["modules"] if module["name"] == "scorer"]
    assert scorer["model"] == lock["model"]
    asked = [one for one in registry.sandbox.admin("GET", "/requests") if "/v2/" in one["path"]]
    assert len([one for one in asked if one["status"] == 200]) == 3, "index, image, and what it is configured with"
    assert f"# model scale {lock['model']['version']}" in in_this_process("status", *device).stdout
    monkeypatch.chdir(folder)
    registry.sandbox.admin("DELETE", "/requests")
    assert run("status", *device)["modules"][-1].keys() >= {"model"}
    assert not [one for one in registry.sandbox.admin("GET", "/requests") if "/v2/" in one["path"]], "the lock has it"
    monkeypatch.chdir(tmp_path)
    registry.sandbox.fault("status", status=503, match={"path": "/v2/"}, times="forever")
    monkeypatch.setenv("MANIFESTGEN_TIMEOUT_FACTOR", "0.05")
    assert {module["model"] for module in run("status", *device)["modules"]} == {None}


def test_skopeo_pulls_and_unpacks_the_files_of_the_context(
    registry: Registry, make: Callable[..., Path], tmp_path: Path
) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    folder, context = make(), tmp_path / "context"
    assert image(folder).code == 0
    written = image(folder, "--context", str(context))
    assert written.code == 0, written.output
    lock = lock_of(folder)
    password = accounts.admin_passwords(registry.world, registry.world.names.registry)[0]["value"]
    unpacked: dict[str, tuple[int, bytes]] = {}
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    source = ["--src-creds", f"{registry.world.names.registry}:{password}", f"docker://{lock['image']}"]
    copied = subprocess.run(
        ["skopeo", "--override-arch", "arm64", "--override-os", "linux", "copy", *source, f"oci:{tmp_path}/out:v1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert copied.returncode == 0, copied.stderr
    blobs = tmp_path / "out/blobs/sha256"
    index = json.loads((tmp_path / "out/index.json").read_text())
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"][7:]) as tar:
            for one in tar:
                content = tar.extractfile(one)
                if content is not None:
                    unpacked[one.name] = (one.mode, content.read())
    sources = {"packages/linux-arm64": "packages", "runner": "runner", "app": "app", "model": "model"}
    expected = {
        f"opt/manifestgen/{target}/{path.relative_to(context / name).as_posix()}": path.read_bytes()
        for name, target in sources.items()
        for path in (context / name).rglob("*")
        if path.is_file()
    }
    assert len(expected) > 10
    assert {name: unpacked[name][1] for name in expected} == expected, "byte for byte"
    assert {mode for name, (mode, _) in unpacked.items() if name in expected} <= {0o644, 0o755}


def test_a_subscription_without_tasks_is_named(registry: Registry, make: Callable[..., Path]) -> None:
    registry.settings(allowed=False)
    said = complaint(image(make()), 3)
    assert "may not use ACR Tasks" in said
    assert "builder: local" in said.fix


def test_a_failed_run_is_an_error_with_its_cause(registry: Registry, make: Callable[..., Path]) -> None:
    registry.settings(full=True)
    folder = make()
    said = complaint(image(folder), 1)
    assert "the registry is full" in said.error
    assert "delete images" in said.fix
    assert not (folder / "manifestgen.lock.json").exists()
    registry.settings(full=False)
    assert image(folder).code == 0


def test_a_build_that_takes_too_long_is_cancelled(registry: Registry, make: Callable[..., Path]) -> None:
    registry.settings(runs="hang")
    folder = make()
    said = complaint(image(folder, "--timeout", "3"), 1)
    assert "was cancelled" in said.error
    for number in (runs(registry), runs(registry) - 1):
        assert registry.wait(f"cb{number}")["status"] == "Canceled"
    registry.settings(runs="normal")
    assert image(folder).code == 0


def process(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "manifestgen", "image", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def until_runs(registry: Registry, number: int, started: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while runs(registry) < number:
        assert started.poll() is None, started.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_cancels_the_runs(registry: Registry, make: Callable[..., Path]) -> None:
    registry.settings(runs="hang")
    folder, before = make(), runs(registry)
    started = process(folder)
    until_runs(registry, before + 2, started)
    for number in (before + 1, before + 2):
        registry.wait(f"cb{number}", "Running")
    time.sleep(1)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 130, errors
    assert "the build was cancelled" in errors
    for number in (before + 1, before + 2):
        assert registry.wait(f"cb{number}")["status"] == "Canceled"
    registry.settings(runs="normal")
    done = image(folder)
    assert (done.code, runs(registry)) == (0, before + 4), done.output


@pytest.mark.slow
def test_a_killed_command_is_resumed(registry: Registry, make: Callable[..., Path]) -> None:
    folder, before = make(), runs(registry)
    registry.world.pace = Pace(image_build=6)
    started = process(folder)
    until_runs(registry, before + 2, started)
    for number in (before + 1, before + 2):
        registry.wait(f"cb{number}", "Running", "Succeeded")
    started.kill()
    started.communicate()
    done = image(folder)
    assert (done.code, runs(registry)) == (0, before + 2), done.output
    assert lock_of(folder)["platforms"] == ["linux/amd64", "linux/arm64"]


def test_no_secret_of_the_environment_or_the_registry_reaches_image_log_or_lock(
    registry: Registry, make: Callable[..., Path]
) -> None:
    folder = make()
    done = image(folder, "-v")
    assert done.code == 0, done.output
    names = registry.world.names
    secrets = [
        CANARY,
        os.environ["AZURE_CLIENT_SECRET"],
        *(one["value"] for one in accounts.admin_passwords(registry.world, names.registry)),
        registry.world.secret("storage:key"),
    ]
    lock = lock_of(folder)
    made = registry.image(f"{lock['image'].partition('/')[2]}-linux-amd64")
    log = registry.log(f"cb{runs(registry)}").text
    places = {
        "output": done.output,
        "lock": json.dumps(lock),
        "log": log,
        "image": json.dumps(made.config) + json.dumps(made.manifest),
        "files": "\n".join(content.decode("latin-1") for content in made.files.values()),
        "project": "\n".join(path.read_text("latin-1") for path in folder.rglob("*") if path.is_file()),
    }
    for place, text in places.items():
        assert [secret for secret in secrets if secret in text] == [], place
        assert re.search(r"sig=[A-Za-z0-9%+/]{20,}", text) is None, place
