"""How edgeAgent interprets its desired properties, and what it reports: functions from values to values.

Sources, in Azure/iotedge at 1.6: edge-agent `Agent.cs`, `EdgeAgentConnection.cs`, `DeploymentStatusCode.cs`,
`DockerConfig.cs`, `RestartPolicyManager.cs`, `AgentState.cs`, `EdgeAgentDockerRuntimeModule.cs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from manifestgen.edge import policy
from manifestgen.manifest import credentials, schema_version
from manifestgen.manifest.dump import compact
from manifestgen.manifest.image import ImageReference
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.reading import as_text, get
from manifestgen.sandbox.device.edges import description
from manifestgen.sandbox.device.verdict import rejections
from manifestgen.sandbox.hub.twins import Json

RUNTIME_VERSION: Final = {"version": "1.6.1", "build": "20260812.1", "commit": "sandbox"}
PLATFORM: Final = {"os": "linux", "architecture": "x86_64", "version": "20.10.25"}
DOCKER_PLATFORM: Final = "linux/amd64"
WRONG_PLATFORM: Final = "OCI runtime create failed: container_linux.go: exec format error: unknown"
BOOTSTRAP_IMAGE: Final = "mcr.microsoft.com/azureiotedge-agent:1.6"

# Constants.cs and appsettings_agent.json of edge-agent.
_CHUNK_CHARACTERS: Final = 512

_EMPTY: Final = (
    417,
    "This device has an empty configuration for the edge agent. Please set a deployment manifest.",
)
_FORMAT: Final = (400, "Agent configuration format is invalid.")
SUCCESS: Final = (200, "")


@dataclass(frozen=True)
class Spec:
    """A module that edgeAgent should run.

    Attributes:
        image: with `:latest` if the manifest names neither tag nor digest.
        options: createOptions, parsed and rewritten by edgeAgent.
        order: `startupOrder`.
    """

    name: str
    system: bool
    image: str
    options: str
    env: Mapping[str, str]
    status: str
    restart_policy: str
    pull_policy: str
    order: int
    version: str

    @property
    def fingerprint(self) -> str:
        """Changes if the container must be recreated; changes of status, policies and order do not recreate it."""
        return compact([self.image, self.options, self.env, self.version])

    @property
    def runs(self) -> bool:
        """Whether the container should be started; with a status other than running, it is only created."""
        return self.status == "running"

    def host_ports(self) -> Iterator[str]:
        """`PORT/PROTOCOL` on the host for each published port."""
        try:
            host = get(json.loads(self.options), "HostConfig") or {}
        except ValueError:
            return
        bindings = get(host, "PortBindings") if isinstance(host, dict) else None
        for container_port, binds in (bindings or {}).items():
            protocol = container_port.partition("/")[2] or "tcp"
            for bind in binds or []:
                port = as_text(get(bind, "HostPort")) if isinstance(bind, dict) else None
                if port:
                    yield f"{port}/{protocol}"


def rejection(desired: Mapping[str, Any]) -> tuple[int, str] | None:
    """Code and description with which edgeAgent rejects its desired properties; None if it accepts them.

    It reports no details: only its log says which field is wrong.
    """
    if not desired:
        return _EMPTY
    statuses = {rejected.status for rejected in rejections("$edgeAgent", desired)}
    version = as_text(get(desired, "schemaVersion"))
    if 400 in statuses or version is None:
        return _FORMAT
    if 412 in statuses:
        if schema_version.parse(version) is None:
            return 412, f"Invalid desired properties schema version {version}"
        words = f"The desired properties schema version {version} is not compatible with the expected version 1.1.0"
        return 412, words
    return None


def _manifest(desired: Mapping[str, Any]) -> Manifest:
    return Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": desired}}}, layered=False)


def specs(desired: Mapping[str, Any]) -> Sequence[Spec]:
    """The modules in accepted desired properties, in the order in which edgeAgent processes them."""
    found = [_spec(module) for module in _manifest(desired).modules() if module.image is not None]
    return sorted(found, key=lambda spec: spec.order)


def _spec(module: Module) -> Spec:
    own = module.is_edge_agent
    return Spec(
        name=module.name,
        system=module.system,
        image=tagged(str(module.image)),
        options=_normalised(module.create_options()),
        env=module.variables,
        status="running" if own else str(module.get("status")).lower(),
        restart_policy="always" if own else module.restart_policy,
        pull_policy=str(module.get("imagePullPolicy") or "on-create").lower(),
        order=0 if own else module.startup_order,
        version=as_text(module.get("version")) or "",
    )


def tagged(image: str) -> str:
    """The image name with the tag that edgeAgent adds."""
    reference = ImageReference.parse(image)
    return reference.text if reference.tag or reference.digest else f"{reference.text}:latest"


def _normalised(options: str) -> str:
    if not options.strip() or options.strip().lower() == "null":
        return "{}"
    try:
        return compact(json.loads(options))
    except ValueError:
        return options  # not JSON, but accepted by Newtonsoft.Json: comments, single quotes


def credential(desired: Mapping[str, Any], image: str) -> dict[str, str] | None:
    """The registry credential that edgeAgent uses for a pull; None for an anonymous pull."""
    entries = _manifest(desired).credentials()
    key = credentials.match(entries, image)
    if key is None:
        return None
    entry = entries[key]
    return {"address": entry.address, "username": entry.username, "password": entry.password.reveal()}


def has_reserved_name(desired: Mapping[str, Any]) -> str | None:
    """A user module with the name of a system module, which makes every reconciliation fail; None if there is none."""
    modules = get(desired, "modules") or {}
    return next((name for name in ("edgeAgent", "edgeHub") if name in modules), None)


def pause(failures: int, first: float) -> float | None:
    """Seconds until the next retry after a number of failures; None once edgeAgent has given up."""
    return None if failures > policy.MAX_RESTARTS else policy.pause(max(0, failures - 1), first)


def create_error(module: str, cause: str) -> str:
    """EdgeAgent's message about a container that could not be created; `cause` is Docker's message."""
    return f"Error calling Create module {module}: Could not create module {module}\n\tcaused by: {cause}"


def pull_error(module: str, image: str, cause: str) -> str:
    """EdgeAgent's message about an image that could not be pulled."""
    return create_error(module, f"Could not pull image {image}\n\tcaused by: {cause}")


