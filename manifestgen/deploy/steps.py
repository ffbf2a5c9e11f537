"""The whole way: image, render, check, preflight, plan, apply, wait.

Stops at the first step that fails; run again, it resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from manifestgen import __version__
from manifestgen.check import Finding, summarize
from manifestgen.cloud import Services
from manifestgen.cloud.distribution import Platform, Trouble
from manifestgen.credentials.logins import inline
from manifestgen.deploy.options import Deployment, Observer, Options
from manifestgen.deployments import replace as fleet
from manifestgen.deployments.deployment import Deployment as Wanted
from manifestgen.deployments.deployment import Survey, current, intended, model_of, name_of, survey
from manifestgen.deployments.proposal import Proposal, propose, verify_meetings
from manifestgen.device.apply import carry_out, read_state, refuse_removals
from manifestgen.device.plan import DeviceState, Plan, plan
from manifestgen.device.rollout import Rollout
from manifestgen.device.scoring import Scoring, follow, running
from manifestgen.errors import FoundError, InputError
from manifestgen.gate import require_applicable, require_manifest, require_no_errors
from manifestgen.images.build import Prepared, prepare
from manifestgen.images.existing import NOWHERE, Forecast, forecast, stand_in, stand_in_values
from manifestgen.images.pin import moved, pin
from manifestgen.images.preflight import Pull, State, device_platform, digests, locked_images, preflight, require_found
from manifestgen.manifest.document import Document, of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import USUAL, Styles
from manifestgen.project import lock
from manifestgen.project.fit import look_at_lock
from manifestgen.project.load import Project
from manifestgen.project.pending import exclusive
from manifestgen.project.sections import Target
from manifestgen.project.values import merge
from manifestgen.render import Rendered, render_project
from manifestgen.report.rollout import scoring_line
from manifestgen.state import state_folder
from manifestgen.target import Observer as TargetObserver
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
    job = _Job(project, services, options or Options(), observer or Observer())
    target = _target(job)
    _try_template(job)
    _ = job.services.hub  # that none is specified, or two are, is found before anything is asked
    if job.options.dry_run:
        return _dry_run(job, target)
    with exclusive(project.root):
        reference = _image(job, target)
        rendered = _rendered(job)
        if target.device is not None:
            return _to_device(job, rendered, target.device, reference)
        return _to_fleet(job, rendered, target, reference)


@dataclass(frozen=True)
class _Job:
    """One run.

    Attributes:
        rehearses: whether it only reads.
        expected: reference that it has for the project's image; empty for that of the project and its lock file.
        builds: whether what is expected is not built yet.
    """

    project: Project
    services: Services
    options: Options
    observer: Observer
    rehearses: bool = False
    expected: str = ""
    builds: bool = False

    @property
    def image(self) -> str | None:
        """The image for the template; None for the project's own."""
        return self.options.image or self.expected or None

    @property
    def values(self) -> Mapping[str, Any]:
        return merge(stand_in_values(self.project), self.options.values) if self.builds else self.options.values

    @property
    def pins(self) -> bool:
        return self.project.manifest is not None and self.project.manifest.pin

    @property
    def ignored(self) -> Collection[str]:
        return self.project.check.ignore if self.project.check is not None else ()

    @property
    def state(self) -> Path:
        return self.options.state or state_folder()


@dataclass(frozen=True)
class _Manifest:
    """The rendered manifest.

    Attributes:
        tags: what the registries said about its tags, if digests have replaced them.
        styles: of the project's placeholders.
    """

    manifest: Manifest
    tags: Sequence[Pull] | None
    styles: Styles = USUAL

    @property
    def document(self) -> Document:
        return of_manifest(self.manifest, "the rendered manifest", styles=self.styles)


def _target(job: _Job) -> Target:
    """Where it goes, checked together with the options before anything slow."""
    target = Target(device=job.options.device) if job.options.device is not None else job.project.target
    if target is None:
        fix = "add 'target: {device: ID}' or 'target: {deployment: NAME}' to the project file, or give --device ID"
        raise InputError("no device is specified", where=str(job.project.path), fix=fix)
    if job.pins and not job.options.preflight:
        fix = "drop --no-preflight, or set pin to false"
        raise InputError("manifest.pin needs the preflight", where=str(job.project.path), fix=fix)
    if job.options.locked and job.options.rebuild:
        raise InputError("--locked and --rebuild cannot be used together", fix="drop one of the two")
    return target


def _image(job: _Job, target: Target) -> str:
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


