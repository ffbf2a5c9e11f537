"""The process behind `manifestgen sandbox start`: `python -m manifestgen.sandbox.daemon WATCHED MODULES [STATE]`.

Once all services accept requests, it writes the environment variables as one line of JSON to stdout. Then it releases
stdout and stderr, which may be pipes whose reader waits for their end, and logs to `sandbox.log` in its folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from manifestgen.errors import InputError
from manifestgen.sandbox.run import serve

if TYPE_CHECKING:
    from manifestgen.sandbox.server import Sandbox


def main() -> None:
    """Run the sandbox until the watched process ends."""
    watched, modules, *rest = sys.argv[1:]
    try:
        asyncio.run(serve(Path(rest[0]) if rest else None, int(watched), _detach, _log, modules=modules))
    except InputError as error:
        sys.exit(error.message)


def _detach(sandbox: Sandbox) -> None:
    print(json.dumps(sandbox.environment), flush=True)
    log = os.open(sandbox.folder / "sandbox.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.close(log)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
