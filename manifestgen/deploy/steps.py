"""The steps of a deployment: image, render, check, preflight, plan, apply, wait.

A run stops at the first step that fails; the next run resumes.
"""

from __future__ import annotations

from dataclasses import replace

from manifestgen.cloud import Services
from manifestgen.deploy.destination import Destination, ToDeployment, ToDevice
from manifestgen.deploy.job import Job
from manifestgen.deploy.options import Deployment, Observer, Options
from manifestgen.deploy.rendered import render_manifest
from manifestgen.errors import FoundError, InputError
from manifestgen.images.build import Prepared
from manifestgen.images.existing import NOWHERE, Forecast, forecast, stand_in
from manifestgen.images.several import Build, prepare_each
from manifestgen.project.fit import check_lock
from manifestgen.project.load import Project
from manifestgen.project.lock import read_own
from manifestgen.project.pending import exclusive
from manifestgen.project.sections import Target
from manifestgen.render import render_project
from manifestgen.trial.trial import try_before_build


def deploy(
    project: Project,
    services: Services,
    *,
    options: Options | None = None,
    observer: Observer | None = None,
) -> Deployment:
    """Deploy a project to its device, or to the devices of its automatic deployment.

    Args:
        project: what to deploy, and where.
        services: of the project, such as `manifestgen.services`.
        options: how to deploy.
        observer: callbacks.

    Raises:
        ManifestgenError: a step failed. The results of earlier steps are kept, and the next run continues from there.
    """
    job = Job(project, services, options or Options(), observer or Observer())
    project.only(job.options.modules)  # raises for an unknown module, before anything slow
    destination = _destination(job)
    _try_template(job)
    _ = job.services.hub  # raises if no hub, or two, are specified, before any request
    if job.options.dry_run:
        return _dry_run(job, destination)
    with exclusive(project.root):
        images = _images(job, destination)
        rendered = render_manifest(job)
        return destination.carry_out(job, rendered, images)


def _destination(job: Job) -> Destination:
    """The target, checked together with the options before anything slow."""
    target = Target(device=job.options.device) if job.options.device is not None else job.project.target
    if target is None:
        fix = "add 'target: {device: ID}' or 'target: {deployment: NAME}' to the project file, or give --device ID"
        choices = job.project.choices
        raise InputError("no device is specified", where=str(job.project.path), fix=fix, options=choices)
    if job.options.smoke is not None and target.device is None:
        fix = "drop --smoke, or deploy to a device with --device ID"
        raise InputError("a smoke test asks one device", where=str(job.project.path), fix=fix)
    if job.pins and not job.options.preflight:
        fix = "drop --no-preflight, or set pin to false"
        raise InputError("manifest.pin needs the preflight", where=str(job.project.path), fix=fix)
    if job.options.locked and job.options.rebuild:
        raise InputError("--locked and --rebuild cannot be used together", fix="drop one of the two")
    return ToDevice(target.device) if target.device is not None else ToDeployment(target)


def _images(job: Job, destination: Destination) -> dict[str, str]:
    """The image references of all modules, built if necessary."""
    known = {one.module.name: _known_image(job, one) for one in job.project.each()}
    building = [one for one in job.project.each() if known[one.module.name] is None]
    if job.options.test:
        for one in building:
            _test(job, one)
    made = _prepared(job, building, destination) if building else {}
    images = {}
    for one in job.project.each():
        name = one.module.name
        if (found := known[name]) is not None:
            images[name], words = found
        else:
            prepared = made[name]
            images[name], words = prepared.lock.image, _built(prepared)
            if not job.options.test and (prepared.reused or job.options.test is False):
                _step(job, one, "test", "not run: --no-test" if not prepared.reused else "not run: no image is built")
        _step(job, one, "image", words)
    return {name: image for name, image in images.items() if image}


def _step(job: Job, project: Project, name: str, result: str) -> None:
    """Report a step of one module, with its name if there are several."""
    job.observer.step(name, f"{project.module.name}: {result}" if job.project.modular else result)


