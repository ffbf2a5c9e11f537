"""The whole way: image, render, check, plan, apply, wait. Stops at the first step that fails; run it again to go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifestgen.apply import Outcome, Patience, carry_out, read_state
from manifestgen.check import Finding, summarize
from manifestgen.cloud import Services
from manifestgen.errors import InputError
from manifestgen.gate import admit
from manifestgen.image import Patience as BuildPatience
from manifestgen.image import Reporter, prepare
from manifestgen.manifest.document import Document, read
from manifestgen.manifest.dump import dump
from manifestgen.plan import Plan, plan
from manifestgen.project.load import Project
from manifestgen.project.pending import exclusive
from manifestgen.render import inline_logins, render_project
from manifestgen.rollout import Rollout


@dataclass(frozen=True)
class Options:
    """What a deployment may do and how long it may take.

    Attributes:
        device: in place of the project's target.
        image: reference of an image to use in place of the project's.
        values: win over the project file's.
        patience: with the rollout; None not to wait for it.
    """

    device: str | None = None
    image: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    rebuild: bool = False
    prune: bool = False
    merge: bool = False
    force: bool = False
    rollback: bool = False
    build_patience: BuildPatience = field(default_factory=BuildPatience)
    patience: Patience | None = field(default_factory=Patience)


@dataclass(frozen=True)
class Observer:
    """Who is told how it goes, and who is asked.

    Attributes:
        step: a step that is done: its name and its result in a line.
        plan: what would change.
        permit: may raise to stop before anything changes.
        snapshot: keeps what the device has before it is changed.
        findings: what the check says of the rendered manifest.
        rollout: what every read of the device says.
    """

    step: Callable[[str, str], None]
    permit: Callable[[Plan], None]
    snapshot: Callable[[Plan], None]
    image: Reporter = field(default_factory=Reporter)
    findings: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None
    plan: Callable[[Plan], None] = lambda planned: None
    rollout: Callable[[Rollout], None] = lambda rollout: None


@dataclass(frozen=True)
class Deployment:
    """What came of it."""

    image: str
    plan: Plan
    outcome: Outcome


def deploy(project: Project, services: Services, observer: Observer, options: Options) -> Deployment:
    """Bring a project to its device.

    Raises:
        ManifestgenError: of the step that failed; what was done before it stays, and is found by the next run.
    """
    device = options.device or (project.target.device if project.target else None)
    if device is None:
        fix = "add 'target: {device: ID}' to the project file, or give --device ID"
        raise InputError("no device is named", where=str(project.path), fix=fix)
    with exclusive(project.root):
        reference = _image(project, services, observer, options)
        rendered = render_project(
            project,
            inline_logins(project, os.environ, services.credentials),
            values=options.values,
            image=options.image,
        )
        manifest = rendered.manifest
        names = ", ".join(module.name for module in manifest.modules() if not module.system)
        logins = f", credentials for {', '.join(rendered.hosts)}" if rendered.hosts else ""
        observer.step("render", f"modules {names}{logins}")
        document = read(dump(manifest.content), "the rendered manifest")
        admit(document, ignore=_ignored(project), force=options.force, report=_told(observer))
        planned = plan(manifest, read_state(services.hub, device), merge=options.merge)
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
