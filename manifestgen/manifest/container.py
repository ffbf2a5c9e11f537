"""createOptions as edgeAgent reads them: Docker's parameters for creating a container, with edgeAgent's own types.

A value of another type makes edgeAgent reject the whole manifest. It passes unknown keys on to Docker, which ignores
misplaced ones. Source: the classes in Agent.Docker/models; the names of keys that
only Docker knows are those of the Engine API 1.41 (`POST /containers/create`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Final

from msgspec import Struct, field

from manifestgen.manifest import newtonsoft
from manifestgen.manifest.reading import INT64, enum_number, is_blank, is_null, rounded
from manifestgen.manifest.value import Value


class Shape(Struct, frozen=True, dict=True):
    """The expected type of a value.

    Attributes:
        kind: text, integer, boolean, list, map, object, or one of `names`.
        item: of a list or a map.
        keys: of an object, by their names as Docker writes them.
        nullable: whether null is taken.
        limits: of an integer, the smallest and the largest.
    """

    kind: str
    item: Shape | None = None
    keys: dict[str, Shape] = {}
    nullable: bool = True
    limits: tuple[int, int] = INT64

    @cached_property
    def lower(self) -> dict[str, str]:
        """Its keys by their lower-case form."""
        return {key.lower(): key for key in self.keys}


_TEXT: Final = Shape("text")
_LONG: Final = Shape("integer", nullable=False)
_LONG_OR_NULL: Final = Shape("integer")
_ULONG: Final = Shape("integer", nullable=False, limits=(0, 2**64 - 1))
_USHORT: Final = Shape("integer", nullable=False, limits=(0, 2**16 - 1))
_BOOL: Final = Shape("boolean", nullable=False)
_BOOL_OR_NULL: Final = Shape("boolean")
# Docker.DotNet's EmptyStruct, which is a value type: it takes no null.
_EMPTY_OBJECT: Final = Shape("object", nullable=False)


def _list(item: Shape) -> Shape:
    return Shape("list", item)


def _map(item: Shape) -> Shape:
    return Shape("map", item)


def _object(**keys: Shape) -> Shape:
    return Shape("object", keys=keys)


_RATE: Final = _list(_object(Path=_TEXT, Rate=_ULONG))

HOST_CONFIG: Final = _object(
    Binds=_list(_TEXT),
    LogConfig=_object(Type=_TEXT, Config=_map(_TEXT)),
    Mounts=_list(_object(ReadOnly=_BOOL, Source=_TEXT, Target=_TEXT, Type=_TEXT)),
    NetworkMode=_TEXT,
    IpcMode=_TEXT,
    PortBindings=_map(_list(_object(HostIP=_TEXT, HostPort=_TEXT))),
    Privileged=_BOOL,
    CpuRealtimePeriod=_LONG,
    CpuQuota=_LONG,
    CpuPeriod=_LONG,
    BlkioDeviceWriteIOps=_RATE,
    BlkioDeviceReadIOps=_RATE,
    BlkioDeviceWriteBps=_RATE,
    BlkioDeviceReadBps=_RATE,
    BlkioWeightDevice=_list(_object(Path=_TEXT, Weight=_USHORT)),
    BlkioWeight=_USHORT,
    CgroupParent=_TEXT,
    NanoCpus=_LONG,
    Memory=_LONG,
    CpuShares=_LONG,
    CpuRealtimeRuntime=_LONG,
    CpusetCpus=_TEXT,
    CpusetMems=_TEXT,
    Devices=_list(_object(PathOnHost=_TEXT, PathInContainer=_TEXT, CgroupPermissions=_TEXT)),
    DiskQuota=_LONG,
    KernelMemory=_LONG,
    MemoryReservation=_LONG,
    MemorySwap=_LONG,
    MemorySwappiness=_LONG_OR_NULL,
    OomKillDisable=_BOOL_OR_NULL,
    PidsLimit=_LONG_OR_NULL,
    Ulimits=_list(_object(Name=_TEXT, Hard=_LONG, Soft=_LONG)),
    CpuCount=_LONG,
    CpuPercent=_LONG,
    IOMaximumIOps=_ULONG,
    IOMaximumBandwidth=_ULONG,
    Isolation=_TEXT,
    ConsoleSize=_list(_ULONG),
    Runtime=_TEXT,
    Sysctls=_map(_TEXT),
    ContainerIDFile=_TEXT,
    RestartPolicy=_object(Name=Shape("restart policy", nullable=False), MaximumRetryCount=_LONG),
    AutoRemove=_BOOL,
    VolumeDriver=_TEXT,
    VolumesFrom=_list(_TEXT),
    CapAdd=_list(_TEXT),
    CapDrop=_list(_TEXT),
    Dns=_list(_TEXT),
    DnsOptions=_list(_TEXT),
    DnsSearch=_list(_TEXT),
    Init=_BOOL_OR_NULL,
    ExtraHosts=_list(_TEXT),
    Cgroup=_TEXT,
    Links=_list(_TEXT),
    OomScoreAdj=_LONG,
    PidMode=_TEXT,
    PublishAllPorts=_BOOL,
    ReadonlyRootfs=_BOOL,
    SecurityOpt=_list(_TEXT),
    StorageOpt=_map(_TEXT),
    Tmpfs=_map(_TEXT),
    UTSMode=_TEXT,
    UsernsMode=_TEXT,
    ShmSize=_LONG,
    GroupAdd=_list(_TEXT),
    InitPath=_TEXT,
)
CREATE: Final = _object(
    Env=_list(_TEXT),
    ExposedPorts=_map(_EMPTY_OBJECT),
    HostConfig=HOST_CONFIG,
    Image=_TEXT,
    Labels=_map(_TEXT),
    NetworkingConfig=_object(EndpointsConfig=_map(_object(Aliases=_list(_TEXT)))),
)

#: Keys that only Docker knows.
DOCKER_ONLY: Final = frozenset(
    [
        "Hostname",
        "Domainname",
        "User",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
        "Cmd",
        "Healthcheck",
        "ArgsEscaped",
        "Volumes",
        "WorkingDir",
        "Entrypoint",
        "NetworkDisabled",
        "MacAddress",
        "OnBuild",
        "StopSignal",
        "StopTimeout",
        "Shell",
        "Name",
        "Platform",
    ]
)
HOST_DOCKER_ONLY: Final = frozenset(
    [
        "DeviceCgroupRules",
        "DeviceRequests",
        "KernelMemoryTCP",
        "Capabilities",
        "CgroupnsMode",
        "MaskedPaths",
        "ReadonlyPaths",
        "Annotations",
        "UTSMode",
    ]
)

#: RestartPolicyKind.cs: the names in JSON first, then those of the program.
RESTART_POLICY: Final = {
    "": 0,
    "no": 1,
    "always": 2,
    "on-failure": 3,
    "unless-stopped": 4,
    "Undefined": 0,
    "OnFailure": 3,
    "UnlessStopped": 4,
}


class TypeProblem(Struct, frozen=True):
    """A value of a type that edgeAgent refuses: where, as keys, and what is wrong."""

    path: tuple[str, ...]
    message: str


class Options(Value, frozen=True, dict=True):
    """createOptions that are read.

    Attributes:
        data: plain JSON with the keys of edgeAgent's own properties in their canonical case; empty if there are none.
        problems: why edgeAgent refuses them.
        error: why the text is not JSON to it.
        error_offset: where in the text.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"data"})

    data: dict[str, Any] = field(default_factory=dict)
    problems: tuple[TypeProblem, ...] = ()
    error: str = ""
    error_offset: int = 0

    @cached_property
    def ports(self) -> tuple[tuple[str, str, str, tuple[str | int, ...]], ...]:
        """The host ports that a container takes: address (empty for all), port, protocol, and where that is written."""
        return tuple(_published(self))

    def get(self, *path: str) -> Any:
        """The value at a path of canonical keys; None if there is none."""
        value: Any = self.data
        for key in path:
            if not isinstance(value, dict):
                return None
            value = value.get(key)
        return value


