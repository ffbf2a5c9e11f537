"""An automatic deployment as the target of a password rotation: its content is replaced, the hub does the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manifestgen.cloud import Hub
from manifestgen.credentials.rotation import DeviceOutcome, Login
from manifestgen.deployments.deployment import current, with_content
from manifestgen.deployments.replace import PATIENCE, replace
from manifestgen.errors import NotFoundError
from manifestgen.target import Observer, Patience


@dataclass(frozen=True)
class AutomaticDeployment:
    """An automatic deployment that manifestgen created.

    Attributes:
        hub: that it belongs to.
        name: of the deployment, see `deployment.name_of`.
        report: receives each step.
        patience: with its rollout.
    """

    hub: Hub
    name: str
    report: Callable[[str], None] = lambda text: None
    patience: Patience = PATIENCE

    @property
    def words(self) -> str:
        """Its name."""
        return f"automatic deployment {self.name!r}"

    def contents(self) -> Iterator[Mapping[str, Any]]:
        """Its manifest. Raises NotFoundError if there is no such deployment."""
        found = current(self.hub, self.name)
        if found is None:
            what = f"the hub has no deployment {self.name!r} that manifestgen created"
            fix = "see 'manifestgen status --deployment' for its name; others are never changed"
            raise NotFoundError(what, where=self.hub.host, fix=fix)
        yield found.content

    def move(self, login: Login) -> Sequence[DeviceOutcome]:
        """Roll out its content with the login. The hub handles the devices, so there are no outcomes."""
        found = current(self.hub, self.name)
        if found is None:
            fix = "find out who deleted it"
            raise NotFoundError(f"deployment {self.name!r} is gone", where=self.hub.host, fix=fix)
        # No snapshot: it would differ only in the old password, which a rollback must not restore.
        wanted = with_content(found, login.put_into(found.content))
        replace(self.hub, wanted, patience=self.patience, observer=Observer(step=self.report))
        return ()
