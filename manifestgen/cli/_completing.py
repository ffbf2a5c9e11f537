"""What a shell offers for an option's value: devices, environments, rules. It is silent where it cannot know."""

from __future__ import annotations

# Commands import this for their options, so what it needs is imported where somebody presses Tab.
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds that somebody who pressed Tab is kept waiting for a hub, and for which its answer is kept.
PATIENCE = 5.0
KEPT = 60.0
# More than these nobody reads.
_MOST = 1000


def devices(context: Any, parameter: Any, incomplete: str) -> list[str]:
    """Ids of edge devices that begin so, of the hub that the command would talk to."""
    import contextlib
    import threading

    from manifestgen.project.environments import choosing

    hub, environment = context.params.get("hub"), context.params.get("environment")
    found: list[str] = []
    # Nobody waits for a hub that does not answer: the process ends without this thread.
    asking = threading.Thread(target=_ask, args=(hub, found), daemon=True)
    with choosing(environment) if environment else contextlib.nullcontext():
        asking.start()
        asking.join(PATIENCE)
    return [device for device in list(found) if device.startswith(incomplete)]


def environments(context: Any, parameter: Any, incomplete: str) -> list[str]:
    """Names of the project's environments that begin so."""
    from pathlib import Path

    from manifestgen.project.environments import names_of
    from manifestgen.project.load import FILE_NAME

    given = Path(context.params.get("project") or ".")
    names = names_of(given / FILE_NAME if given.is_dir() else given)
    return [name for name in names if name.startswith(incomplete)]


def rules(context: Any, parameter: Any, incomplete: str) -> list[str]:
    """Ids of rules that begin so."""
    from manifestgen.rules import RULES

    return [rule.id for rule in RULES if rule.id.startswith(incomplete)]


def _ask(hub: str | None, found: list[str]) -> None:
    import contextlib
    import json
    import time

    # Whatever is wrong, the command itself will say it.
    with contextlib.suppress(Exception):
        path = _cache(hub)
        with contextlib.suppress(OSError, ValueError):
            if time.time() - path.stat().st_mtime < KEPT:
                found += [str(device) for device in json.loads(path.read_text("utf-8"))]
                return
        found += _asked(hub)
        _keep(path, found)


def _asked(hub: str | None) -> list[str]:
    from itertools import islice

    from manifestgen.project.beside import project_here
    from manifestgen.services import open_hub

    return [device.id for device in islice(open_hub(hub, project_here()).devices(), _MOST)]


def _cache(hub: str | None) -> Path:
    """A file for what decides which hub is asked; its name tells nothing of it."""
    import hashlib
    import os
    from pathlib import Path

    from manifestgen.files import cache_folder

    variables = ("IOTHUB_CONNECTION_STRING", "MANIFESTGEN_ENVIRONMENT")
    decides = (hub, *map(os.environ.get, variables), str(Path.cwd()))
    name = hashlib.sha256(repr(decides).encode()).hexdigest()[:16]
    return cache_folder() / f"devices-{name}.json"


def _keep(path: Path, found: list[str]) -> None:
    import json

    from manifestgen.files import OWNER_ONLY, write_atomic

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(found), OWNER_ONLY)
