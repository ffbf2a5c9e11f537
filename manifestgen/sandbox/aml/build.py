"""Image builds of Azure ML in the sandbox.

A build really chooses and installs the packages of its conda specification (`sandbox.packages`), and fails if that
fails. It checks what else would make a container fail: the entry script must be where the driver looks for it and must
compile, and the container must have a server. The log marks every step that is not carried out. Besides the packages, a
build takes `world.pace.image_build` seconds, during which its log grows line by line. Then the image is in the
registry, or the build has failed. Where devices run their modules, the image has its files: see `files`.

    kind           key                       value
    build          ID                        the build, see `Build`
    start-failure  LOGIN_SERVER/NAME:TAG     {"exit_code", "message"}: why a container of this image exits at once
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import yaml

from manifestgen.edge.files.places import AZURE_ML_ROOT
from manifestgen.sandbox import blob
from manifestgen.sandbox.acr_tasks.layer import Layer
from manifestgen.sandbox.aml.artifacts import CONTAINER, artifact_file
from manifestgen.sandbox.aml.files import imports_azureml, make_layer
from manifestgen.sandbox.aml.responses import iso
from manifestgen.sandbox.faults import build_failure
from manifestgen.sandbox.packages import SIMULATED, SWITCHED_OFF, Outcome, in_background, install_conda
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import World

_APP = f"/{AZURE_ML_ROOT}"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DRIVER_SCRIPT = re.compile(r"os\.path\.realpath\(__file__\)\), '([^']+)'\)")
_PIP_NAME = re.compile(r"[A-Za-z0-9._-]+")
# The packages that provide the container's web server.
_SERVERS = {"azureml-defaults", "azureml-inference-server-http"}
_LOG_FAILURE = (
    "The command '/bin/sh -c conda env create -f environment.yml' returned a non-zero code: 1",
    "failed to run step ID: acb_step_0: exit status 1",
)


@dataclass(frozen=True)
class StartFailure:
    """Why a container exits as soon as it is started, and with which exit code."""

    exit_code: int
    message: str


@dataclass(frozen=True)
class Build:
    """A build, as kept in the store.

    Attributes:
        id: ID of the asynchronous operation.
        kind: the service's type of operation.
        image: key of the service's record of the image; empty for a package.
        repository: repository of the image to push; `tag` is its tag.
        variables: the container's environment variables.
        lines: the log's lines, of which `logged` have been written.
        state: NotStarted, Running, Succeeded or Failed.
        conda: the conda specification whose packages are still to be installed; None once they are.
        error: the service's error message if the build fails; reported at the end.
        start_failure: exit code and message of a container of the image, if it cannot start.
        assets: what the image is made from; `models` are IDs of registered models, `lock` has the packages' versions.
    """

    id: str
    kind: str
    repository: str
    tag: str
    created: float
    image: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[str] = ()
    logged: int = 0
    state: str = "NotStarted"
    ended: float | None = None
    conda: Any = None
    error: str = ""
    start_failure: Mapping[str, Any] | None = None
    assets: Sequence[Mapping[str, Any]] = ()
    models: Sequence[str] = ()
    lock: str = ""

    @property
    def log_path(self) -> str:
        """Path of the blob with the log."""
        return f"ImageLogs/{self.id}/build.log"


def find(world: World, build_id: str) -> Build | None:
    """A build by its ID."""
    data = world.store.get("build", build_id)
    return None if data is None else Build(**data)


def save(world: World, build: Build) -> None:
    """Store a build."""
    world.store.put("build", build.id, asdict(build))


def reference(world: World, build: Build) -> str:
    """The reference of the image that the build creates."""
    return f"{world.names.login_server}/{build.repository}:{build.tag}"


def start_failure(world: World, image: str) -> StartFailure | None:
    """Why a container of this image exits at once; None if it starts. For the simulated devices."""
    data = world.store.get("start-failure", image)
    return None if data is None else StartFailure(**data)


def start(world: World, build: Build, conda: Any, trouble: StartFailure | None) -> None:
    """Accept a build and run it in the background.

    Args:
        world: where the build runs.
        build: the build, without lines and errors yet.
        conda: the parsed conda specification, valid or not.
        trouble: why the container will not start, if it will not.
    """
    error, lines, pending = _conda_error(conda), _log_head(world, build), None
    if error:
        lines += ["CondaSpecificationError: " + error, *_LOG_FAILURE]
    elif fault := build_failure(world):
        lines += [*fault.log, *_LOG_FAILURE]
        error = fault.message
    else:
        pending = conda
    failure = None if trouble is None else asdict(trouble)
    save(world, replace(build, lines=lines, conda=pending, error=error, start_failure=failure))
    world.spawn(_run(world, build.id))


def resume(world: World) -> None:
    """Resume the builds that a stopped sandbox left unfinished."""
    for build_id, data in world.store.items("build"):
        if data["state"] in ("NotStarted", "Running"):
            world.spawn(_run(world, build_id))


async def _run(world: World, build_id: str) -> None:
    build = find(world, build_id)
    assert build is not None  # noqa: S101 - builds are never deleted
    pause = world.pace.image_build / (2 * len(build.lines) + 1)
    await asyncio.sleep(pause)
    build = await _logged(world, build, pause)
    if build.conda is not None:
        installed = await _installed(world, build)
        ends = _LOG_FAILURE if installed.error else _log_tail(world, build)
        lines = [*build.lines, *installed.lines, *ends]
        build = replace(build, conda=None, error=installed.error, lines=lines, lock=installed.lock)
        save(world, build)
        build = await _logged(world, build, world.pace.image_build / (2 * len(lines)))
    _finish(world, build)


async def _logged(world: World, build: Build, pause: float) -> Build:
    """Write the lines of the log that are not written yet."""
    for line in build.lines[build.logged :]:
        build = replace(build, state="Running", logged=build.logged + 1)
        blob.append(world, CONTAINER, build.log_path, line + "\n")
        save(world, build)
        await asyncio.sleep(pause)
    return build


async def _installed(world: World, build: Build) -> Outcome:
    if not world.pace.packages:
        return SWITCHED_OFF
    imported = frozenset({"azureml"} if imports_azureml(world, build.assets) else ())
    return await in_background(lambda: install_conda(build.conda, imported))


def _finish(world: World, build: Build) -> None:
    if build.error:
        save(world, replace(build, state="Failed", ended=world.now()))
        return
    made = None
    if world.modules == "run":
        made = make_layer(world, build.assets, build.models, build.lock)
    _push(world, build, made)
    if build.start_failure is None:
        world.store.delete("start-failure", reference(world, build))
    else:
        world.store.put("start-failure", reference(world, build), build.start_failure)
    # A workspace gets its registry with the first image.
    world.store.put("workspace", "registry", {"id": world.names.registry_arm_id})
    save(world, replace(build, state="Succeeded", ended=world.now()))


def _push(world: World, build: Build, made: Layer | None) -> None:
    """Put the image into the registry, with its environment variables, build time and files."""
    host = world.names.login_server
    digest = images.make_image(world, host, build.repository, build.tag)
    pushed = images.find_manifest(world, host, build.repository, digest)
    assert pushed is not None  # noqa: S101 - it is there since the line above
    manifest = json.loads(pushed.path.read_bytes())
    config = json.loads(images.content_path(world, manifest["config"]["digest"]).read_bytes())
    # As in reality, the time gives each build's image its own digest.
    config["created"] = iso(world.now())
    config["config"] = {
        "Env": [f"{name}={value}" for name, value in {**build.variables, "AZUREML_APP_ROOT": _APP}.items()],
        "WorkingDir": _APP,
    }
    if made is not None:
        path = images.content_path(world, made.digest)
        made.path.replace(path)
        images.link_blob(world, host, build.repository, made.digest)
        manifest["layers"].append({"mediaType": f"{_LAYER}+gzip", "digest": made.digest, "size": made.size})
        config["rootfs"]["diff_ids"].append(made.diff_id)
    manifest["config"] |= images.put_blob(world, host, build.repository, json.dumps(config).encode())
    text = json.dumps(manifest).encode()
    images.put_manifest(world, host, build.repository, build.tag, pushed.media_type, text)


def conda_file(world: World, url: str) -> Any:
    """The uploaded conda specification, parsed; if it does not parse, a string with the reason."""
    file = artifact_file(world, url)
    try:
        return yaml.safe_load(file.read_bytes()) if file else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return f"the file does not parse: {error}"


def entry_trouble(world: World, assets: Sequence[Mapping[str, Any]], script: str | None) -> StartFailure | None:
    """Why the container cannot load its entry script; None if it can.

    Args:
        world: where the assets were uploaded.
        assets: the image's assets; archives are unpacked, other files are placed side by side.
        script: path of the entry script in the application's folder; if None, the driver names it.
    """
    if script is None:
        script = _script_of_driver(world, assets)
    source = None if script is None else _read(world, assets, script)
    if source is None:
        return StartFailure(3, f"FileNotFoundError: [Errno 2] No such file or directory: '{_APP}/{script}'")
    try:
        defined = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    except (SyntaxError, ValueError) as error:
        return StartFailure(3, f"SyntaxError: {error}")
    missing = {"init", "run"} - defined
    # A name may also come from an import; only a script with no other way to define it is certain to fail.
    if missing and not re.search(rb"\bimport\b[^\n]*\b(init|run|\*)", source):
        return StartFailure(3, f"AttributeError: module 'service_driver' has no attribute '{min(missing)}'")
    return None


def server_trouble(conda: Any) -> StartFailure | None:
    """Why a package's container accepts no requests: its environment has no server. None if it has one."""
    names = {match[0].lower() for item in _pip(conda) if (match := _PIP_NAME.match(item))}
    return None if names & _SERVERS else StartFailure(127, "/var/runit/gunicorn/run: exec: gunicorn: not found")


