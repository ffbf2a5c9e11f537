"""What the tests of commands share: services in memory in place of Azure's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fakes.services import FakeServices

from manifestgen.project import Project


@dataclass
class Opened:
    """Stands in for `manifestgen.services.ProjectServices`: gives the same services to every command.

    Attributes:
        projects: for which they were asked for.
        arguments: and how.
    """

    services: FakeServices
    projects: list[Project] = field(default_factory=list)
    arguments: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, project: Project, hub: str | None = None, **arguments: Any) -> FakeServices:
        self.projects.append(project)
        self.arguments.append({"hub": hub, **arguments})
        return self.services