def read(text: str) -> Options:
    """The createOptions as edgeAgent parses their text.

    Fleets and folders repeat the same few, so that what was read is kept and shared between calls: do not change it.
    """
    return _read_usual(text) if len(text) < _UNUSUAL else _read_long(text)


# A few texts of any length, so that they cost no memory to speak of.
_UNUSUAL: Final = 16384


def _read(text: str) -> Options:
    if text == "{}" or is_blank(text) or text.lower() == "null":
        return Options()
    try:
        value = newtonsoft.loads(text)
    except newtonsoft.NewtonsoftError as error:
        return Options(error=error.what, error_offset=error.offset)
    if is_null(value):
        return Options()
    if isinstance(value, str):
        return Options(error="it is a JSON string inside a JSON string: it was encoded twice")
    if not isinstance(value, dict):
        return Options(error=f"it is {_seen(value)}")
    problems: list[TypeProblem] = []
    data = _canonical(value, CREATE, (), problems)
    return Options(data if isinstance(data, dict) else {}, tuple(problems))


_read_usual = lru_cache(maxsize=2048)(_read)
_read_long = lru_cache(maxsize=4)(_read)


def _canonical(value: Any, shape: Shape, path: tuple[str, ...], problems: list[TypeProblem]) -> Any:
    kind = shape.kind
    if value is None and not shape.nullable:
        problems.append(TypeProblem(path, f"must be {_article(kind)}, not null"))
        return None
    if value is None or (shape.nullable and kind != "text" and is_null(value)):
        return None
    if kind == "object":
        if not isinstance(value, dict):
            problems.append(TypeProblem(path, f"must be an object, not {_seen(value)}"))
            return value
        if not shape.keys:
            return value
        found: dict[str, Any] = {}
        for key, item in value.items():
            name = key if key in shape.keys else (shape.lower.get(key.lower()) or key)
            inner = shape.keys.get(name)
            found[name] = item if inner is None else _canonical(item, inner, (*path, key), problems)
        return found
    if kind == "map" and shape.item:
        if not isinstance(value, dict):
            problems.append(TypeProblem(path, f"must be an object, not {_seen(value)}"))
            return value
        return {key: _canonical(item, shape.item, (*path, key), problems) for key, item in value.items()}
    if kind == "list" and shape.item:
        if not isinstance(value, list):
            problems.append(TypeProblem(path, f"must be a list, not {_seen(value)}"))
            return value
        return [_canonical(item, shape.item, (*path, str(i)), problems) for i, item in enumerate(value)]
    if not _scalar(value, shape):
        problems.append(TypeProblem(path, _wrong_scalar(value, shape)))
    return value


