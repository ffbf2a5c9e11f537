"""The body of `scheduleRun`, checked strictly: a DockerBuildRequest.

Source: the specification of Microsoft.ContainerRegistry, 2019-06-01-preview and 2025-03-01-preview, and the models of
azure-mgmt-containerregistry 14.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from manifestgen.sandbox.acr_tasks import settings
from manifestgen.sandbox.arm.request import ArmError
from manifestgen.sandbox.world import World

#: The version in which `sourceRegistry.identity` exists.
WITH_IDENTITY: Final = "2025-03-01-preview"
VERSIONS: Final = frozenset({"2019-06-01-preview", WITH_IDENTITY})
CALLER: Final = "[caller]"

_OTHER_TYPES: Final = ("EncodedTaskRunRequest", "FileTaskRunRequest", "TaskRunRequest")
_ARCHITECTURES: Final = ("amd64", "x86", "386", "arm", "arm64")
_VARIANTS: Final = ("v6", "v7", "v8")
_CPU: Final = 2
_TIMEOUTS: Final = (300, 28_800)


@dataclass(frozen=True)
class RunRequest:
    """A build to carry out.

    Attributes:
        images: names of the image, such as `scorer:1`, without the registry's host.
        platform: os, architecture and variant.
        arguments: build arguments by name.
        timeout: in seconds.
        source: relative path of the uploaded source.
        identity: that logs in to the registry; empty for the registry's own.
        login: whether the run logs in to the registry at all.
        custom_registries: user name and password by host.
    """

    images: Sequence[str]
    push: bool
    dockerfile: str
    target: str
    platform: tuple[str, str, str]
    arguments: Mapping[str, str]
    timeout: int
    source: str
    agent_pool: str = ""
    identity: str = ""
    login: bool = True
    custom_registries: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def may_use_source(self, world: World, host: str) -> bool:
        """Whether the run may pull from, and push to, its own registry."""
        by_repository = settings.of_host(world, host).mode == settings.ABAC
        return self.login and (not by_repository or self.identity == CALLER)


def parse(body: Mapping[str, Any], version: str, pools: Sequence[str]) -> RunRequest:
    """Read a request's body.

    Args:
        body: of the request.
        version: the api-version.
        pools: names of the registry's agent pools.

    Raises:
        ArmError: 400, with what is wrong.
    """
    kind = body.get("type")
    if kind in _OTHER_TYPES:
        raise _invalid(
            f"The run request type '{kind}' is not supported by the sandbox; it carries out a DockerBuildRequest."
        )
    if kind != "DockerBuildRequest":
        raise _invalid(f"The run request type '{kind}' is not known.")
    read = _Reader(body, "DockerBuildRequest")
    pool = read.text("agentPoolName")
    if pool and pool not in pools:
        raise ArmError(400, "AgentPoolNotFound", f"The agent pool '{pool}' was not found.")
    login, identity = True, ""
    custom: dict[str, tuple[str, str]] = {}
    credentials = read.object("credentials")
    if credentials is not None:
        login, identity = _source_registry(credentials.object("sourceRegistry"), version)
        custom = _custom_registries(credentials.mapping("customRegistries"))
        credentials.finish()
    found = RunRequest(
        images=read.texts("imageNames"),
        push=read.flag("isPushEnabled", default=True),
        dockerfile=read.text("dockerFilePath", required=True),
        target=read.text("target"),
        platform=_platform(read.object("platform")),
        arguments=_arguments(read.objects("arguments")),
        timeout=read.number("timeout", 3600, _TIMEOUTS),
        source=read.text("sourceLocation", required=True),
        agent_pool=pool,
        identity=identity,
        login=login,
        custom_registries=custom,
    )
    agent = read.object("agentConfiguration")
    if agent is not None:
        cpu = agent.number("cpu", _CPU, (1, 64))
        if cpu != _CPU and not pool:
            raise _invalid(f"The agent configuration cpu {cpu} is not supported. The supported value is {_CPU}.")
        agent.finish()
    read.flag("noCache")
    read.flag("isArchiveEnabled")
    read.text("logTemplate")
    read.finish()
    return found


def _source_registry(found: _Reader | None, version: str) -> tuple[bool, str]:
    if found is None:
        return True, ""
    mode = found.choice("loginMode", ("None", "Default"), "Default")
    identity = found.text("identity") if version == WITH_IDENTITY else ""
    if identity and identity not in (CALLER, "[system]") and not identity.startswith("/subscriptions/"):
        raise _invalid(f"The identity '{identity}' of the source registry is not valid.")
    found.finish()
    return mode == "Default", identity


def _custom_registries(found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    logins: dict[str, tuple[str, str]] = {}
    for host, value in found.items():
        read = _Reader(_an_object(value, host), "CustomRegistryCredentials")
        read.text("identity")
        pair = [read.object(key) for key in ("userName", "password")]
        texts = []
        for secret in pair:
            texts.append(secret.text("value") if secret else "")
            if secret is not None:
                secret.choice("type", ("Opaque", "Vaultsecret"), "Opaque")
                secret.finish()
        read.finish()
        logins[host.lower()] = (texts[0], texts[1])
    return logins


def _platform(found: _Reader | None) -> tuple[str, str, str]:
    if found is None:
        raise _missing("platform", "DockerBuildRequest")
    os = found.choice("os", ("Windows", "Linux"))
    architecture = found.choice("architecture", _ARCHITECTURES, "amd64")
    variant = found.choice("variant", _VARIANTS, "")
    found.finish()
    if os != "Linux":
        raise _invalid("The platform Windows is not supported by the sandbox.")
    return "linux", {"x86": "386"}.get(architecture, architecture), variant


def _arguments(found: Sequence[_Reader]) -> dict[str, str]:
    arguments = {}
    for read in found:
        name = read.text("name", required=True)
        arguments[name] = read.text("value", required=True)
        read.flag("isSecret")
        read.choice("type", ("Argument",), "Argument")  # az sends it
        read.finish()
    return arguments


def _invalid(words: str) -> ArmError:
    return ArmError(400, "InvalidRequestContent", words)


def _missing(key: str, kind: str) -> ArmError:
    return _invalid(f"Required property '{key}' not found in JSON of '{kind}'.")


def _an_object(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"The value of '{key}' must be an object.")
    return value


class _Reader:
    """Takes the members of an object one by one; `finish` rejects those that are left. Null counts as missing."""

    def __init__(self, data: Mapping[str, Any], kind: str) -> None:
        self._left = {key: value for key, value in data.items() if key != "type" or kind != "DockerBuildRequest"}
        self._kind = kind

    def finish(self) -> None:
        for key, value in self._left.items():
            if value is not None:
                raise _invalid(f"Could not find member '{key}' on object of type '{self._kind}'.")

    def text(self, key: str, *, required: bool = False) -> str:
        return str(self._take(key, str, "a string", required=required) or "")

    def flag(self, key: str, *, default: bool = False) -> bool:
        found = self._take(key, bool, "a boolean")
        return default if found is None else bool(found)

    def number(self, key: str, default: int, limits: tuple[int, int]) -> int:
        found = self._take(key, int, "an integer")
        if found is None:
            return default
        if not limits[0] <= found <= limits[1]:
            raise _invalid(f"The value {found} of '{key}' is not from {limits[0]} to {limits[1]}.")
        return int(found)

    def choice(self, key: str, values: Sequence[str], default: str | None = None) -> str:
        found = self._take(key, str, "a string", required=default is None)
        if found is None:
            return default or ""
        for value in values:
            if value.lower() == found.lower():
                return value
        raise _invalid(f"Error converting value \"{found}\" of '{key}'. The values are {', '.join(values)}.")

    def texts(self, key: str) -> Sequence[str]:
        found = self._take(key, list, "a list of strings") or []
        if not all(isinstance(item, str) for item in found):
            raise _invalid(f"The value of '{key}' must be a list of strings.")
        return tuple(found)

    def object(self, key: str) -> _Reader | None:
        found = self._take(key, dict, "an object")
        return None if found is None else _Reader(found, key)

    def objects(self, key: str) -> Sequence[_Reader]:
        return [_Reader(_an_object(item, key), key) for item in self._take(key, list, "a list") or []]

    def mapping(self, key: str) -> Mapping[str, Any]:
        return self._take(key, dict, "an object") or {}

    def _take(self, key: str, kind: type, words: str, *, required: bool = False) -> Any:
        value = self._left.pop(key, None)
        if value is None:
            if required:
                raise _missing(key, self._kind)
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _invalid(f"The value of '{key}' must be {words}.")
        return value
