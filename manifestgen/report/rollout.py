"""A rollout as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.device.scoring import Scoring
from manifestgen.project.lock import LockedModel
from manifestgen.report.amount import clock
from manifestgen.report.printable import printable

_MARKS = {State.HEALTHY: "ok", State.WAITING: "..", State.FAILING: "!!", State.FAILED: "xx", State.REFUSED: "xx"}


def text(
    device: str,
    rollout: Rollout,
    models: Mapping[str, LockedModel] | None = None,
    *,
    wide: bool = False,
    now: datetime | None = None,
) -> str:
    """The rollout as text: its versions, one line per module, and the reason if it is not healthy.

    Args:
        models: in the modules' images, by image, as far as they are known.
        wide: whether to show also restarts, times and digests.
        now: the time, for how long it has been so.
    """
    lines = [summary(device, rollout)]
    head, *rows = wide_lines(rollout) if wide else ["", *module_lines(rollout)]
    lines += [head] * wide
    for module, line in zip(rollout.modules, rows, strict=True):
        model = (models or {}).get(module.desired_image)
        lines.append(f"{line}  # {_model_words(model)}" if model is not None else line)
    if now is not None:
        lines.append(f"  {clock_line(rollout, now)}")
    if rollout.reason:
        lines.append(f"  {rollout.reason}")
    if rollout.fix:
        lines.append(f"  fix: {rollout.fix}")
    return "\n".join([*lines, *simulated_lines(rollout)])


def clock_line(rollout: Rollout, now: datetime) -> str:
    """`09:31:07 UTC: waiting for scorer for 2:10, since version 3 was set at 09:28:57`."""
    at = f"{now:%H:%M:%S} UTC"
    set_at = f"version {rollout.desired_version} was set at {rollout.since:%Y-%m-%d %H:%M:%S}" if rollout.since else ""
    if rollout.state is State.HEALTHY:
        return f"{at}{f': {set_at}' if set_at else ''}"
    due = [module.name for module in rollout.modules if module.state is not State.HEALTHY]
    what = ", ".join(due) or "the device"
    verb = "waiting for" if rollout.state is State.WAITING else "not running:"
    if rollout.since is None:
        return f"{at}: {verb} {what}"
    return f"{at}: {verb} {what}, for {_passed((now - rollout.since).total_seconds())} since {set_at}"


def _passed(seconds: float) -> str:
    """`0:45`, `2:10`, `1:02:10`, `3 days`; a clock of the hub's that is ahead counts as now."""
    hours = round(seconds) // 3600
    return f"{hours // 24} days" if hours >= 48 else clock(seconds)


def wide_lines(rollout: Rollout) -> list[str]:
    """A table of the modules with everything that edgeAgent says about them."""
    head = ("", "MODULE", "STATUS", "RESTARTS", "STARTED", "EXITED", "CODE", "IMAGE", "DIGEST")
    rows = [
        (
            _MARKS[module.state],
            module.name,
            module.words,
            str(module.restarts),
            _moment(module.started),
            _moment(module.exited),
            "-" if module.exit_code is None else str(module.exit_code),
            module.reported_image or module.desired_image,
            module.digest[:19] or "-",
        )
        for module in rollout.modules
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    cells = [[f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)] for row in (head, *rows)]
    return [f"  {'  '.join(row)}".rstrip() for row in cells]


def _moment(text: str) -> str:
    """A time of edgeAgent's to the second; `-` for none and for .NET's first moment."""
    return "-" if not text or text.startswith("0001-") else text[:19].replace("T", " ")


def simulated_lines(rollout: Rollout) -> Iterator[str]:
    """A line for each reason why modules of the sandbox only report that they run."""
    by_reason: dict[str, list[str]] = {}
    for module in rollout.modules:
        if module.simulated:
            by_reason.setdefault(module.note.partition(": ")[2], []).append(module.name)
    for reason, names in by_reason.items():
        yield f"simulated: {', '.join(names)}{f' ({reason})' if reason else ''}"


