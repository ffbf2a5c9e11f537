"""Where the manifest goes: to a device, or to the devices of an automatic deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from manifestgen.deploy.job import Job
from manifestgen.deploy.options import Deployment
from manifestgen.deploy.rendered import RenderedManifest, report_check, run_preflight
from manifestgen.deploy.scoring import models, scorers, verify_scoring
from manifestgen.deployments import replace as fleet
from manifestgen.deployments.deployment import Deployment as Wanted
from manifestgen.deployments.deployment import Survey, current, intended, models_in, name_of, survey
from manifestgen.deployments.proposal import Proposal, propose, verify_meetings
from manifestgen.device.apply import carry_out, read_state, refuse_removals
from manifestgen.device.plan import Plan, plan
from manifestgen.device.rollout import Rollout
from manifestgen.device.scoring import Scoring, running
from manifestgen.gate import require_applicable, require_manifest, require_no_errors
from manifestgen.manifest.manifest import Manifest
from manifestgen.operate.score import smoke
from manifestgen.project import lock
from manifestgen.project.sections import Target
from manifestgen.target import Observer as TargetObserver


class Destination(Protocol):
    """Where a manifest goes."""

    def propose(self, job: Job, rendered: RenderedManifest) -> Deployment:
        """Propose the changes to the destination; changes nothing.

        Raises:
            ManifestgenError: it cannot be applied there.
        """
        ...

    def carry_out(self, job: Job, rendered: RenderedManifest, images: Mapping[str, str]) -> Deployment:
        """Change it, and wait until the manifest runs there.

        Args:
            images: of the project's modules.

        Raises:
            ManifestgenError: it cannot be applied there, or does not come to run.
        """
        ...


@dataclass(frozen=True)
class ToDevice:
    """One device, which must also answer once it runs the manifest."""

    device: str

    def propose(self, job: Job, rendered: RenderedManifest) -> Deployment:
        """See `Destination`; that a module would be removed without `prune` is an error."""
        planned = self._plan(job, rendered)
        refuse_removals(planned, prune=job.options.prune)
        return Deployment({}, planned)

    def carry_out(self, job: Job, rendered: RenderedManifest, images: Mapping[str, str]) -> Deployment:
        """See `Destination`."""
        device, planned = self.device, self._plan(job, rendered)
        scores: list[Scoring] = []

        def verify(rollout: Rollout) -> None:
            version, modules = rollout.desired_version, len(rollout.modules)
            job.observer.step("wait", f"device {device!r} runs version {version}: {modules} modules healthy")
            _smoke(job, device, rollout, images)
            scores.extend(verify_scoring(job, device, rollout, images))

        outcome = carry_out(
            job.services.hub,
            planned,
            state=job.state,
            prune=job.options.prune,
            patience=job.options.patience,
            rollback=job.options.rollback,
            verify=verify,
            observer=TargetObserver(
                permit=job.observer.permit,
                step=lambda text: job.observer.step("apply", text),
                progress=lambda _, rollout: job.observer.rollout(rollout),
                waiting=job.observer.waiting,
                failed=lambda _, rollout: job.observer.failed(device, rollout),
            ),
        )
        return Deployment(images, planned, outcome, scores=tuple(scores))

    def _plan(self, job: Job, rendered: RenderedManifest) -> Plan:
        require_applicable(
            rendered.document, ignore=job.project.ignored, force=job.options.force, report=report_check(job)
        )
        state = read_state(job.services.hub, self.device)
        run_preflight(job, rendered, state.platform)
        planned = plan(rendered.manifest, state, merge=job.options.merge)
        job.observer.plan(planned)
        return planned


@dataclass(frozen=True)
class ToDeployment:
    """The devices of an automatic deployment, which is created or replaced."""

    target: Target

    def propose(self, job: Job, rendered: RenderedManifest) -> Deployment:
        """See `Destination`."""
        return Deployment({}, proposal=self._proposal(job, rendered))

    def carry_out(self, job: Job, rendered: RenderedManifest, images: Mapping[str, str]) -> Deployment:
        """See `Destination`."""
        proposal = self._proposal(job, rendered)
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
        return Deployment(images, proposal=proposal, fleet=outcome)

    def _proposal(self, job: Job, rendered: RenderedManifest) -> Proposal:
        document = rendered.document
        require_manifest(document, layered=True)
        require_no_errors(document, ignore=job.project.ignored, force=job.options.force, report=report_check(job))
        run_preflight(job, rendered, None)
        known = survey(job.services.hub, name_of(self.target.deployment or ""))
        wanted = _wanted(job, self.target, rendered.manifest, known)
        proposal = propose(job.services.hub, wanted, known=known)
        verify_meetings(proposal, document.name, ignore=job.project.ignored, force=job.options.force)
        job.observer.proposal(proposal)
        return proposal


def _wanted(job: Job, target: Target, manifest: Manifest, known: Survey) -> Wanted:
    return intended(
        known.name,
        manifest.content,
        current(job.services.hub, known.name, condition=target.condition, known=known),
        condition=target.condition,
        priority=target.priority,
        model=models_in(lock.read_file(job.project).modules.values(), manifest),
        model_module=(models(job) or job.project.modules)[0].name,
    )


def _smoke(job: Job, device: str, rollout: Rollout, images: Mapping[str, str]) -> None:
    """The smoke test. Raises FoundError if the model's answer is wrong."""
    test = job.options.smoke
    if test is None:
        return
    names = [name for name, _ in scorers(job, rollout, images)]
    if not names:
        names = [name for image in images.values() for name in running(rollout, image)]
    found = smoke(job.services.hub, device, names[0] if names else None, test)
    answer = json.dumps(found.result, ensure_ascii=False, separators=(",", ":"))
    words = "answered as expected" if test.compares else f"answered {answer[:200]}{'…' * (len(answer) > 200)}"
    job.observer.step("smoke", f"{found.module}: {words} after {found.seconds:.2f} s")
