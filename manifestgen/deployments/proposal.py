"""Proposes an automatic deployment: the hub validates it, and its state is compared; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

from manifestgen.check import Finding
from manifestgen.cloud import Configuration, Hub
from manifestgen.compare.diff import Change, FieldChange, diff
from manifestgen.deployments.counts import count, either, rivals
from manifestgen.deployments.deployment import (
    MOST_ON_FREE,
    NAME_LABEL,
    STAGE_LABEL,
    TEMPORARY_LABELS,
    Deployment,
    Survey,
    check_limits,
    survey,
    try_queries,
)
from manifestgen.deployments.layers import compose, is_layer, rank
from manifestgen.gate import require_no_errors
from manifestgen.manifest.document import Document, of_manifest
from manifestgen.manifest.manifest import Manifest

# Whether two conditions overlap is a query each, and the hub allows twenty a minute.
_MOST_ASKED: Final = 10
_NOTHING: Final[Mapping[str, Any]] = {"modulesContent": {}}


@dataclass(frozen=True)
class Meeting:
    """A base that a layer applies to, and the result.

    Attributes:
        base: its id, or the file that it is from.
        devices: how many edge devices both target; None if the base is from a file.
        content: what such a device would end up with.
        changes: from what such a device has now.
    """

    base: str
    devices: int | None
    content: Mapping[str, Any] = field(repr=False)
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Proposal:
    """The changes that applying a deployment would make.

    Attributes:
        known: what the hub has.
        matched: edge devices that the target condition matches now.
        changes: of the content; for a layer of what it names itself.
        settings: of condition, priority, labels and metrics.
        meetings: for a layer, the bases that it meets.
        warnings: sentences for the person who decides.
    """

    hub: str
    wanted: Deployment
    known: Survey
    matched: int
    layered: bool
    changes: tuple[Change, ...]
    settings: tuple[FieldChange, ...]
    meetings: tuple[Meeting, ...]
    warnings: tuple[str, ...]

    @property
    def replaces(self) -> bool:
        """Whether a new configuration replaces the one that devices follow."""
        current = self.known.current
        return current is not None and current.id != self.wanted.id

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Configurations that an interrupted run left beside the wanted one."""
        current = self.known.current
        staged = current is not None and STAGE_LABEL in current.labels
        return (
            tuple(found.id for found in self.known.generations[1:])
            if len(self.known.generations) > 1
            else ((self.wanted.id,) if staged else ())
        )

    @property
    def nothing_to_do(self) -> bool:
        """Whether the hub already has exactly this."""
        current = self.known.current
        return current is not None and current.id == self.wanted.id and not self.settings and not self.unfinished


def propose(
    hub: Hub, wanted: Deployment, *, base: tuple[str, Mapping[str, Any]] | None = None, known: Survey | None = None
) -> Proposal:
    """Compare a deployment with what a hub has; the hub validates condition and metrics first.

    Args:
        base: for a layer, the name and the content of the base that it will meet, instead of the hub's own.
        known: what the hub has; None reads it.

    Raises:
        InputError: the hub would reject it.
        CloudError: the hub has reached its maximum number of deployments.
    """
    known = known or survey(hub, wanted.name)
    check_limits(wanted, known, host=hub.host)
    try_queries(hub, wanted)
    matched = count(hub, wanted.condition)
    configuration = wanted.configuration()
    current = known.current
    layered = is_layer(wanted.content)
    candidate = Configuration(
        wanted.id, wanted.content, wanted.condition, wanted.priority, created=datetime.now(timezone.utc)
    )
    meetings = tuple(_meetings(hub, candidate, known, base)) if layered else ()
    before = current.content if current is not None else _NOTHING
    return Proposal(
        hub.host,
        wanted,
        known,
        matched,
        layered,
        () if layered else _between(before, wanted.content),
        tuple(_settings(current, configuration)),
        meetings,
        tuple(_warnings(hub, wanted, candidate, known, matched, meetings, layered=layered)),
    )


def verify_meetings(
    proposal: Proposal,
    name: str,
    *,
    ignore: Collection[str] = (),
    force: bool = False,
    report: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None,
) -> None:
    """Raise FoundError if `check` finds errors in the result of the layer and a base.

    Args:
        proposal: of the layer.
        name: of the layer's file.
        ignore: ids of rules that do not count.
        force: as for `gate.require_no_errors`.
        report: is given all findings.

    Raises:
        FoundError: it has errors.
    """
    for meeting in proposal.meetings:
        together = of_manifest(Manifest.of(meeting.content), f"{name} over {meeting.base}")
        require_no_errors(together, ignore=ignore, force=force, report=report)


