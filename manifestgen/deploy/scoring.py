"""After a rollout to a device: whether the project's model scores, which is more than that its module runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from manifestgen.cloud import Hub
from manifestgen.deploy.job import Job
from manifestgen.device.apply import status
from manifestgen.device.rollout import ModuleStatus, Rollout, State
from manifestgen.device.scoring import Scoring, follow, report_of, running
from manifestgen.errors import FoundError
from manifestgen.project.builders import entry_of
from manifestgen.project.sections import Image
from manifestgen.report.rollout import scoring_line
from manifestgen.target import Patience, rounds


def verify_scoring(job: Job, device: str, rollout: Rollout, images: Mapping[str, str]) -> Iterator[Scoring]:
    """Wait for the first result of each of the project's models.

    Args:
        rollout: of the device, which runs what it should.
        images: of the project's modules, by name.

    Yields:
        What each reports that does.

    Raises:
        FoundError: a module has ended meanwhile, its model cannot be loaded, or it has had inputs and scored none.
    """
    if job.options.scoring is None:
        return
    for module, built in scorers(job, rollout, images):
        found = _verified(job, device, module, built, job.options.scoring)
        if found is not None:
            yield found


def scorers(job: Job, rollout: Rollout, images: Mapping[str, str]) -> list[tuple[ModuleStatus, Image]]:
    """The modules on the device whose image has a model of the project, with its image section; the chosen ones first.

    Each module once, even if several of the project's have one image.
    """
    statuses = {module.name: module for module in rollout.modules}
    found: dict[str, tuple[ModuleStatus, Image]] = {}
    for name, image in models_of(job).items():
        for running_one in running(rollout, images[name]) if name in images else ():
            found.setdefault(running_one, (statuses[running_one], image))
    return list(found.values())


def models_of(job: Job) -> dict[str, Image]:
    """The project's modules that are built with a model in their image, with its section; the chosen ones first."""
    ordered = sorted(job.project.modules, key=lambda one: one.name not in job.options.modules)
    return {one.name: one.image for one in ordered if one.model is not None and one.image is not None and one.builds}


def _verified(job: Job, device: str, module: ModuleStatus, image: Image, patience: Patience) -> Scoring | None:
    hub = job.services.hub
    found = follow(hub, device, module.name, patience, module.started)
    if found is None and entry_of(image).context and not image.own and job.options.patience is not None:
        # Such an image has the runner, so it will report: a large model takes a while to load.
        found = _loaded(hub, device, module, job.options.patience)
    silent = f"{module.name}: runs, but has not reported that it scores"
    job.observer.step("score", silent if found is None else scoring_line(found))
    if found is None or not found.scored:
        _require_running(hub, device, module)
    if found is not None and found.trouble:
        what = f"module {module.name!r} runs, but its model does not score: {found.trouble}"
        raise _failed(what, device, module, "try score.py with 'manifestgen test'")
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
    """Raise FoundError if a module has ended since it was seen: an input may end it, and the first came only now."""
    now = next((module for module in status(hub, device).modules if module.name == before.name), before)
    if now.state is not State.HEALTHY:
        raise _failed(f"module {now.name!r} is {now.words}", device, now, "try score.py with 'manifestgen test'")
    if now.restarts > before.restarts:
        times = f"{now.restarts} times" if now.restarts != 1 else "once"
        what = f"module {now.name!r} ran and was restarted {times}, exit code {now.exit_code}"
        raise _failed(what, device, now, "try score.py with 'manifestgen test'")


def _failed(what: str, device: str, module: ModuleStatus, advice: str) -> FoundError:
    fix = f"see its log with 'manifestgen logs --device {device} {module.name}', or {advice}"
    return FoundError(what, where=f"device {device!r}", fix=fix)
