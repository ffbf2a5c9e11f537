"""The services of one project together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from manifestgen.cloud.hub import Hub
from manifestgen.cloud.image_builder import ImageBuilder
from manifestgen.cloud.registry import Credential, Registry
from manifestgen.cloud.vault import Vaults


class Services(Protocol):
    """The services of one project, each reached when it is first asked for."""

    @property
    def builder(self) -> ImageBuilder:
        """The Azure ML workspace."""
        ...

    @property
    def registry(self) -> Registry:
        """The container registries."""
        ...

    @property
    def vaults(self) -> Vaults:
        """The key vaults."""
        ...

    @property
    def hub(self) -> Hub:
        """The IoT hub."""
        ...

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Credential]:
        """The credential for each registry host that has one, from the source that the project names for it.

        Args:
            hosts: registry host to the repositories that are pulled from it; without any, no token is created for it.
        """
        ...
