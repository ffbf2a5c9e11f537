"""After a rollout to a device: verifies that the project's model scores, not only that its module runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from manifestgen.cloud import Hub
from manifestgen.deploy.job import Job
from manifestgen.device.apply import status
from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.device.scoring import Scoring, follow, report_of, running
from manifestgen.errors import FoundError
from manifestgen.project.builders import builds_from_context
from manifestgen.project.sections import Module
from manifestgen.report.rollout import scoring_line
from manifestgen.target import Patience, rounds

_TRY: Final = "try score.py with 'manifestgen test'"


def models(job: Job) -> list[Module]:
    """The project's modules that get an image with a model in it, the chosen ones first."""
    found = [module for module in job.project.modules if module.builds and module.model is not None]
    return sorted(found, key=lambda module: module.name not in job.options.modules)


def scorers(job: Job, rollout: Rollout, images: Mapping[str, str]) -> list[tuple[str, Module]]:
    """The modules on the device that run a model of the project, with their sections; the chosen ones first."""
    found: dict[str, Module] = {}
    for module in models(job):
        for name in running(rollout, images[module.name]) if module.name in images else ():
            found.setdefault(name, module)
    return list(found.items())


def verify_scoring(job: Job, device: str, rollout: Rollout, images: Mapping[str, str]) -> Iterator[Scoring]:
    """Wait for the first result of each of the project's models, and return the runners' reports.

    Args:
        rollout: of the device, after success.
        images: of the project's modules.

    Raises:
        FoundError: a module has ended since, its model cannot be loaded, or it failed on every input.
    """
    if job.options.scoring is None:
        return
    for name, module in scorers(job, rollout, images):
        before = next(one for one in rollout.modules if one.name == name)
        found = _found(job, device, before, module)
        silent = f"{name}: runs, but has not reported that it scores"
        job.observer.step("score", silent if found is None else scoring_line(found))
        if found is not None and found.trouble:
            what = f"the model of module {name!r} does not score: {found.trouble}"
            raise _failed(what, device, before, _TRY)
        if found is None or not found.scored:
            _require_running(job.services.hub, device, before)
        if found is not None:
            yield found


def _found(job: Job, device: str, before: ModuleStatus, module: Module) -> Scoring | None:
    """A module's runner's report within the timeout."""
    hub, patience = job.services.hub, job.options.patience
    found = follow(hub, device, before.name, job.options.scoring or Patience(timeout=0.0), before.started)
    image = module.image
    if found is None and patience is not None and builds_from_context(image) and not (image and image.own):
        # An image from a context has the runner, so a report will come; loading a large model takes a while.
        return _loaded(hub, device, before, patience)
    return found


def _loaded(hub: Hub, device: str, module: ModuleStatus, patience: Patience) -> Scoring:
    for _ in rounds(patience):
        found = report_of(hub, device, module.name, module.started)
        if found is not None:
            return found
        _require_running(hub, device, module)
    what = f"module {module.name!r} runs, but its model is not loaded after {patience.timeout:.0f} s"
    raise _failed(what, device, module, "wait longer with --timeout")


def _require_running(hub: Hub, device: str, before: ModuleStatus) -> None:
    """Raise FoundError if a module has ended since it was read: its first input may have crashed it."""
    now = next((module for module in status(hub, device).modules if module.name == before.name), before)
    if now.state is not State.HEALTHY:
        raise _failed(f"module {now.name!r} is {now.words}", device, now, _TRY)
    if now.restarts > before.restarts:
        times = f"{now.restarts} times" if now.restarts != 1 else "once"
        # While a module runs, edgeAgent does not report its previous exit code.
        what = f"module {now.name!r} ended and was restarted {times} since it came to run"
        raise _failed(what, device, now, _TRY)


def _failed(what: str, device: str, module: ModuleStatus, advice: str) -> FoundError:
    fix = f"see its log with 'manifestgen logs --device {device} {module.name}', or {advice}"
    return FoundError(what, where=f"device {device!r}", fix=fix)
