"""The progress of an automatic deployment: the hub's counts and what they mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from manifestgen.cloud import Configuration, Hub
from manifestgen.deployments.deployment import FAILING_METRIC, ID_PLACEHOLDER, LONGEST_QUERY, MODEL_LABEL
from manifestgen.deployments.layers import is_layer, rank
from manifestgen.device.rollout import Rollout, assess
from manifestgen.errors import CloudError

_EDGE: Final = "FROM devices WHERE capabilities.iotEdge = true"
# The hub's own count of failures, for configurations that manifestgen did not create.
_FAILED: Final = (
    "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent' "  # noqa: S608 - fixed text
    f"AND configurations.[[{ID_PLACEHOLDER}]].status = 'Applied' "
    "AND properties.reported.lastDesiredStatus.code != 200"
)
_READERS: Final = 10


@dataclass(frozen=True)
class Progress:
    """The progress of a configuration.

    Attributes:
        matched: devices that its condition matches, by a query of now: the hub works out its metrics every few minutes.
        held: of those, devices that follow another base deployment with a higher priority.
        targeted, applied, succeeded, failed: the hub's four counts of a rollout.
        failing: devices that reject it, cannot apply it, or on which one of its modules crashes.
        results: of all custom metrics.
        counted: whether devices report on it; they do not on a layer that leaves `$edgeAgent` empty.
    """

    id: str
    condition: str
    matched: int
    held: int
    targeted: int
    applied: int
    succeeded: int
    failed: int
    failing: int
    results: Mapping[str, int] = field(default_factory=dict)
    counted: bool = True

    @property
    def due(self) -> int:
        """How many devices should run it."""
        return max(0, max(self.matched, self.targeted) - self.held)

    @property
    def healthy(self) -> int:
        """Devices that report success and none of whose modules crash."""
        return max(0, min(self.succeeded, self.due - self.failing))

    def reached(self, share: float, *, failing: int = 0) -> bool:
        """Whether this share of the devices runs it, and the hub's counts are those of all devices.

        Args:
            share: from 0 to 1.
            failing: so many of them may fail instead.
        """
        if self.targeted < self.matched:
            return False
        return not self.counted or self.healthy + failing >= math.ceil(share * self.due - 1e-9)

    def exceeds(self, share: float) -> bool:
        """Whether more than this share of the devices fails."""
        return self.failing > share * self.due + 1e-9


def count(hub: Hub, condition: str, also: str = "") -> int:
    """How many edge devices a target condition matches; with `also`, those that match both."""
    if not condition.strip():
        return 0
    rows = list(hub.query(f"SELECT COUNT() AS matched {_EDGE}{_and(condition)}{_and(also)}", matched=int))
    return int(rows[0]["matched"]) if rows else 0


def matching(hub: Hub, condition: str) -> list[str]:
    """Ids of the edge devices that a target condition matches."""
    if not condition.strip():
        return []
    return sorted(str(row["deviceId"]) for row in hub.query(f"SELECT deviceId {_EDGE}{_and(condition)}", deviceId=str))


def ids(devices: Iterable[str]) -> str:
    """A condition that names devices one by one."""
    return f"deviceId IN [{', '.join(map(quoted, devices))}]"


def quoted(text: str) -> str:
    """A string literal of the query language."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def narrowed(condition: str, more: str) -> str:
    """A condition that matches what both of them do."""
    return more if condition.strip() == "*" else f"({condition}) AND {more}"


def _and(condition: str) -> str:
    return "" if condition.strip() in ("", "*") else f" AND ({condition})"


def either(conditions: Iterable[str]) -> str:
    """A condition that matches what one of these does; empty if that would be longer than a query may be."""
    texts = list(dict.fromkeys(text.strip() for text in conditions if text.strip()))
    if "*" in texts:
        return "*"
    text = " OR ".join(f"({text})" for text in texts)
    return text if len(text) < LONGEST_QUERY // 2 else ""


def rivals(configuration: Configuration, others: Sequence[Configuration]) -> list[Configuration]:
    """Base deployments that override a configuration on devices that both target."""
    return [
        other
        for other in others
        if rank(other) > rank(configuration) and other.content["modulesContent"] and not is_layer(other.content)
    ]


