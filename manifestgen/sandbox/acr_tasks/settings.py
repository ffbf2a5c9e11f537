"""How a registry takes builds: what its owner, its subscription or a fault has set.

kind       key       value
acr-tasks  REGISTRY  the fields of `Settings` that differ from the defaults
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from manifestgen.sandbox import accounts
from manifestgen.sandbox.world import World

LEGACY: Final = "LegacyRegistryPermissions"
ABAC: Final = "AbacRepositoryPermissions"

#: How runs go: `queue` waits for an agent for ever, `hang` builds for ever and fills its log, `error` fails within ACR,
#: `timeout` runs out of time, `open-log` never marks its log as complete.
WAYS: Final = ("normal", "queue", "hang", "error", "timeout", "open-log")


@dataclass(frozen=True)
class Settings:
    """The settings of a registry.

    Attributes:
        allowed: whether its subscription may use ACR Tasks; free and credit subscriptions may not.
        mode: whether roles are for the whole registry or for repositories.
        firewall: whether it rejects ACR's shared agents; an agent pool is in its network.
        full: whether it has reached its storage limit.
        agent_pools: names, separated by commas.
        source_limit: bytes of the largest source that is accepted.
        sas_seconds: for how long an issued URL for the source or the log works.
        runs: how runs go, one of `WAYS`.
    """

    allowed: bool = True
    mode: str = LEGACY
    firewall: bool = False
    full: bool = False
    agent_pools: str = ""
    source_limit: int = 100_000_000
    sas_seconds: int = 3600
    runs: str = "normal"

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of the agent pools."""
        return tuple(name.strip() for name in self.agent_pools.split(",") if name.strip())


def get(world: World, registry: str) -> Settings:
    """The settings of a registry."""
    return Settings(**(world.store.get("acr-tasks", registry.lower()) or {}))


def of_host(world: World, host: str) -> Settings:
    """The settings of the registry with this login server."""
    found = accounts.registry_of_host(world, host)
    return get(world, found["name"]) if found else Settings()


def put(world: World, registry: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change settings; omitted ones stay. Returns all of them. Raises ValueError with the reason."""
    defaults = {one.name: one.default for one in fields(Settings)}
    for key, value in changes.items():
        if key not in defaults:
            raise ValueError(f"unknown key {key!r}; known are {', '.join(defaults)}")
        if type(value) is not type(defaults[key]):
            raise ValueError(f"{key} must be {type(defaults[key]).__name__}, not {value!r}")
    if changes.get("runs", "normal") not in WAYS:
        raise ValueError(f"runs must be one of {', '.join(WAYS)}, not {changes['runs']!r}")
    if changes.get("mode", LEGACY) not in (LEGACY, ABAC):
        raise ValueError(f"mode must be {LEGACY} or {ABAC}, not {changes['mode']!r}")
    new = {**asdict(get(world, registry)), **changes}
    world.store.put("acr-tasks", registry.lower(), new)
    return new
