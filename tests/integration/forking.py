"""The process that `forked` has fork: a script, which has imported what the commands import.

It takes one job a line on stdin, and answers with the process's id and, when that has ended, its exit code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

# What the commands import when they run.
_MODULES: Final = (
    "manifestgen.cli",
    "manifestgen.services",
    "manifestgen.deploy",
    "manifestgen.doctor",
    "manifestgen.rotate",
    "manifestgen.azure.acr",
    "manifestgen.azure.auth",
    "manifestgen.azure.iot_hub",
    "manifestgen.azure.iot_hub.sdk",
    "manifestgen.azure.registry_api",
    "manifestgen.azure.aml",
    "azureml.core.model",
)


def _serve() -> None:
    for name in _MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # or each command's collections would copy the pages that it shares
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            _run(job)
        print(pid, flush=True)
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(job: dict[str, Any]) -> None:
    from manifestgen.cli import main

    folder = Path(job["folder"])
    for descriptor, name in enumerate(("stdout", "stderr"), 1):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    given = os.open(job["stdin"], os.O_RDONLY | os.O_NOCTTY)
    os.dup2(given, 0)
    os.close(given)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["cwd"])
    sys.argv = ["manifestgen", *job["arguments"]]
    main()


if __name__ == "__main__":
    _serve()
