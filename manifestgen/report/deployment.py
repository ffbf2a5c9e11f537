"""Automatic deployments as text and as JSON: proposals, outcomes, progress and status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from manifestgen.deployments.counts import Progress, Trouble
from manifestgen.deployments.counts import data as progress_data
from manifestgen.deployments.failure import RolloutError
from manifestgen.deployments.proposal import Meeting, Proposal
from manifestgen.deployments.status import Status
from manifestgen.report.changes import change_data, lines, tally
from manifestgen.report.printable import printable
from manifestgen.target import Outcome

_BAR = 30
_LONGEST = 80


def proposal_text(proposal: Proposal) -> str:
    """A proposal as text."""
    return "\n".join(_proposal_lines(proposal))


def _proposal_lines(proposal: Proposal) -> Iterator[str]:
    wanted = proposal.wanted
    kind = "layered deployment" if proposal.layered else "deployment"
    yield f"{kind} {wanted.name!r} on {proposal.hub}: {devices(proposal.matched)} match {printable(wanted.condition)}"
    for setting in proposal.settings:
        if setting.before is None:
            yield f"  + {printable(setting.field)}: {_short(setting.after or '')}"
        elif setting.after is None:
            yield f"  - {printable(setting.field)}: {_short(setting.before)}"
        else:
            yield f"  ~ {printable(setting.field)}: {_short(setting.before)} -> {_short(setting.after)}"
    yield from lines(proposal.changes)
    for meeting in proposal.meetings:
        yield f"  over {_base(meeting)}:"
        yield from (f"  {line}" for line in lines(meeting.changes))
        if not meeting.changes:
            yield "    no changes"
    yield _summary(proposal)


def _short(text: str) -> str:
    """A condition or query, cut to fit into a line; JSON has all of it."""
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _base(meeting: Meeting) -> str:
    return f"{meeting.base!r}" + ("" if meeting.devices is None else f", {devices(meeting.devices)}")


def _summary(proposal: Proposal) -> str:
    wanted, current = proposal.wanted, proposal.known.current
    if proposal.nothing_to_do:
        return f"no changes: the hub already has it ({wanted.id})"
    if proposal.replaces and current is not None:
        changes = "" if proposal.layered else f" ({tally(proposal.changes).removeprefix('plan: ')})"
        there = any(found.id == wanted.id for found in proposal.known.generations)
        first = f"{'move' if there else 'create'} {wanted.id!r} above {current.id!r}"
        return f"plan: {first}, delete the old one once the devices run it{changes}"
    if current is None:
        return f"plan: create {wanted.id!r}"
    left = ", ".join(map(repr, proposal.unfinished))
    return f"plan: resume with {wanted.id!r}, beside {left}" if left else f"plan: change {wanted.id!r}"


def proposal_data(proposal: Proposal) -> dict[str, Any]:
    """A proposal as JSON data."""
    current = proposal.known.current
    return {
        "hub": proposal.hub,
        "deployment": proposal.wanted.name,
        "id": proposal.wanted.id,
        "replaces": current.id if current is not None and proposal.replaces else None,
        "layered": proposal.layered,
        "condition": proposal.wanted.condition,
        "priority": proposal.wanted.priority,
        "matched": proposal.matched,
        "settings": [
            {"field": setting.field, "before": setting.before, "after": setting.after} for setting in proposal.settings
        ],
        "changes": [change_data(change) for change in proposal.changes],
        "over": [
            {
                "base": meeting.base,
                "devices": meeting.devices,
                "changes": [change_data(change) for change in meeting.changes],
            }
            for meeting in proposal.meetings
        ],
        "warnings": list(proposal.warnings),
    }


def outcome_text(id_: str, outcome: Outcome[Progress]) -> str:
    """An outcome in one line."""
    if outcome.progress is None:
        said = "is on the hub; did not wait until its devices run it"
        if not outcome.finished:
            said += ", and the old one stays below it: run the same command again to finish"
        return f"deployment {id_!r} {said}"
    return f"deployment {id_!r}: {counts(outcome.progress)}"


def outcome_data(id_: str, outcome: Outcome[Progress]) -> dict[str, Any]:
    """An outcome as JSON data."""
    return {
        "id": id_,
        "applied": outcome.applied,
        "finished": outcome.finished,
        "progress": None if outcome.progress is None else progress_data(outcome.progress),
    }


def counts(progress: Progress) -> str:
    """The counts of a rollout in one line."""
    said = [
        f"{progress.targeted:,} targeted",
        f"{progress.applied:,} applied",
        f"{progress.succeeded:,} reporting success",
        f"{progress.failed:,} reporting failure",
    ]
    if progress.failing != progress.failed:
        said.append(f"{progress.failing:,} failing")
    if progress.held:
        said.append(f"{progress.held:,} held by deployments with a higher priority")
    return ", ".join(said)


def bar(title: str, progress: Progress) -> str:
    """The counts of a rollout as a bar, for a terminal."""
    share = progress.healthy / progress.due if progress.due else 1.0
    full = int(share * _BAR)
    failing = f", {progress.failing:,} failing" if progress.failing else ""
    return f"{title} [{'#' * full}{'.' * (_BAR - full)}] {progress.healthy:,}/{progress.due:,}{failing}"


def devices(count: int) -> str:
    """`1 device`, `2,000 devices`."""
    return "1 device" if count == 1 else f"{count:,} devices"


def status_text(status: Status) -> str:
    """The status of a deployment as text."""
    return "\n".join(_status_lines(status))


def _status_lines(status: Status) -> Iterator[str]:
    yield f"deployment {status.name!r} on {status.hub}: {'healthy' if status.healthy else 'not healthy'}"
    for number, (found, progress) in enumerate(status.generations):
        below = "" if number == 0 else ", below: deleted when the one above is finished"
        yield f"  {found.id}  priority {found.priority}, {printable(found.condition) or 'no devices'}{below}"
        yield f"    {counts(progress)}"
        own = {name: count for name, count in progress.results.items() if name != "failing"}
        if own:
            yield f"    {', '.join(f'{printable(name)}: {count:,}' for name, count in sorted(own.items()))}"
    for model, count in sorted(status.models.items()):
        yield f"  model {printable(model)}: {devices(count)}"
    for reason, failing in _by_reason(status.troubles).items():
        yield f"  xx {', '.join(failing)}: {printable(reason)}"
    hidden = status.generations[0][1].failing - len(status.troubles)
    if hidden > 0 and status.troubles:
        yield f"  and {devices(hidden)} more"
    fix = next((trouble.fix for trouble in status.troubles if trouble.fix), "")
    if fix:
        yield f"  fix: {fix}"


def failure_text(error: RolloutError) -> str:
    """A rollout that failed: how many devices do, and all of them, by reason."""
    return "\n".join(_failure_lines(error))


def _failure_lines(error: RolloutError) -> Iterator[str]:
    count = len(error.troubles)
    fail = "fails" if count == 1 else "fail"
    yield f"deployment {error.name!r}, {error.stage}: {count} of {devices(error.progress.due)} {fail}"
    fixes = {trouble.reason: trouble.fix for trouble in error.troubles}
    for reason, failing in _by_reason(error.troubles).items():
        yield f"  xx {', '.join(failing)}: {printable(reason)}"
        if fixes[reason]:
            yield f"     fix: {fixes[reason]}"


def _by_reason(troubles: Iterable[Trouble]) -> dict[str, list[str]]:
    """The failing devices by what they fail with."""
    found: dict[str, list[str]] = {}
    for trouble in troubles:
        found.setdefault(trouble.reason, []).append(trouble.device)
    return found


def status_data(status: Status) -> dict[str, Any]:
    """The status of a deployment, as JSON data."""
    return {
        "hub": status.hub,
        "deployment": status.name,
        "healthy": status.healthy,
        "configurations": [
            {"priority": found.priority, "labels": dict(found.labels), **progress_data(progress)}
            for found, progress in status.generations
        ],
        "models": dict(status.models),
        "failing_devices": [
            {"device": trouble.device, "reason": trouble.reason, "fix": trouble.fix} for trouble in status.troubles
        ],
    }
