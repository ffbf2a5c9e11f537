"""One run of a deployment: its project, services, options and observer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifestgen.cloud import Services
from manifestgen.deploy.options import Observer, Options
from manifestgen.images.existing import stand_in_values
from manifestgen.project.load import Project
from manifestgen.project.modules import platform_name
from manifestgen.project.values import merge
from manifestgen.state import state_folder


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        rehearses: whether it only reads.
        expected: image references by module that override those of the project and its lock file.
            building: modules whose expected image is not built yet.
    """

    project: Project
    services: Services
    options: Options
    observer: Observer
    rehearses: bool = False
    expected: Mapping[str, str] = field(default_factory=dict)
    building: Collection[str] = ()

    @property
    def images(self) -> Mapping[str, str]:
        """Images that override the project's in the template, by module."""
        return {**self.expected, **self.options.images}

    @property
    def values(self) -> Mapping[str, Any]:
        """Values that override the project's, with stand-ins for images that are not built yet."""
        if not self.building:
            return self.options.values
        return merge(stand_in_values(self.project.only(tuple(self.building))), self.options.values)

    @property
    def platform(self) -> str | None:
        """The platform of the rendering; None if none is given."""
        target = self.project.target
        given = self.options.values.get("platform", target.platform if target is not None else None)
        return platform_name(given) if given is not None else None

    @property
    def pins(self) -> bool:
        """Whether image tags are replaced with digests."""
        return self.project.manifest is not None and self.project.manifest.pin

    @property
    def state(self) -> Path:
        """The folder for snapshots."""
        return self.options.state or state_folder()
