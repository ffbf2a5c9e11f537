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

from fakes.acr_build import build
from fakes.acr_tasks import Registry

from manifestgen.sandbox.world import Pace

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


def start(registry: Registry, name: str) -> subprocess.Popen[str]:
    tests = Path(__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-m", "fakes.acr_build", name, registry.host],
        env={**os.environ, **registry.sandbox.environment, "PYTHONPATH": str(tests)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tests.parent,
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
    first = start(registry, name)
    wait_for_hit(registry, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    registry.sandbox.admin("DELETE", "/faults")
    state, digest = build(name, registry.host)
    assert (state, runs(registry) - before) == ("succeeded", 2), "each platform was built once"
    assert digest.startswith("sha256:")
    assert build(name, registry.host) == ("succeeded", digest)
    assert runs(registry) - before == 2, "and nothing is built a third time"
