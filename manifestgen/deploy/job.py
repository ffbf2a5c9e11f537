"""One run of a deployment: its project, its services, what it may do and who is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifestgen.cloud import Services
from manifestgen.deploy.options import Observer, Options
from manifestgen.images.existing import stand_in_values
from manifestgen.project.load import Project
from manifestgen.project.values import merge
from manifestgen.state import state_folder


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        rehearses: whether it only reads.
        expected: reference that it has for the project's image; empty for that of the project and its lock file.
        builds: whether what is expected is not built yet.
    """

    project: Project
    services: Services
    options: Options
    observer: Observer
    rehearses: bool = False
    expected: str = ""
    builds: bool = False

    @property
    def image(self) -> str | None:
        """The image for the template; None for the project's own."""
        return self.options.image or self.expected or None

    @property
    def values(self) -> Mapping[str, Any]:
        """The values that override the project's, with stand-ins for what is not built yet."""
        return merge(stand_in_values(self.project), self.options.values) if self.builds else self.options.values

    @property
    def pins(self) -> bool:
        """Whether digests replace the tags of images."""
        return self.project.manifest is not None and self.project.manifest.pin

    @property
    def ignored(self) -> Collection[str]:
        """Ids of the rules that the project ignores."""
        return self.project.check.ignore if self.project.check is not None else ()

    @property
    def state(self) -> Path:
        """The folder for snapshots."""
        return self.options.state or state_folder()