def _scalar(value: Any, shape: Shape) -> bool:
    if isinstance(value, dict | list):
        return False
    if shape.kind == "text":
        return True
    if shape.kind == "boolean":
        return boolean(value) is not None
    if shape.kind == "restart policy":
        return enum_number(value, RESTART_POLICY) is not None
    return rounded(value, *shape.limits) is not None


def boolean(value: Any) -> bool | None:
    """A value as edgeAgent reads it into a boolean; None where it throws."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return bool(value)


def _wrong_scalar(value: Any, shape: Shape) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if shape.kind == "integer" and number and math.isfinite(value):
        return "must be a number from {} to {}".format(*shape.limits)
    return f"must be {_article(shape.kind)}, not {_seen(value)}"


def _article(kind: str) -> str:
    names = {
        "object": "an object",
        "text": "a string",
        "integer": "a number",
        "boolean": "true or false",
        "restart policy": 'one of "", "no", "always", "on-failure" and "unless-stopped"',
    }
    return names[kind]


def _seen(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Not quoted: it may be a password.
        return "a string" if len(value) > 20 or "=" in value else repr(value)
    return "a number"


def _published(options: Options) -> Iterator[tuple[str, str, str, tuple[str | int, ...]]]:
    bindings = options.get("HostConfig", "PortBindings")
    if not isinstance(bindings, dict):
        return
    for port, entries in bindings.items():
        protocol = port.partition("/")[2].lower() or "tcp"
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                host_port = entry.get("HostPort")
                if isinstance(host_port, str | int) and str(host_port).strip():
                    address = str(entry.get("HostIP") or entry.get("HostIp") or "")
                    every = address in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
                    place = ("HostConfig", "PortBindings", port, index)
                    yield ("" if every else address), str(host_port).strip(), protocol, place
