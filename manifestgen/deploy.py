"""The whole way: image, render, check, preflight, plan, apply, wait.

Stops at the first step that fails; run it again to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifestgen import __version__
from manifestgen.check import Finding, summarize
from manifestgen.cloud import Services
from manifestgen.cloud.distribution import Distribution, Platform
from manifestgen.credentials.logins import inline
from manifestgen.deployments import replace as fleet
from manifestgen.deployments.deployment import current, intended, model_of, name_of
from manifestgen.deployments.proposal import Proposal, propose, verify_meetings
from manifestgen.device.apply import Outcome, Patience, carry_out, read_state
from manifestgen.device.plan import DeviceState, Plan, plan
from manifestgen.device.rollout import Rollout
from manifestgen.errors import FoundError, InputError
from manifestgen.gate import admit, settable, verify
from manifestgen.images.build import Patience as BuildPatience
from manifestgen.images.build import Reporter, prepare
from manifestgen.images.pin import moved, pin
from manifestgen.images.preflight import Pull, State, device_platform, digests, insist, locked_images, preflight
from manifestgen.manifest.document import Document, read
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest
from manifestgen.project import lock
from manifestgen.project.load import Project
from manifestgen.project.pending import exclusive
from manifestgen.render import render_project


@dataclass(frozen=True)
class Options:
    """What a deployment may do and how long it may take.

    Attributes:
        device: in place of the project's target.
        image: reference of an image to use in place of the project's.
        moved_tags: go on although a tag names another image than the lock file keeps.
        values: win over the project file's.
        patience: with the rollout; None not to wait for it.
        fleet_patience: the same, if the project's target is an automatic deployment.
    """

    device: str | None = None
    image: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    rebuild: bool = False
    prune: bool = False
    merge: bool = False
    force: bool = False
    moved_tags: bool = False
    rollback: bool = False
    build_patience: BuildPatience = field(default_factory=BuildPatience)
    patience: Patience | None = field(default_factory=Patience)
    fleet_patience: fleet.Patience | None = field(default_factory=fleet.Patience)


@dataclass(frozen=True)
class Observer:
    """Who is told how it goes, and who is asked.

    Attributes:
        step: a step that is done: its name and its result in a line.
        plan: what would change.
        permit: may raise to stop before anything changes.
        snapshot: keeps what the device has before it is changed.
        findings: what the check says of the rendered manifest.
        pulls: what the registries say of its images.
        rollout: what every read of the device says.
        proposal, permit_fleet, fleet: the same, if the project's target is an automatic deployment.
    """

    step: Callable[[str, str], None]
    permit: Callable[[Plan], None]
    snapshot: Callable[[Plan], None]
    image: Reporter = field(default_factory=Reporter)
    findings: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None
    pulls: Callable[[Sequence[Pull]], None] = lambda pulls: None
    plan: Callable[[Plan], None] = lambda planned: None
    rollout: Callable[[Rollout], None] = lambda rollout: None
    proposal: Callable[[Proposal], None] = lambda proposal: None
    permit_fleet: Callable[[Proposal], None] = lambda proposal: None
    fleet: fleet.Observer = field(default_factory=fleet.Observer)


@dataclass(frozen=True)
class Deployment:
    """What came of it: on one device a plan and its outcome, for a fleet a proposal and its own."""

    image: str
    plan: Plan | None = None
    outcome: Outcome | None = None
    proposal: Proposal | None = None
    fleet: fleet.Outcome | None = None


def deploy(
    project: Project,
    services: Services,
    observer: Observer,
    options: Options,
    distribution: Distribution | None = None,
) -> Deployment:
    """Bring a project to its device, or to the fleet of its automatic deployment.

    Args:
        project: what to deploy, and where to.
        services: of the project.
        observer: is told, and asked.
        options: what it may do.
        distribution: the registries to ask for the images; None leaves the preflight out.

    Raises:
        ManifestgenError: of the step that failed; what was done before it stays, and is found by the next run.
    """
    device = options.device or (project.target.device if project.target else None)
    if device is None and (project.target is None or project.target.deployment is None):
        fix = "add 'target: {device: ID}' or 'target: {deployment: NAME}' to the project file, or give --device ID"
        raise InputError("no device is named", where=str(project.path), fix=fix)
    with exclusive(project.root):
        reference = _image(project, services, observer, options)
        rendered = render_project(
            project,
            inline(project.registry_settings, services.credentials),
            values=options.values,
            image=options.image,
        )
        manifest, tags = rendered.manifest, None
        names = ", ".join(module.name for module in manifest.modules() if not module.system)
        logins = f", credentials for {', '.join(rendered.hosts)}" if rendered.hosts else ""
        pins = project.manifest is not None and project.manifest.pin
        if pins:
            if distribution is None:
                fix = "drop --no-preflight, or set pin to false"
                raise InputError("manifest.pin needs the registries to be asked", where=str(project.path), fix=fix)
            tags = preflight(manifest, distribution)
            insist(tags)
            manifest = pin(manifest, digests(tags))
        observer.step("render", f"modules {names}{logins}{', images by digest' if pins else ''}")
        document = read(dump(manifest.content), "the rendered manifest")
        if device is None:
            settable(document, layered=True)
            verify(document, ignore=_ignored(project), force=options.force, report=_told(observer))
            if distribution is not None:
                _preflight(project, manifest, tags, distribution, None, observer, options)
            return _to_fleet(project, manifest, services, observer, options, reference)
        admit(document, ignore=_ignored(project), force=options.force, report=_told(observer))
        state = read_state(services.hub, device)
        if distribution is not None:
            _preflight(project, manifest, tags, distribution, _platform(state), observer, options)
        planned = plan(manifest, state, merge=options.merge)
        observer.plan(planned)
        outcome = carry_out(
            planned,
            services.hub,
            permit=observer.permit,
            snapshot=observer.snapshot,
            prune=options.prune,
            patience=options.patience,
            rollback=options.rollback,
            sent=lambda applied: observer.step("apply", "modules set" if applied else "nothing to change"),
            report=observer.rollout,
        )
        if outcome.rollout is not None:
            version, modules = outcome.rollout.desired_version, len(outcome.rollout.modules)
            observer.step("wait", f"device {device!r} runs version {version}: {modules} modules healthy")
        return Deployment(reference, planned, outcome)


def _to_fleet(
    project: Project, manifest: Manifest, services: Services, observer: Observer, options: Options, reference: str
) -> Deployment:
    """Bring a checked manifest to the devices of the project's automatic deployment."""
    target, hub = project.target, services.hub
    assert target is not None and target.deployment is not None  # noqa: S101 - `deploy` has made sure
    name = name_of(target.deployment)
    wanted = intended(
        name,
        manifest.content,
        current(hub, name, condition=target.condition),
        condition=target.condition,
        priority=target.priority,
        model=model_of(lock.read(project), manifest),
        model_module=project.manifest.module if project.manifest is not None else None,
    )
    proposal = propose(hub, wanted)
    verify_meetings(proposal, "the rendered manifest", ignore=_ignored(project), force=options.force)
    observer.proposal(proposal)
    if not proposal.nothing_to_do:
        observer.permit_fleet(proposal)
    outcome = fleet.replace(
        hub,
        wanted,
        goal=fleet.Goal(restore=options.rollback),
        patience=options.fleet_patience,
        observer=observer.fleet,
        wait=options.fleet_patience is not None,
    )
    observer.step("apply", f"deployment {outcome.id!r}" if outcome.changed else "nothing to change")
    if outcome.progress is not None:
        observer.step("wait", f"{outcome.progress.healthy} of {outcome.progress.due} devices run it")
    return Deployment(reference, proposal=proposal, fleet=outcome)


