"""A build by the registry whose process is killed at any point: the same build, run again, ends with the same image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the sandbox is not installed")

from fakes.acr_tasks import Registry

from manifestgen.sandbox.world import Pace

# What `images.build` does with a builder, without anything that it keeps on this machine: the registry alone knows.
_PROGRAM = """
import sys, time
from types import SimpleNamespace
from azure.identity import EnvironmentCredential
from manifestgen.azure.acr import Registries
from manifestgen.azure.acr_tasks import TaskBuilder
from manifestgen.cloud import BuildRequest, BuildState, RegisteredModel
from manifestgen.cloud.context import Context, ContextFile

name, host = sys.argv[1:]
credential = EnvironmentCredential()
builder = TaskBuilder(host, name, SimpleNamespace(registry=Registries(credential)), credential=credential)
files = [ContextFile("Dockerfile", b"FROM scratch\\nCOPY model /\\n"), ContextFile("model", bytes(9 << 20))]
request = BuildRequest(
    name, "0123456789ab", RegisteredModel("m", "1"), "0123", registry=host,
    platforms=("linux/amd64", "linux/arm64"), context=Context.of(files),
)
build = builder.find(request) or builder.start(request)
print(build.operation, flush=True)
while (status := builder.status(build)).state not in (BuildState.SUCCEEDED, BuildState.FAILED):
    time.sleep(0.05)
print(status.state.value, status.digest, flush=True)
"""

#: The request during which the process is killed, by method and path; how many of them are let through first.
_POINTS = {
    "the first upload": ("PUT", "tasks-source", 0),
    "the first request to queue a run": ("POST", "/scheduleRun$", 0),
    "the second upload": ("POST", "/listBuildSourceUploadUrl$", 1),
    "the second request to queue a run": ("POST", "/scheduleRun$", 1),
    "the first look at a run": ("GET", "/runs/cb[0-9]+$", 0),
    "the push of the tag": ("PUT", "/manifests/0123456789ab$", 0),
}


@pytest.fixture
def registry(sandbox: Any) -> Iterator[Registry]:
    sandbox.world.pace = Pace(image_build=0.06)
    yield Registry(sandbox)


def build(registry: Registry, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, name, registry.host],
        env={**os.environ, **registry.sandbox.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def runs(registry: Registry) -> int:
    return int(registry.world.store.get("acr-run-count", registry.world.names.registry) or 0)


def wait_for_hit(registry: Registry, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not any(rule.hit for rule in registry.sandbox.sandbox.faults.rules):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("point", _POINTS)
def test_a_killed_build_ends_with_one_image_when_it_is_run_again(registry: Registry, point: str) -> None:
    method, path, after = _POINTS[point]
    name = f"killed-{list(_POINTS).index(point)}"
    before = runs(registry)
    registry.sandbox.fault("latency", seconds=600, after=after, match={"method": method, "path": path})
    first = build(registry, name)
    wait_for_hit(registry, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    registry.sandbox.admin("DELETE", "/faults")
    second = build(registry, name)
    output, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    state, digest = output.splitlines()[-1].split()
    assert (state, runs(registry) - before) == ("succeeded", 2), "each platform was built once"
    third = build(registry, name)
    again, errors = third.communicate(timeout=120)
    assert again.splitlines()[-1].split() == ["succeeded", digest], errors
    assert runs(registry) - before == 2, "and nothing is built a third time"
