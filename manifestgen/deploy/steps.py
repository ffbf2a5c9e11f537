"""The whole way: image, render, check, preflight, plan, apply, wait.

Stops at the first step that fails; run again, it resumes.
"""

from __future__ import annotations

from dataclasses import replace

from manifestgen.cloud import Services
from manifestgen.deploy.job import Job
from manifestgen.deploy.options import Deployment, Observer, Options
from manifestgen.deploy.rendered import render_manifest
from manifestgen.deploy.targets import plan_for_device, propose_for_fleet, to_device, to_fleet
from manifestgen.device.apply import refuse_removals
from manifestgen.errors import FoundError, InputError
from manifestgen.images.build import Prepared, prepare
from manifestgen.images.existing import NOWHERE, Forecast, forecast, stand_in
from manifestgen.project.fit import look_at_lock
from manifestgen.project.load import Project
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
    """Bring a project to its device, or to the devices of its automatic deployment.

    Args:
        project: what to deploy, and where to.
        services: of the project, such as `manifestgen.services`.
        options: what it may do.
        observer: callbacks.

    Raises:
        ManifestgenError: the step that failed. What earlier steps did stays, and the next run continues from there.
    """
    job = Job(project, services, options or Options(), observer or Observer())
    target = _target(job)
    _try_template(job)
    _ = job.services.hub  # that none is specified, or two are, is found before anything is asked
    if job.options.dry_run:
        return _dry_run(job, target)
    with exclusive(project.root):
        reference = _image(job, target)
        rendered = render_manifest(job)
        if target.device is not None:
            return to_device(job, rendered, target.device, reference)
        return to_fleet(job, rendered, target, reference)


def _target(job: Job) -> Target:
    """Where it goes, checked together with the options before anything slow."""
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
    return target


def _image(job: Job, target: Target) -> str:
    """The model image's reference, built if necessary."""
    known = _known_image(job)
    if known is not None:
        reference, words = known
    else:
        if job.options.test:
            _test(job)
        prepared = _prepared(job, target)
        reference, words = prepared.lock.image, _built(prepared)
        if not job.options.test and (prepared.reused or job.options.test is False):
            job.observer.step("test", "not run: --no-test" if not prepared.reused else "not run: no image is built")
    job.observer.step("image", words)
    return reference


def _known_image(job: Job) -> tuple[str, str] | None:
    """The model image's reference and where it is from; None if it is the project's to build."""
    image = job.project.image
    if job.options.image is not None:
        return job.options.image, f"{job.options.image}, as given"
    if image is None:
        return "", "the project has none"
    if not image.builds:
        return image.reference or "", f"{image.reference}, built elsewhere"
    return None


def _dry_run(job: Job, target: Target) -> Deployment:
    """Everything that only reads, with what would be built represented by its reference."""
    if job.options.locked and job.options.image is None:
        look_at_lock(job.project, locked=True)
    known, expected = _known_image(job), None
    if known is None:
        expected = forecast(job.project, job.services, rebuild=job.options.rebuild, report=job.observer.image.step)
        if expected.builds and job.options.locked:
            fix = "run the command without --locked, and commit the lock file that it writes"
            raise FoundError(f"{expected.words}, which --locked rules out", where=str(job.project.path), fix=fix)
        known = expected.image, expected.words
    builds = expected is not None and expected.builds
    if builds:
        job.observer.step("test", "not run in a dry run")
    job.observer.step("image", known[1])
    rehearsal = replace(job, rehearses=True, expected=known[0], builds=builds)
    return replace(_rehearse(rehearsal, target, expected), image=known[0])


def _try_first(job: Job, target: Target) -> None:
    """Try what needs no build, before minutes go into one: template, values, logins, check, device, other images."""
    image = stand_in(job.project, job.services)
    rehearsal = replace(job, observer=Observer(), rehearses=True, expected=image, builds=True)
    _rehearse(rehearsal, target, None)
    job.observer.confirmable()


def _try_template(job: Job) -> None:
    """Render without image and logins, so that a mistake in template or values is found before Azure is asked."""
    if _known_image(job) is None:
        trial = replace(job, builds=True)
        render_project(job.project, lambda manifest: {}, values=trial.values, image=NOWHERE)


def _rehearse(job: Job, target: Target, expected: Forecast | None) -> Deployment:
    rendered = render_manifest(job)
    if target.device is not None:
        planned = plan_for_device(job, rendered, target.device)
        refuse_removals(planned, prune=job.options.prune)
        return Deployment("", planned, forecast=expected)
    return Deployment("", proposal=propose_for_fleet(job, rendered, target), forecast=expected)


def _prepared(job: Job, target: Target) -> Prepared:
    options = job.options
    return prepare(
        job.project,
        job.services,
        rebuild=options.rebuild,
        locked=options.locked,
        first=lambda: _try_first(job, target),
        before_build=lambda: _test(job) if job.options.test is None else None,
        patience=options.build_patience,
        report=job.observer.image,
    )


def _test(job: Job) -> None:
    """Try the model on this machine, where a mistake is found in seconds."""
    image = job.project.image
    if image is None or image.entry_script is None:
        job.observer.step("test", "not run: there is no entry script")
        return
    job.observer.step("test", try_before_build(job.project, job.services, job.observer.image.step))


def _built(prepared: Prepared) -> str:
    model = prepared.lock.model
    made_from = f", model {model.name}:{model.version}" if model is not None else ""
    return f"{prepared.lock.image}{made_from}{', reused' if prepared.reused else ''}"
