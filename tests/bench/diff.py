"""How long it takes to compare, merge and export: prints milliseconds, best of five. `python tests/bench/diff.py`."""

from __future__ import annotations

import copy
import json
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

from manifestgen.compare.diff import diff
from manifestgen.compare.export import export
from manifestgen.compare.merge import merge
from manifestgen.manifest import container
from manifestgen.manifest.manifest import Manifest


def manifest(modules: int, tag: str) -> Manifest:
    """A manifest of so many modules, each with createOptions of its own, ten variables, a route and a twin."""
    entries: dict[str, Any] = {
        f"m{number}": {
            "version": "1.0",
            "type": "docker",
            "status": "running",
            "restartPolicy": "always",
            "settings": {
                "image": f"acme.azurecr.io/m{number}:{tag}",
                "createOptions": json.dumps(
                    {"HostConfig": {"PortBindings": {f"{number}/tcp": [{"HostPort": str(number)}]}, "Binds": ["/a:/b"]}}
                ),
            },
            "env": {f"VARIABLE_{name}": {"value": f"{tag}-{name}"} for name in range(10)},
        }
        for number in range(modules)
    }
    agent = {"schemaVersion": "1.1", "runtime": {"type": "docker", "settings": {}}, "modules": entries}
    hub = {
        "schemaVersion": "1.1",
        "routes": {name: f"FROM /messages/modules/{name}/* INTO $upstream" for name in entries},
    }
    twins = {name: {"limits": {"low": 1, "high": 2}, "tag": tag} for name in entries}
    sections = {"$edgeAgent": agent, "$edgeHub": hub, **twins}
    return Manifest.of_twins(sections)


def main() -> None:
    """Print a line for each number of modules: linear if the figures grow tenfold."""
    for modules in (5, 50, 500):
        before, after = manifest(modules, "1"), manifest(modules, "2")
        twins = {name: entry["properties.desired"] for name, entry in before.entries.items()}
        works: dict[str, Callable[[], object]] = {
            "same": partial(diff, before, copy.deepcopy(before)),
            "all changed": partial(diff, before, after),
            "first time": partial(_first, before, after),
            "merge": partial(merge, after, before),
            "export": partial(export, twins),
        }
        figures = {what: min(timeit.repeat(work, number=3, repeat=5)) / 3 * 1e3 for what, work in works.items()}
        print(f"{modules:4} modules", *(f"{what} {figure:7.2f}" for what, figure in figures.items()), "ms")


def _first(before: Manifest, after: Manifest) -> None:
    # Without the createOptions that were read before.
    container._read_usual.cache_clear()
    diff(before, after)


if __name__ == "__main__":
    main()