def scoring_line(scoring: Scoring) -> str:
    """A runner's report: `scorer: model m 3, 41 scored, 0 failed`."""
    model = f"model {' '.join(filter(None, (scoring.model, scoring.version)))}, " if scoring.model else ""
    waiting = f"in run() since {scoring.busy}" if scoring.busy else "no input has reached it yet"
    done = f"{scoring.scored} scored, {scoring.failed} failed" if scoring.began else waiting
    error = f", {scoring.error}" if scoring.error else ""
    return printable(f"{scoring.module}: {model}{done}{error}")


def scoring_data(scoring: Scoring) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "module": scoring.module,
        "model": scoring.model,
        "version": scoring.version,
        "scored": scoring.scored,
        "failed": scoring.failed,
        "last_scored": scoring.last,
        "error": scoring.error,
    }


def summary(device: str, rollout: Rollout) -> str:
    """One line: `device 'edge-01': healthy, version 3, 3 of 3 modules`."""
    healthy = sum(module.state is State.HEALTHY for module in rollout.modules)
    version = f"version {rollout.desired_version}"
    if rollout.reported_version != rollout.desired_version:
        version += f" (the device is at {rollout.reported_version})"
    return f"device {device!r}: {rollout.state.value}, {version}, {healthy} of {len(rollout.modules)} modules"


def module_lines(rollout: Rollout) -> list[str]:
    """One line per module: mark, name, status, image."""
    width = max((len(module.name) for module in rollout.modules), default=0)
    words = max((len(module.words) for module in rollout.modules), default=0)
    return [_module_line(module, width, words) for module in rollout.modules]


def changed_lines(before: Rollout | None, rollout: Rollout) -> Iterator[str]:
    """The lines of the modules, and of the whole, that have changed.

    A module that becomes healthy is named without its image, and one that is healthy from the start not at all: the
    outcome has them all. The reason for waiting is included unless a module's line has it; the reason for a failure is
    reported at the end.
    """
    known = {module.name: module for module in before.modules} if before else {}
    width = max((len(module.name) for module in rollout.modules), default=0)
    for module in rollout.modules:
        if known.get(module.name) == module:
            continue
        if module.state is not State.HEALTHY:
            yield _module_line(module, width)
        elif module.name in known:
            yield f"  {_MARKS[module.state]} {module.name:<{width}}  {module.words}".rstrip()
    about_all = rollout.state is State.WAITING and not rollout.reason.startswith("module ")
    if about_all and (before is None or before.reason != rollout.reason):
        yield f"  {rollout.reason}"


def _module_line(module: ModuleStatus, width: int, words: int = 0) -> str:
    line = f"  {_MARKS[module.state]} {module.name:<{width}}  {module.words:<{words}}  {module.desired_image}".rstrip()
    # In backoff, the words say it already.
    again = module.restarts and module.state is State.HEALTHY
    return f"{line}  (restarted {module.restarts} {'time' if module.restarts == 1 else 'times'})" if again else line


def _model_words(model: LockedModel) -> str:
    sha256 = f", sha256 {model.sha256[:12]}" if model.sha256 else ""
    return printable(f"model {model.name} {model.version}{sha256}")


def data(device: str, rollout: Rollout, models: Mapping[str, LockedModel] | None = None) -> dict[str, Any]:
    """The rollout as JSON data; a module's `model` is null if it is unknown, or if there is none."""
    return {
        "device": device,
        "state": rollout.state.value,
        "desired_version": rollout.desired_version,
        "reported_version": rollout.reported_version,
        "code": rollout.code,
        "description": rollout.description,
        "reason": rollout.reason,
        "fix": rollout.fix,
        "since": rollout.since.isoformat() if rollout.since is not None else None,
        "modules": [
            {
                "name": module.name,
                "state": module.state.value,
                "status": module.words,
                "desired_image": module.desired_image,
                "reported_image": module.reported_image,
                "restarts": module.restarts,
                "started": module.started or None,
                "exited": module.exited or None,
                "exit_code": module.exit_code,
                "note": module.note,
                "model": _model((models or {}).get(module.desired_image)),
            }
            for module in rollout.modules
        ],
    }


def _model(model: LockedModel | None) -> dict[str, Any] | None:
    if model is None:
        return None
    return {"name": model.name, "version": model.version, "sha256": model.sha256}