def measure(hub: Hub, configuration_id: str, others: Sequence[Configuration]) -> Progress:
    """The progress of a configuration, from one read of it and one query, or two if others may hold its devices.

    Args:
        others: all other configurations.

    Raises:
        NotFoundError: the hub has no such configuration.
    """
    found = hub.configuration(configuration_id)
    stronger = either(rival.condition for rival in rivals(found, others))
    return progress_of(
        found,
        matched=count(hub, found.condition),
        held=count(hub, found.condition, stronger) if stronger and found.condition.strip() else 0,
    )


def progress_of(found: Configuration, *, matched: int, held: int = 0) -> Progress:
    """The progress according to the metrics of a configuration."""
    counts = found.counts
    failed = counts.get("reportedFailedCount", 0)
    return Progress(
        id=found.id,
        condition=found.condition,
        matched=matched,
        held=held,
        targeted=counts.get("targetedCount", 0),
        applied=counts.get("appliedCount", 0),
        succeeded=counts.get("reportedSuccessfulCount", 0),
        failed=failed,
        # An earlier failure of the agent does not count against this deployment; only our metric tells them apart.
        failing=found.results.get(FAILING_METRIC, failed),
        results=found.results,
        counted=bool(found.content["modulesContent"].get("$edgeAgent")),
    )


@dataclass(frozen=True)
class Trouble:
    """A device that fails to run a deployment, and why."""

    device: str
    reason: str
    fix: str = ""


def failing_devices(hub: Hub, found: Configuration, most: int = 20) -> list[Trouble]:
    """The first failing devices, by id, with the reasons in their twins.

    Args:
        found: the configuration; without manifestgen's metric, the hub's own count of failures is used.
        most: how many twins are read.
    """
    return _troubles(hub, _failing_ids(hub, found)[:most])


def all_failing(hub: Hub, found: Configuration, most: int = 500) -> list[Trouble]:
    """All failing devices, by id, with the reasons in their twins.

    Args:
        found: see `failing_devices`.
        most: how many twins are read; the other devices are named without a reason.
    """
    devices = _failing_ids(hub, found)
    unread = [Trouble(device, f"not looked up, as only the first {most} devices were") for device in devices[most:]]
    return [*_troubles(hub, devices[:most]), *unread]


def _failing_ids(hub: Hub, found: Configuration) -> list[str]:
    query = found.metrics.get(FAILING_METRIC) or _FAILED.replace(ID_PLACEHOLDER, found.id)
    return sorted({str(row["deviceId"]) for row in hub.query(query, deviceId=str)})


def _troubles(hub: Hub, devices: Sequence[str]) -> list[Trouble]:
    pool = ThreadPoolExecutor(_READERS)
    try:
        return list(pool.map(lambda device: _trouble(hub, device), devices))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _trouble(hub: Hub, device: str) -> Trouble:
    try:
        agent = hub.module_twin(device, "$edgeAgent")
        if agent is None:
            return Trouble(device, "it has no $edgeAgent module")
        rollout: Rollout = assess(agent, hub.module_twin(device, "$edgeHub"), device)
    except CloudError as error:
        return Trouble(device, f"its twin could not be read: {error.what}", error.fix)
    return Trouble(device, rollout.reason or "it has recovered in the meantime", rollout.fix)


def models(generations: Iterable[Configuration]) -> dict[str, int]:
    """How many devices have which model, by the label of the configurations; those without one are left out."""
    found: dict[str, int] = {}
    for each in generations:
        model = each.labels.get(MODEL_LABEL)
        if model is not None:
            found[model] = found.get(model, 0) + each.counts.get("appliedCount", 0)
    return found


def data(progress: Progress) -> dict[str, Any]:
    """Progress as plain JSON data."""
    return {
        "id": progress.id,
        "condition": progress.condition,
        "matched": progress.matched,
        "held_by_others": progress.held,
        "targeted": progress.targeted,
        "applied": progress.applied,
        "reporting_success": progress.succeeded,
        "reporting_failure": progress.failed,
        "failing": progress.failing,
        "metrics": dict(progress.results),
    }
