"""All services of a project in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fakes.builder import FakeBuilder, FakeModels
from fakes.distribution import FakeDistribution
from fakes.hub import FakeHub
from fakes.registry import FakeRegistry
from fakes.vaults import FakeVaults

from manifestgen.cloud import Builder, Credential
from manifestgen.secret import Secret


@dataclass
class FakeServices:
    """Implements `manifestgen.cloud.Services`; an image that is built is in its registry.

    Attributes:
        asked: hosts that credentials were asked for.
        logins: what `credentials` gives.
    """

    hub: FakeHub = field(default_factory=FakeHub)
    models: FakeModels = field(default_factory=FakeModels)
    registry: FakeRegistry = field(default_factory=lambda: FakeRegistry.of("fake"))
    distribution: FakeDistribution = field(default_factory=FakeDistribution)
    vaults: FakeVaults = field(default_factory=FakeVaults)
    logins: dict[str, Credential] = field(
        default_factory=lambda: {
            "fake.azurecr.io": Credential("fake.azurecr.io", "fake", Secret("password-of-fake.azurecr.io"))
        }
    )
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.builds = FakeBuilder(self.models)
        self.builds.pushed = self.push
        self.builder: Builder = self.builds

    def __enter__(self) -> FakeServices:
        return self

    def __exit__(self, *_: object) -> None:
        self.distribution.close()

    def of(self, module: str) -> FakeServices:
        """The same for every module: builder and models tell images apart by their names."""
        return self

    def push(self, image: str, *platforms: str) -> None:
        """Put an image into its registry."""
        self.registry.images[image] = self.distribution.push(image, *platforms)

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Credential]:
        self.asked += hosts
        return {host: self.logins[host] for host in hosts if host in self.logins}
