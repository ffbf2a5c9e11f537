"""All services of one project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from manifestgen.cloud.builder import Builder
from manifestgen.cloud.distribution import Distribution
from manifestgen.cloud.hub import Hub
from manifestgen.cloud.model_source import ModelSource
from manifestgen.cloud.registry import Login, Registry
from manifestgen.cloud.vault import Vaults


class Services(Protocol):
    """The services of one project, each connected on first use.

    `models` and `builder` are those of a project of one module; see `of` for several.
    """

    def of(self, module: str) -> Services:
        """The services of one of the project's modules, by its name: its own models and builder, the others shared."""
        ...

    @property
    def models(self) -> ModelSource:
        """The model registry."""
        ...

    @property
    def builder(self) -> Builder:
        """The builder that `image.builder` names. Raises ValueError for a project that builds no image."""
        ...

    @property
    def registry(self) -> Registry:
        """Azure Container Registry: admin users, tokens, digests."""
        ...

    @property
    def distribution(self) -> Distribution:
        """The registries as a device's container engine sees them."""
        ...

    @property
    def vaults(self) -> Vaults:
        """The key vaults."""
        ...

    @property
    def hub(self) -> Hub:
        """The IoT hub."""
        ...

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Login]:
        """The login for each registry host that has one, from the source that the project names for it.

        Args:
            hosts: registry host to the repositories that are pulled from it; without repositories, no token is created.
        """
        ...
