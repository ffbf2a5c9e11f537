"""Which modules this sandbox can run as processes, and the files of their images.

This is imported with the first device that runs its modules.
"""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from manifestgen.edge import sensor
from manifestgen.edge.agent.process import Limits
from manifestgen.edge.device import SENSOR, SENSOR_IMAGE, Code, DeviceModule
from manifestgen.edge.files.image import ImageConfig, can_run_here
from manifestgen.edge.files.places import AZURE_ML_ROOT, FOLDERS, LOCK, OWN_ROOT
from manifestgen.edge.files.unpack import LayerFile, UnpackError, unpack
from manifestgen.errors import ManifestgenError
from manifestgen.manifest.container import Options, read
from manifestgen.sandbox.hub.twins import Json
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import World

_MACHINE: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64"}


class Simulated(Exception):
    """A module that the sandbox cannot run, and why."""


async def code_of(world: World, repository: str, digest: str, folder: Path) -> Code:
    """Make the files and packages of an image ready on this machine; takes as long as the packages take to install.

    Args:
        world: with the registries.
        repository: of the image, such as `acme.azurecr.io/scorer`.
        digest: of the image or its index.
        folder: for unpacked images; they are kept in it by their digest.

    Raises:
        Simulated: it cannot be run.
    """
    if why := can_run_here():
        raise Simulated(why)
    if repository == SENSOR_IMAGE:
        return SENSOR
    host, _, name = repository.partition("/")
    found = _manifest(world, host, name, digest)
    if found is None:
        raise Simulated("the sandbox has no files of this image")
    config, layers = found
    if not config.can_run:
        raise Simulated("the sandbox has no files of this image, or they are not in manifestgen's layout")
    root = folder / digest.partition(":")[2][:24]
    try:
        if not root.is_dir():
            await asyncio.to_thread(unpack, layers, FOLDERS, root)
    except (UnpackError, OSError) as error:
        raise Simulated(f"its files could not be unpacked: {error}") from error
    app = root / (OWN_ROOT if config.own else AZURE_ML_ROOT)
    if not app.is_dir():
        raise Simulated("the sandbox has no files of this image")
    return Code(root, config, await _python(root / LOCK, config))


async def _python(lock: Path, config: ImageConfig) -> Path:
    """The Python of an environment with the image's packages."""
    from manifestgen.context.environment import environment, environments_folder

    if not lock.is_file():
        raise Simulated("the image has no lock of its packages")
    text = await asyncio.to_thread(lock.read_text, "utf-8")
    try:
        return await asyncio.to_thread(
            environment, text, python=config.python, folder=environments_folder(), where="requirements.lock"
        )
    except ManifestgenError as error:
        raise Simulated(f"its packages could not be installed: {error.message}") from error


def _manifest(world: World, host: str, name: str, digest: str) -> tuple[ImageConfig, Sequence[LayerFile]] | None:
    """Configuration and layers of the image, for this machine's platform if there are several."""
    stored = images.find_manifest(world, host, name, digest)
    if stored is None:
        return None
    data = json.loads(stored.path.read_bytes())
    if stored.media_type in images.INDEXES:
        return _manifest(world, host, name, _chosen(data["manifests"]))
    config: Mapping[str, Any] = json.loads(images.content_path(world, data["config"]["digest"]).read_bytes())
    layers = [
        LayerFile(images.content_path(world, entry["digest"]), compressed="gzip" in str(entry.get("mediaType")))
        for entry in data["layers"]
        if not str(entry.get("mediaType")).endswith("zstd")
    ]
    return ImageConfig.of(config.get("config") or {}), layers


def _chosen(entries: Sequence[Mapping[str, Any]]) -> str:
    machine = _MACHINE.get(platform.machine(), platform.machine())
    same = [entry for entry in entries if entry.get("platform", {}).get("architecture") == machine]
    return str((same or entries)[0]["digest"])


def device_module(container: Json, code: Code, sensor_delay: float, exits: tuple[int, str] | None) -> DeviceModule:
    """The module that a container is.

    Args:
        container: as `devices` stores it.
        code: of its image.
        sensor_delay: seconds between two messages of the simulated temperature sensor, unless the manifest says it.
        exits: exit code and last words of a process that runs in place of the image's.
    """
    options, usual = read(container["options"]), Limits()
    env = {**container["env"], **_variables(options)}
    env.setdefault("RUNNER_REPORT_INTERVAL", "5")
    if code.root is None:
        env.setdefault(sensor.DELAY, sensor.time_span(sensor_delay))
    return DeviceModule(
        container["name"],
        code,
        env,
        policy=container["restart_policy"],
        order=container["order"],
        runs=container["status"] == "running",
        limits=Limits(
            _limit(options, "Memory") or usual.memory,
            _limit(options, "PidsLimit") or usual.processes,
        ),
        version=container["fingerprint"],
        exits=exits,
    )


def _limit(options: Options, name: str) -> int:
    """A limit in `HostConfig` of createOptions; 0 if there is none."""
    value = options.get("HostConfig", name)
    return value if isinstance(value, int) and value > 0 else 0


def _variables(options: Options) -> dict[str, str]:
    """The variables in `Env` of createOptions."""
    entries = options.get("Env") or ()
    return dict(entry.split("=", 1) for entry in entries if isinstance(entry, str) and "=" in entry)