def _preflight(
    project: Project,
    manifest: Manifest,
    tags: Sequence[Pull] | None,
    distribution: Distribution,
    platform: Platform | None,
    observer: Observer,
    options: Options,
) -> None:
    """Ask for the images, and compare their tags with the lock file.

    Args:
        tags: what was asked for by tag already, if `manifest` has digests instead.
    """
    pulls = preflight(manifest, distribution, platform)
    observer.pulls(pulls)
    if not options.force:
        insist(pulls)
    tags = pulls if tags is None else tags
    changed = moved(lock.locked_digests(lock.read(project)), digests(tags))
    if changed and not options.moved_tags:
        first, others = changed[0], f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise FoundError(
            f"the tag has moved: it names {first.found} now, and {first.locked} when it was last locked{others}",
            where=first.image,
            fix="give the new image a tag of its own, or take it with --allow-moved-tag",
        )
    lock.record(project, locked_images(tags), __version__)
    found = sum(pull.state is State.FOUND for pull in pulls)
    failed = sum(pull.state is State.FAILED for pull in pulls)
    unasked = len(pulls) - found - failed
    words = [f"{found} of {len(pulls)} images can be pulled"]
    words += [f"{failed} cannot"] * bool(failed) + [f"{unasked} not asked for"] * bool(unasked)
    observer.step("preflight", ", ".join(words))


def _platform(state: DeviceState) -> Platform | None:
    """The device's platform; None if it never said."""
    agent = state.twins.get("$edgeAgent")
    try:
        return device_platform(agent.reported) if agent is not None else None
    except InputError:
        return None


def _told(observer: Observer) -> Callable[[Document, Sequence[Finding]], None]:
    """Tells the findings, and how many there are as the step's result."""

    def report(document: Document, findings: Sequence[Finding]) -> None:
        observer.findings(document, findings)
        found = summarize(findings)
        counts = ((found.errors, "error"), (found.warnings, "warning"), (found.infos, "note"))
        observer.step("check", ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts))

    return report


def _ignored(project: Project) -> Collection[str]:
    return project.check.ignore if project.check is not None else ()


def _image(project: Project, services: Services, observer: Observer, options: Options) -> str:
    if options.image is not None:
        observer.step("image", f"{options.image}, as given")
        return options.image
    if project.image is None:
        observer.step("image", "the project names none")
        return ""
    if project.image.builder == "none":
        observer.step("image", f"{project.image.reference}, built elsewhere")
        return project.image.reference or ""
    prepared = prepare(
        project, services, rebuild=options.rebuild, patience=options.build_patience, report=observer.image
    )
    lock = prepared.lock
    model = f", model {lock.model.name}:{lock.model.version}" if lock.model else ""
    observer.step("image", f"{lock.image}{model}{', reused' if prepared.reused else ''}")
    return lock.image