def _script_of_driver(world: World, assets: Sequence[Mapping[str, Any]]) -> str | None:
    drivers = [asset for asset in assets if asset.get("mimeType") == "application/x-python"]
    file = artifact_file(world, drivers[0]["url"]) if drivers else None
    match = _DRIVER_SCRIPT.search(file.read_text()) if file else None
    return match[1] if match else None


def _read(world: World, assets: Sequence[Mapping[str, Any]], script: str) -> bytes | None:
    for asset in assets:
        file = artifact_file(world, asset["url"])
        if file is None:
            continue
        if not asset.get("unpack"):
            if asset["id"] == script:
                return file.read_bytes()
            continue
        try:
            with tarfile.open(file) as archive:
                member = archive.extractfile(script)
                if member is not None:
                    return member.read()
        except (KeyError, tarfile.TarError):
            continue
    return None


def _conda_error(conda: Any) -> str:
    if isinstance(conda, str):
        return conda
    if not isinstance(conda, dict) or not isinstance(conda.get("dependencies"), list):
        return "the specification has no list of dependencies"
    for item in conda["dependencies"]:
        if not isinstance(item, str) and not (isinstance(item, dict) and isinstance(item.get("pip"), list)):
            return f"{item!r} is not a dependency"
    return ""


def _pip(conda: Any) -> list[str]:
    if _conda_error(conda):
        return []
    groups = [item["pip"] for item in conda["dependencies"] if isinstance(item, dict)]
    return [str(item) for group in groups for item in group]


def _log_head(world: World, build: Build) -> list[str]:
    return [
        f"{SIMULATED} logging in to registry: {world.names.login_server}",
        f"Building {reference(world, build)}",
        f"{SIMULATED} FROM mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04",
        "RUN conda env create -p /azureml-envs/azureml -f environment.yml",
        f"{SIMULATED} conda: uv installs the packages in its place",
    ]


def _log_tail(world: World, build: Build) -> list[str]:
    copied = [
        f"{SIMULATED} COPY azureml-app {_APP}",
        f"{SIMULATED} the image is a stand-in, with its name, tag and variables, and none of its files",
    ]
    if world.modules == "run":
        copied = [f"COPY azureml-app {_APP}", f"{SIMULATED} the files of the base image are left out"]
    return [
        *copied,
        f"Pushed {reference(world, build)}",
        f"Run ID: {build.id[:4]} was successful",
    ]