def _known_image(job: _Job) -> tuple[str, str] | None:
    """The model image's reference and where it is from; None if it is the project's to build."""
    image = job.project.image
    if job.options.image is not None:
        return job.options.image, f"{job.options.image}, as given"
    if image is None:
        return "", "the project has none"
    if not image.builds:
        return image.reference or "", f"{image.reference}, built elsewhere"
    return None


def _dry_run(job: _Job, target: Target) -> Deployment:
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


def _try_first(job: _Job, target: Target) -> None:
    """Try what needs no build, before minutes go into one: template, values, logins, check, device, other images."""
    image = stand_in(job.project, job.services)
    rehearsal = replace(job, observer=Observer(), rehearses=True, expected=image, builds=True)
    _rehearse(rehearsal, target, None)
    job.observer.confirmable()


def _try_template(job: _Job) -> None:
    """Render without image and logins, so that a mistake in template or values is found before Azure is asked."""
    if _known_image(job) is None:
        trial = replace(job, builds=True)
        render_project(job.project, lambda manifest: {}, values=trial.values, image=NOWHERE)


def _rehearse(job: _Job, target: Target, expected: Forecast | None) -> Deployment:
    rendered = _rendered(job)
    if target.device is not None:
        planned = _planned(job, rendered, target.device)
        refuse_removals(planned, prune=job.options.prune)
        return Deployment("", planned, forecast=expected)
    return Deployment("", proposal=_proposed(job, rendered, target), forecast=expected)


def _prepared(job: _Job, target: Target) -> Prepared:
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


def _test(job: _Job) -> None:
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


def _rendered(job: _Job) -> _Manifest:
    """The manifest with its credentials, and with digests if the project pins them."""
    logins = inline(job.project.registry_settings, job.services.credentials)
    rendered = render_project(job.project, logins, values=job.values, image=job.image)
    found = (
        _pinned(job, rendered.manifest)
        if job.pins
        else _Manifest(rendered.manifest, None, job.project.placeholder_styles)
    )
    job.observer.step("render", _summary(rendered, pinned=job.pins))
    return found


def _pinned(job: _Job, manifest: Manifest) -> _Manifest:
    pulls = _asked(job, manifest, None)
    require_found(pulls)
    return _Manifest(pin(manifest, digests(pulls)), pulls, job.project.placeholder_styles)


def _asked(job: _Job, manifest: Manifest, platform: Platform | None) -> tuple[Pull, ...]:
    """What the registries say; that they do not have an image that is not built yet says nothing."""
    pulls = preflight(manifest, job.services.distribution, platform, leave_out=(NOWHERE,))
    if not job.builds:
        return pulls
    missing = (Trouble.TAG_NOT_FOUND, Trouble.REPOSITORY_NOT_FOUND)
    return tuple(pull for pull in pulls if pull.image != job.expected or pull.trouble not in missing)


def _summary(rendered: Rendered, *, pinned: bool) -> str:
    names = ", ".join(module.name for module in rendered.manifest.modules() if not module.system)
    logins = f", credentials for {', '.join(rendered.hosts)}" if rendered.hosts else ""
    return f"modules {names}{logins}{', images by digest' if pinned else ''}"


def _to_device(job: _Job, rendered: _Manifest, device: str, reference: str) -> Deployment:
    planned = _planned(job, rendered, device)
    outcome = carry_out(
        job.services.hub,
        planned,
        state=job.state,
        prune=job.options.prune,
        patience=job.options.patience,
        rollback=job.options.rollback,
        observer=TargetObserver(
            permit=job.observer.permit,
            step=lambda text: job.observer.step("apply", text),
            progress=lambda _, rollout: job.observer.rollout(rollout),
            waiting=job.observer.waiting,
        ),
    )
    if outcome.progress is not None:
        version, modules = outcome.progress.desired_version, len(outcome.progress.modules)
        job.observer.step("wait", f"device {device!r} runs version {version}: {modules} modules healthy")
        found = _scoring(job, device, outcome.progress, reference)
        return Deployment(reference, planned, outcome, scoring=found)
    return Deployment(reference, planned, outcome)


def _scoring(job: _Job, device: str, rollout: Rollout, reference: str) -> Scoring | None:
    """Whether the project's model scores, which is more than that its module runs."""
    image = job.project.image
    names = running(rollout, reference) if reference and image is not None and image.builds else []
    if not names or job.options.scoring is None:
        return None
    found = follow(job.services.hub, device, names[0], job.options.scoring)
    silent = f"{names[0]}: runs, but has not reported that it scores"
    job.observer.step("score", silent if found is None else scoring_line(found))
    return found


