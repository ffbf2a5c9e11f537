"""A failed rollout: the problem, and the failing devices with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.counts import Progress, Trouble, all_failing
from manifestgen.deployments.counts import data as progress_data
from manifestgen.errors import FoundError, ManifestgenError


class RolloutError(FoundError):
    """Too few devices of an automatic deployment run it, or too many fail.

    Attributes:
        name: of the deployment.
        stage: the current stage, such as `stage 1 of 3 (5%)`.
        progress: the last reading before anything was restored.
        troubles: all failing devices, and why; after a rollback, the hub no longer has them.
        restored: what was restored, in words; empty if nothing was.
    """

    def __init__(
        self,
        what: str,
        *,
        fix: str,
        name: str,
        stage: str,
        progress: Progress,
        troubles: Sequence[Trouble] = (),
        restored: str = "",
        options: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what, fix=fix, where=f"deployment {name!r}", options=options)
        self.name = name
        self.stage = stage
        self.progress = progress
        self.troubles = tuple(troubles)
        self.restored = restored

    @property
    def data(self) -> dict[str, Any]:
        """The outcome as plain JSON data."""
        return {
            "deployment": self.name,
            "stage": self.stage,
            "restored": self.restored or None,
            "progress": progress_data(self.progress),
            "failing_devices": [
                {"device": each.device, "reason": each.reason, "fix": each.fix} for each in self.troubles
            ],
        }


def share_failing(progress: Progress, limit: float) -> str:
    """`3 of 20 devices fail (15.0%, more than 2.0%)`."""
    share = progress.failing / progress.due if progress.due else 1.0
    return f"{progress.failing} of {progress.due} devices fail ({share:.1%}, more than {limit:.1%})"


def failing(hub: Hub, configuration: Configuration) -> tuple[list[Trouble], str]:
    """The failing devices, and the first one's reason as the end of a sentence; never raises."""
    try:
        found = all_failing(hub, configuration)
    except ManifestgenError as error:
        return [], f", and they could not be looked up: {error}"
    first = f", the first {found[0].device!r}: {found[0].reason.rstrip('.')}" if found else ""
    return found, first