def _settings(before: Configuration | None, after: Configuration) -> Iterator[FieldChange]:
    if before is None:
        yield FieldChange("target condition", None, after.condition)
        yield FieldChange("priority", None, str(after.priority))
    else:
        if before.condition.strip() != after.condition.strip():
            yield FieldChange("target condition", before.condition, after.condition)
        if before.priority != after.priority:
            yield FieldChange("priority", str(before.priority), str(after.priority))
    for kind, old, new in (
        ("label", before.labels if before else {}, after.labels),
        ("metric", _plain(before), _plain(after)),
    ):
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name) and name not in (NAME_LABEL, *TEMPORARY_LABELS):
                yield FieldChange(f"{kind} {name}", old.get(name), new.get(name))


def _plain(configuration: Configuration | None) -> dict[str, str]:
    """The metrics without the id of the configuration, which is another one for each content."""
    if configuration is None:
        return {}
    return {name: query.replace(configuration.id, "{deployment}") for name, query in configuration.metrics.items()}


def _warnings(
    hub: Hub,
    wanted: Deployment,
    candidate: Configuration,
    known: Survey,
    matched: int,
    meetings: Sequence[Meeting],
    *,
    layered: bool,
) -> Iterator[str]:
    if not matched:
        yield f"no edge device matches {wanted.condition!r} yet; devices get the deployment as soon as they do"
    yield from _equals(hub, wanted, known, layered=layered)
    if layered:
        if not meetings:
            yield "no base deployment with a lower priority targets these devices, and a layer alone is not applied"
    else:
        stronger = rivals(candidate, known.others)
        overlap = either(other.condition for other in stronger)
        held = count(hub, wanted.condition, overlap) if matched and overlap else 0
        if held:
            names = ", ".join(repr(other.id) for other in stronger)
            yield f"{held} of {matched} devices keep a deployment with a higher priority: {names}"
    current = known.current
    if current is not None and current.condition.strip() != wanted.condition.strip():
        lost = count(hub, current.condition) - (matched and count(hub, current.condition, wanted.condition))
        if lost > 0:
            yield f"devices that are no longer targeted: {lost}; they keep their modules until another deployment does"
    if current is None and known.used == MOST_ON_FREE:
        yield f"the hub has {known.used} deployments, the limit of the free tier"


def _equals(hub: Hub, wanted: Deployment, known: Survey, *, layered: bool) -> Iterator[str]:
    """Deployments of the same kind and priority for some of the same devices: the one created last wins."""
    equal = [
        other
        for other in known.others
        if other.priority == wanted.priority
        and other.condition.strip()
        and other.content["modulesContent"]
        and is_layer(other.content) == layered
    ]
    for other in equal[:_MOST_ASKED]:
        both = count(hub, wanted.condition, other.condition)
        if both:
            yield (
                f"{other.id!r} has the same priority {wanted.priority} and targets {both} of the same devices: "
                "the one created last wins"
            )


def _meetings(
    hub: Hub, candidate: Configuration, known: Survey, base: tuple[str, Mapping[str, Any]] | None
) -> Iterator[Meeting]:
    previous = known.current
    if base is not None:
        name, content = base
        after = compose(content, [candidate.content])
        yield Meeting(name, None, after, _between(compose(content, [previous.content] if previous else []), after))
        return
    usable = [other for other in known.others if other.content["modulesContent"] and other.condition.strip()]
    asked = 0
    layers: list[Configuration] = []
    bases: list[tuple[Configuration, int]] = []
    for other in usable:
        if asked == _MOST_ASKED:
            break
        if not is_layer(other.content) and rank(other) > rank(candidate):
            continue
        asked += 1
        both = count(hub, candidate.condition, other.condition)
        if both and is_layer(other.content):
            layers.append(other)
        elif both:
            bases.append((other, both))
    for found, devices in bases:
        above = [layer for layer in layers if layer.priority > found.priority]
        if found.priority >= candidate.priority:
            continue
        now = sorted([*above, previous] if previous else above, key=rank)
        then = sorted([*above, candidate], key=rank)
        after = compose(found.content, [layer.content for layer in then])
        changes = _between(compose(found.content, [layer.content for layer in now]), after)
        yield Meeting(found.id, devices, after, changes)


def _between(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    return diff(Manifest.of(before), Manifest.of(after))