def _known_image(job: Job, project: Project) -> tuple[str, str] | None:
    """A module's image and its origin; None if the project builds it."""
    image, name = project.image, project.module.name
    if name in job.options.images:
        return job.options.images[name], f"{job.options.images[name]}, as given"
    if image is None:
        return "", "the project has none"
    if not image.builds:
        reference = image.reference_for(job.platform) or ""
        return reference, f"{reference}, built elsewhere"
    if not job.options.modules or name in job.options.modules:
        return None
    lock = read_own(project)
    if lock is None:
        what = f"module {name!r} has no image yet, and --module leaves it out"
        fix = f"build it with 'manifestgen image --module {name}', or drop --module"
        raise InputError(what, where=str(project.path), fix=fix)
    return lock.image, f"{lock.image}, from the lock file"


def _dry_run(job: Job, destination: Destination) -> Deployment:
    """Run all read-only steps, with references in place of images that would be built."""
    expected, forecasts = {}, {}
    for one in job.project.each():
        name, known = one.module.name, _known_image(job, one)
        if known is None:
            forecasts[name] = _forecast(job, one)
            known = forecasts[name].image, forecasts[name].words
            if forecasts[name].builds:
                _step(job, one, "test", "not run in a dry run")
        _step(job, one, "image", known[1])
        if known[0]:
            expected[name] = known[0]
    building = tuple(name for name, found in forecasts.items() if found.builds)
    rehearsal = replace(job, rehearses=True, expected=expected, building=building)
    planned = destination.propose(rehearsal, render_manifest(rehearsal))
    return replace(planned, images=expected, forecasts=forecasts)


def _forecast(job: Job, project: Project) -> Forecast:
    if job.options.locked:
        check_lock(project, locked=True)
    services = job.services.of(project.module.name)
    found = forecast(project, services, rebuild=job.options.rebuild, report=job.observer.image.step)
    if found.builds and job.options.locked:
        fix = "run the command without --locked, and commit the lock file that it writes"
        raise FoundError(f"{found.words}, which --locked rules out", where=str(project.path), fix=fix)
    return found


def _to_build(job: Job) -> list[Project]:
    return [one for one in job.project.each() if _known_image(job, one) is None]


def _try_first(job: Job, destination: Destination) -> None:
    """Before a build, check the rest: template, values, logins, check, device, other images."""
    images = {one.module.name: stand_in(one, job.services.of(one.module.name)) for one in _to_build(job)}
    rehearsal = replace(job, observer=Observer(), rehearses=True, expected=images, building=tuple(images))
    destination.propose(rehearsal, render_manifest(rehearsal))
    job.observer.confirmable()


def _try_template(job: Job) -> None:
    """Render without image and logins, to find a mistake in template or values before any request to Azure."""
    building = {one.module.name: NOWHERE for one in _to_build(job)}
    if building:
        trial = replace(job, expected=building, building=tuple(building))
        render_project(job.project, lambda manifest: {}, values=trial.values, image=trial.images)


def _prepared(job: Job, projects: list[Project], destination: Destination) -> dict[str, Prepared]:
    options = job.options
    build = Build(
        rebuild=options.rebuild,
        locked=options.locked,
        first=lambda: _try_first(job, destination),
        before_build=lambda project: _test(job, project) if options.test is None else None,
        patience=options.build_patience,
        report=job.observer.image,
    )
    return prepare_each(projects, job.services, build)


def _test(job: Job, project: Project) -> None:
    """Test a module's model on this machine, which finds a mistake in seconds."""
    if project.image is None or project.image.entry_script is None:
        _step(job, project, "test", "not run: there is no entry script")
        return
    services = job.services.of(project.module.name)
    _step(job, project, "test", try_before_build(project, services, job.observer.image.step))


def _built(prepared: Prepared) -> str:
    model = prepared.lock.model
    made_from = f", model {model.name}:{model.version}" if model is not None else ""
    return f"{prepared.lock.image}{made_from}{', reused' if prepared.reused else ''}"
