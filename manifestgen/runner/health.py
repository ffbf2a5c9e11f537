"""`python -m manifestgen_runner.health`: whether the runner in this container is well, for an image's HEALTHCHECK.

With `RUNNER_HTTP`, whether it answers there; without, whether it is the container's first process. A runner that hangs
ends itself (`RUNNER_RUN_TIMEOUT`).
"""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

_SECONDS = 5.0


def check(environ: Mapping[str, str] = os.environ, first: Path = Path("/proc/1/cmdline")) -> int:
    """0 if it is well, else 1."""
    address = environ.get("RUNNER_HTTP", "")
    if not address:
        return 0 if b"manifestgen_runner" in first.read_bytes() else 1
    host, _, port = address.rpartition(":")
    if host in ("", "0.0.0.0", "[::]"):  # noqa: S104 - where it listens, which is not where it is asked
        host = "127.0.0.1"
    try:
        # No proxy of the environment: the runner is in this container.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{host}:{port}/", timeout=_SECONDS) as response:
            return 0 if response.status == 200 else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(check())
