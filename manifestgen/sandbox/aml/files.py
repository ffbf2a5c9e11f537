"""The files of an image that Azure ML builds: entry script and what goes with it, models, the packages' lock.

They are where Azure ML puts them, below `/var/azureml-app`. The lock is not Azure ML's: it has the packages of the
conda specification, without the server, in the place where an image of manifestgen has its own.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from manifestgen.edge.files.places import AZURE_ML_ROOT, LOCK
from manifestgen.sandbox import blob
from manifestgen.sandbox.acr_tasks import layer, source
from manifestgen.sandbox.acr_tasks.layer import Layer
from manifestgen.sandbox.acr_tasks.source import Content, Entry, SourceError
from manifestgen.sandbox.aml import registry
from manifestgen.sandbox.aml.artifacts import CONTAINER, artifact_file
from manifestgen.sandbox.world import World

_IMPORT: Final = re.compile(rb"(?m)^\s*(?:import|from)\s+azureml\b")
_MODELS: Final = f"{AZURE_ML_ROOT}/azureml-models"


def make_layer(world: World, assets: Sequence[Mapping[str, Any]], models: Sequence[str], lock: str) -> Layer:
    """A layer with an image's files, in `World.blobs`.

    Args:
        world: where the assets and models were uploaded.
        assets: of the image; archives are unpacked, other files are placed side by side.
        models: IDs of registered models.
        lock: text of a requirements.txt; empty leaves it out.
    """
    folder = world.blobs / "layers"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        files = _assets(world, assets, scratch) | _models(world, models, scratch)
        if lock:
            text = scratch / "lock"
            text.write_text(lock, "utf-8")
            files[LOCK] = Entry("file", 0o644, content=Content(text, 0, text.stat().st_size))
        return layer.write({**_folders(files), **files}, folder)


def imports_azureml(world: World, assets: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an entry script, or a module beside it, imports Azure ML's packages."""
    with tempfile.TemporaryDirectory(dir=world.blobs) as name:
        found = _assets(world, assets, Path(name))
        scripts = (entry.content for path, entry in found.items() if path.endswith(".py") and entry.content)
        return any(_IMPORT.search(b"".join(content.chunks())) for content in scripts)


def _assets(world: World, assets: Sequence[Mapping[str, Any]], scratch: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for number, asset in enumerate(assets):
        file = artifact_file(world, asset["url"])
        if file is None:
            continue
        if asset.get("unpack"):
            inside = _members(file, scratch / f"asset-{number}")
            found |= {f"{AZURE_ML_ROOT}/{path}": entry for path, entry in inside.items()}
        else:
            found[f"{AZURE_ML_ROOT}/{source.clean(asset['id'])}"] = _file(file)
    return found


def _models(world: World, models: Sequence[str], scratch: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for model_id in models:
        name, _, version = model_id.rpartition(":")
        model = registry.find(world, name, version)
        asset = registry.asset_of(world, model["url"]) if model is not None else None
        if model is None or asset is None:
            continue
        for artifact in asset["artifacts"]:
            prefix = registry.prefix_of(artifact)
            for path in blob.names(world, CONTAINER, prefix):
                file = blob.local_file(world, CONTAINER, path)
                if file is None or path[len(prefix) :][:1] not in ("", "/"):
                    continue
                place = f"{_MODELS}/{name}/{version}"
                if model.get("unpack"):
                    inside = _members(file, scratch / f"model-{len(found)}")
                    found |= {f"{place}/{member}": entry for member, entry in inside.items()}
                else:
                    found[f"{place}/{source.clean(posixpath.relpath(path, posixpath.dirname(prefix)))}"] = _file(file)
    return found


def _members(file: Path, archive: Path) -> dict[str, Entry]:
    try:
        if file.read_bytes()[:2] == b"\x1f\x8b":
            source.decompress(file, archive)
            return source.index(archive)
        return source.index(file)
    except SourceError:
        return {}  # what a container would miss is found when it starts


def _file(path: Path) -> Entry:
    return Entry("file", 0o644, content=Content(path, 0, path.stat().st_size))


def _folders(files: Mapping[str, Entry]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for path in files:
        while path := posixpath.dirname(path):
            found[path] = Entry("folder", 0o755)
    return found
