"""Every sample reaches a device."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.wheels import index_in_use, make_wheel
from integration.command_line import in_this_process

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def sample(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    ignore = shutil.ignore_patterns(".manifestgen", "manifestgen.lock.json", "*.requirements.lock")
    name: str = request.param
    return shutil.copytree(SAMPLES / name, tmp_path / name, ignore=ignore)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[None]:
    """A package index with what the sample with ONNX needs, for both of its platforms."""
    for name in ("paho-mqtt", "numpy", "onnxruntime"):
        make_wheel(tmp_path / "wheels", name, "2.1.0", {f"{name.partition('-')[0]}/__init__.py": b""})
    with index_in_use(tmp_path / "wheels", tmp_path / "uv"):
        yield


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.iterdir() if path.is_dir()), indirect=True)
def test_a_sample_is_deployed(sample: Path, quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if sample.name == "anomaly-detection":
        pytest.importorskip("azureml.core", reason="azureml-core is not installed")
    options: tuple[str, ...] = ()
    if sample.name == "bring-your-own-image":
        # What whoever brings an image has: the image in a registry, and a login for it. The sandbox has one registry.
        host = quick.world.names.login_server
        quick.admin("PUT", f"/images/{host}/vibration-scorer:1.4.2", {})
        name, password = quick.world.names.registry, quick.call(admin_password(quick.world))
        monkeypatch.setenv(f"ACR_USERNAME_{name.upper()}", name)
        monkeypatch.setenv(f"ACR_PASSWORD_{name.upper()}", password)
        options = ("--image", f"{host}/vibration-scorer:1.4.2")
    result = in_this_process("deploy", str(sample), "--yes", "--prune", *options)
    assert result.code == 0, result
    assert "wait      device 'edge-01' runs version" in result.stderr


async def admin_password(world: Any) -> str:
    from manifestgen.sandbox import accounts

    return str(accounts.admin_passwords(world, world.names.registry)[0]["value"])
