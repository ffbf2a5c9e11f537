"""Shell completion of option values: devices, environments, modules, rules; empty on any failure."""

from __future__ import annotations

# Commands import this for their options, so its own imports are deferred until the user presses Tab.
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds to wait for a hub after Tab, and for which its answer is cached.
PATIENCE = 5.0
KEPT = 60.0
# Users do not read more than these.
_MOST = 1000


def devices(context: Any, parameter: Any, incomplete: str) -> list[str]:
    """IDs of edge devices with this prefix, from the command's hub."""
    import contextlib
    import threading

    from manifestgen.project.environments import choosing

    hub, environment = context.params.get("hub"), context.params.get("environment")
    found: list[str] = []
    # Not waited for if the hub does not answer: the process ends without this thread.
    asking = threading.Thread(target=_ask, args=(hub, found), daemon=True)
    with choosing(environment) if environment else contextlib.nullcontext():
        asking.start()
        asking.join(PATIENCE)
    return [device for device in list(found) if device.startswith(incomplete)]


def environments(context: Any, parameter: Any, incomplete: str) -> list[str]:
    """Names of the project's environments with this prefix."""
    from manifestgen.project.environments import names_of

    return [name for name in names_of(_project_file(context)) if name.startswith(incomplete)]


def modules(context: Any, parameter: Any, incomplete: str) -> list[str]:
    """Names of the project's modules with this prefix, in the chosen environment."""
    import contextlib

    from manifestgen.errors import ManifestgenError
    from manifestgen.project.load import load

    # A project cannot be read without the variables that its file names.
    with contextlib.suppress(ManifestgenError):
        project = load(_project_file(context), environment=context.params.get("environment"))
        return [module.name for module in project.modules if module.name.startswith(incomplete)]
    return []


def _project_file(context: Any) -> Path:
    """The command's project file: of a project among its arguments, else in the working directory."""
    from pathlib import Path

    from manifestgen.project.load import FILE_NAME

    # While an option has no value yet, click does not parse the arguments.
    files = (*context.args, *(context.params.get("files") or ()))
    named = [file for file in files if Path(file, FILE_NAME).is_file() or Path(file).suffix in (".yaml", ".yml")]
    given = Path(next(iter(named), None) or context.params.get("project") or ".")
    return given / FILE_NAME if given.is_dir() else given


def rules(context: Any, parameter: Any, incomplete: str) -> list[str]:
    """IDs of rules with this prefix."""
    from manifestgen.rules import RULES

    return [rule.id for rule in RULES if rule.id.startswith(incomplete)]


def _ask(hub: str | None, found: list[str]) -> None:
    import contextlib
    import json
    import time

    # On any error, the command itself will report it.
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

    from manifestgen.cli._hub import hub_here

    return [device.id for device in islice(hub_here(hub).devices(), _MOST)]


def _cache(hub: str | None) -> Path:
    """The cache file for a hub; its name is a hash of everything that determines the hub."""
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