def start_error(module: str, cause: str) -> str:
    """EdgeAgent's message about a container that could not be started."""
    return f"Error calling start module {module}: Could not start module {module}\n\tcaused by: {cause}"


def port_taken(module: str, port: str) -> str:
    """Docker's message about a host port that is in use."""
    number = port.partition("/")[0]
    return (
        f"driver failed programming external connectivity on endpoint {module}: "
        f"Bind for 0.0.0.0:{number} failed: port is already allocated"
    )


def failure(errors: Sequence[str]) -> tuple[int, str]:
    """Code and description of a plan in which commands failed."""
    return 500, "One or more errors occurred. " + " ".join(f"({error})" for error in errors)


def reported(desired: Mapping[str, Any], version: int, status: tuple[int, str], containers: Mapping[str, Json]) -> Json:
    """The reported properties of `$edgeAgent`.

    Args:
        desired: the desired properties in use; empty if it never accepted any.
        version: version of the desired properties that were last applied or tried.
        status: code and description.
        containers: the containers by module name, as `devices` stores them.
    """
    runtime = get(desired, "runtime")
    settings = get(runtime, "settings") if isinstance(runtime, dict) else None
    system = {name: _module_report(container) for name, container in containers.items() if container["system"]}
    system.setdefault(
        "edgeAgent", {"type": "docker", "runtimeStatus": "running", "settings": {"image": BOOTSTRAP_IMAGE}}
    )
    return {
        "schemaVersion": "1.0",
        "version": RUNTIME_VERSION,
        "lastDesiredVersion": version,
        "lastDesiredStatus": {"code": status[0], "description": status[1]},
        "runtime": {
            "type": "docker",
            "settings": settings if isinstance(settings, dict) else {},
            "platform": PLATFORM,
        },
        "systemModules": system,
        "modules": {
            name: _module_report(container) for name, container in containers.items() if not container["system"]
        },
    }


def _module_report(container: Json) -> Json:
    settings = {"image": container["image"], "imageHash": container["digest"], **chunks(container["options"])}
    report: Json = {
        "type": "docker",
        "runtimeStatus": container["state"],
        "exitCode": container["exit_code"],
        "statusDescription": description(container),
        "lastStartTimeUtc": container["started"],
        "lastExitTimeUtc": container["exited"],
        "imagePullPolicy": container["pull_policy"],
        "settings": settings,
        "env": {name: {"value": value} for name, value in container["env"].items()},
    }
    if not (container["system"] and container["name"] == "edgeAgent"):
        report.update(
            status=container["status"],
            restartPolicy=container["restart_policy"],
            restartCount=container["restarts"],
            lastRestartTimeUtc=container["restarted"],
            startupOrder=container["order"],
            version=container["version"],
        )
    return {key: value for key, value in report.items() if value is not None}


def chunks(options: str) -> dict[str, str]:
    """CreateOptions as edgeAgent reports them: in numbered chunks of 512 characters."""
    pieces = re.findall(f"(?s).{{1,{_CHUNK_CHARACTERS}}}", options) or [""]
    return {f"createOptions{number:02d}" if number else "createOptions": piece for number, piece in enumerate(pieces)}
