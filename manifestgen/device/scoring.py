"""Whether the modules of a device score: what the runner in each reports about itself.

That a module runs says only that its process does. The runner reports its model, what it has scored and what failed
(`manifestgen.runner`, docs/runner.md); a module without it reports nothing of this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from manifestgen.cloud import Hub, Twin
from manifestgen.device.rollout import Rollout, tagged
from manifestgen.manifest.reading import as_mapping
from manifestgen.target import Patience, rounds

#: How a deployment waits for the first result of a module that runs.
PATIENCE: Final = Patience(timeout=15.0, longest=2.0)

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Scoring:
    """A runner's report.

    Attributes:
        model, version: of the model; empty if the image does not name them.
        scored: inputs that were scored.
        failed: inputs on which `run` failed, or that it rejected.
        last: when it scored last, in the runner's own words; empty before.
        error: why it does not score, if it cannot.
        started: when its process did, by the device's clock.
        busy: since when it has been at one input, if that is long.
    """

    module: str
    model: str = ""
    version: str = ""
    scored: int = 0
    failed: int = 0
    last: str = ""
    error: str = ""
    started: str = ""
    busy: str = ""

    @property
    def began(self) -> bool:
        """Whether there is something to say about its scoring."""
        return bool(self.scored or self.failed or self.error)

    @property
    def trouble(self) -> str:
        """Why the model does not score, in a clause; empty if it does, or has had no input."""
        if self.error or self.scored:
            return self.error
        if not self.failed:
            return f"run() has not returned since {self.busy}" if self.busy else ""
        return f"it failed on each of its {self.failed} inputs" if self.failed > 1 else "it failed on its only input"


def read(twin: Twin) -> Scoring | None:
    """The report in a module's twin; None if no runner has reported."""
    runner = twin.reported.get("runner")
    if not isinstance(runner, dict):
        return None
    model, counts = as_mapping(twin.reported.get("model")), as_mapping(twin.reported.get("counts"))
    return Scoring(
        twin.module,
        _text(model.get("name")),
        _text(model.get("version")),
        _number(counts.get("scored")),
        _number(counts.get("failed")) + _number(counts.get("rejected")),
        _text(runner.get("lastScored")),
        _text(runner.get("error")),
        _text(runner.get("started")),
        _text(runner.get("busySince")),
    )


def scoring(hub: Hub, device_id: str, modules: Sequence[str]) -> tuple[Scoring, ...]:
    """The runners' reports of these modules of a device, without modules that have none."""
    twins = [hub.module_twin(device_id, module) for module in modules]
    found = [read(twin) for twin in twins if twin is not None]
    return tuple(one for one in found if one is not None)


def follow(hub: Hub, device_id: str, module: str, patience: Patience, started: str = "") -> Scoring | None:
    """Read what a module's runner reports until it has scored, cannot, or the time is over.

    Args:
        started: when the module did, as edgeAgent reports it: what the twin has of a process before that is passed
            over. Empty takes whatever there is.
    """
    found: Scoring | None = None
    for _ in rounds(patience):
        found = report_of(hub, device_id, module, started)
        if found is not None and (found.scored or found.error):
            break
    return found


def report_of(hub: Hub, device_id: str, module: str, started: str) -> Scoring | None:
    """The runner's current report, if any: it reports once `init` has returned. See `follow`."""
    return next((one for one in scoring(hub, device_id, (module,)) if _is_since(one, started)), None)


def _is_since(found: Scoring, started: str) -> bool:
    """Whether a runner's process is not older than a time; both are by the device's clock. True if one is unknown."""
    runner, module = _moment(found.started), _moment(started)
    # The runner reports whole seconds.
    return runner is None or module is None or runner + _SECOND >= module


def _moment(text: str) -> datetime | None:
    # Before Python 3.11, fractions have three or six digits; edgeAgent sends seven.
    whole = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)", text)
    return datetime.fromisoformat(f"{whole[1]}+00:00") if whole else None


def running(rollout: Rollout, image: str = "") -> list[str]:
    """The user's modules that run and are not simulated; those of one image if it is given."""
    return [
        module.name
        for module in rollout.modules
        if module.name not in ("edgeAgent", "edgeHub")
        and module.words == "running"
        and not module.simulated
        and (not image or module.desired_image == tagged(image))
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
