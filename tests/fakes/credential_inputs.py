"""What a source of registry credentials is given in tests: fakes for everything in Azure, a fixed time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fakes.registry import FakeRegistry
from fakes.vaults import FakeVaults

from manifestgen.credentials.source import Inputs
from manifestgen.manifest.image import is_private
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import named_hosts
from manifestgen.project import Project

NOW = datetime(2026, 9, 1, 12, tzinfo=timezone.utc)


class Workspace:
    """A workspace of which only the registry is asked for."""

    def __init__(self, registry: Callable[[], str | None]) -> None:
        self.registry_id = registry


def no_workspace() -> str | None:
    """What no test of a project without a workspace may call."""
    raise AssertionError("the workspace need not be asked")


@dataclass
class FakeServices:
    """The services that sources use; whatever a test does not give holds nothing."""

    registry: FakeRegistry = field(default_factory=FakeRegistry)
    vaults: FakeVaults = field(default_factory=FakeVaults)
    builder: Workspace = field(default_factory=lambda: Workspace(no_workspace))


class NoServices:
    """Azure, where nothing may be asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"Azure was asked: {name}")


def inputs_of(
    project: Project,
    services: Any = None,
    environ: Mapping[str, str] | None = None,
    root: Path = Path("no-state-folder"),
    **options: Any,
) -> Inputs:
    """The inputs of a project's sources; without `services`, Azure must not be asked."""
    return Inputs(
        project.registry_settings, services or NoServices(), environ or {}, lambda: root, **{"now": NOW, **options}
    )


def private_hosts(manifest: Manifest) -> tuple[str, ...]:
    """The registry hosts of a manifest that have no credential in it and cannot be pulled from without."""
    return tuple(host for host in named_hosts(manifest) if is_private(host))
