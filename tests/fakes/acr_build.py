"""A build by the registry as `images.build` does it, without anything that is kept on this machine.

`python -m fakes.acr_build NAME HOST` does it in a process, which can be killed.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

from azure.identity import EnvironmentCredential

from manifestgen.azure.acr import Registries
from manifestgen.azure.acr_tasks import TaskBuilder
from manifestgen.cloud import BuildRequest, BuildState, RegisteredModel
from manifestgen.cloud.context import Context, ContextFile


def build(name: str, host: str) -> tuple[str, str]:
    """Find or start the build of an image, and wait for its end: its state and the image's digest."""
    credential = EnvironmentCredential()
    services: Any = SimpleNamespace(registry=Registries(credential))
    builder = TaskBuilder(host, name, services, credential=credential)
    files = [ContextFile("Dockerfile", b"FROM scratch\nCOPY model /\n"), ContextFile("model", bytes(9 << 20))]
    request = BuildRequest(
        name,
        "0123456789ab",
        RegisteredModel("m", "1"),
        "0123",
        registry=host,
        platforms=("linux/amd64", "linux/arm64"),
        context=Context.of(files),
    )
    started = builder.find(request) or builder.start(request)
    while (status := builder.status(started)).state not in (BuildState.SUCCEEDED, BuildState.FAILED):
        time.sleep(0.05)
    return status.state.value, status.digest or ""


if __name__ == "__main__":
    print(*build(*sys.argv[1:]))