def _planned(job: _Job, rendered: _Manifest, device: str) -> Plan:
    """What it would change on a device."""
    require_applicable(rendered.document, ignore=job.ignored, force=job.options.force, report=_checked(job))
    state = read_state(job.services.hub, device)
    _preflight(job, rendered, _platform(state))
    planned = plan(rendered.manifest, state, merge=job.options.merge)
    job.observer.plan(planned)
    return planned


def _to_fleet(job: _Job, rendered: _Manifest, target: Target, reference: str) -> Deployment:
    proposal = _proposed(job, rendered, target)
    outcome = fleet.carry_out(
        job.services.hub,
        proposal,
        state=job.state,
        goal=fleet.Goal(restore=job.options.rollback),
        patience=job.options.fleet_patience,
        observer=job.observer.fleet,
    )
    job.observer.step("apply", f"deployment {proposal.wanted.id!r}" if outcome.applied else "nothing to change")
    if outcome.progress is not None:
        job.observer.step("wait", f"{outcome.progress.healthy} of {outcome.progress.due} devices run it")
    return Deployment(reference, proposal=proposal, fleet=outcome)


def _proposed(job: _Job, rendered: _Manifest, target: Target) -> Proposal:
    """What it would change of an automatic deployment."""
    document = rendered.document
    require_manifest(document, layered=True)
    require_no_errors(document, ignore=job.ignored, force=job.options.force, report=_checked(job))
    _preflight(job, rendered, None)
    known = survey(job.services.hub, name_of(target.deployment or ""))
    proposal = propose(job.services.hub, _wanted(job, target, rendered.manifest, known), known=known)
    verify_meetings(proposal, document.name, ignore=job.ignored, force=job.options.force)
    job.observer.proposal(proposal)
    return proposal


def _wanted(job: _Job, target: Target, manifest: Manifest, known: Survey) -> Wanted:
    return intended(
        known.name,
        manifest.content,
        current(job.services.hub, known.name, condition=target.condition, known=known),
        condition=target.condition,
        priority=target.priority,
        model=model_of(lock.read(job.project), manifest),
        model_module=job.project.manifest.module if job.project.manifest is not None else None,
    )


def _preflight(job: _Job, rendered: _Manifest, platform: Platform | None) -> None:
    """Ask for the images, and compare their tags with the lock file, which then gets them."""
    if not job.options.preflight:
        return
    pulls = _asked(job, rendered.manifest, platform)
    job.observer.pulls(pulls)
    if not job.options.force:
        require_found(pulls, unreachable="skip this check with --no-preflight if only the device can reach it")
    tags = pulls if rendered.tags is None else rendered.tags
    if not job.options.moved_tags:
        _refuse_moved(job.project, tags)
    if not job.rehearses:
        lock.record(job.project, locked_images(tags), __version__)
    job.observer.step("preflight", _counted(pulls))


def _refuse_moved(project: Project, tags: Sequence[Pull]) -> None:
    """Stop if a tag names another image than the one in the lock file."""
    found = moved(lock.locked_digests(lock.read(project)), digests(tags))
    if found:
        first, others = found[0], f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise FoundError(
            f"the tag has moved: it now names {first.found}; the lock file has {first.locked}{others}",
            where=first.image,
            fix="give the new image its own tag, or accept it with --allow-moved-tag",
        )


def _counted(pulls: Sequence[Pull]) -> str:
    found = sum(pull.state is State.FOUND for pull in pulls)
    failed = sum(pull.state is State.FAILED for pull in pulls)
    skipped = len(pulls) - found - failed
    words = [f"{found} of {len(pulls)} images can be pulled"]
    words += [f"{failed} cannot"] * bool(failed) + [f"{skipped} not checked"] * bool(skipped)
    return ", ".join(words)


def _platform(state: DeviceState) -> Platform | None:
    """The device's platform; None if it never reported one."""
    agent = state.twins.get("$edgeAgent")
    try:
        return device_platform(agent.reported) if agent is not None else None
    except InputError:
        return None


def _checked(job: _Job) -> Callable[[Document, Sequence[Finding]], None]:
    """Passes the findings on, and reports how many there are as the step's result."""

    def report(document: Document, findings: Sequence[Finding]) -> None:
        job.observer.findings(document, findings)
        found = summarize(findings)
        counts = ((found.errors, "error"), (found.warnings, "warning"), (found.infos, "note"))
        job.observer.step("check", ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts))

    return report
