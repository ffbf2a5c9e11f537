"""What a deployment may do, who is told of it, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifestgen.check import Finding
from manifestgen.deployments import replace as fleet
from manifestgen.deployments.counts import Progress
from manifestgen.deployments.proposal import Proposal
from manifestgen.device import scoring
from manifestgen.device.apply import PATIENCE
from manifestgen.device.plan import Plan
from manifestgen.device.rollout import Rollout
from manifestgen.images.build import PATIENCE as BUILD_PATIENCE
from manifestgen.images.build import Reporter
from manifestgen.images.existing import Forecast
from manifestgen.images.preflight import Pull
from manifestgen.manifest.document import Document
from manifestgen.operate.score import Smoke
from manifestgen.target import Observer as TargetObserver
from manifestgen.target import Outcome, Patience, Wait


@dataclass(frozen=True)
class Options:
    """What a deployment may do and how long it may take.

    Attributes:
        device: overrides the project's target.
        images: references of images to use instead of the project's, by module.
        modules: those that are tested and built; the others have the lock file's images. Without any, all.
        values: override those of the project file.
        rebuild: build although there is an image of these inputs.
        locked: use the lock file's image, and register and build nothing.
        test: try the model on this machine before its image is built; None to do so only if one will be built, False
            never.
        dry_run: say what would be registered, built and changed, and change nothing.
        prune: remove modules that the manifest does not name.
        merge: keep whatever the manifest does not name.
        preflight: ask the registries for the images before anything changes.
        moved_tags: continue although a tag names another image than the one in the lock file.
        force: continue although `check` finds errors, or an image cannot be pulled.
        rollback: go back to what the device had if it does not get healthy, or does not pass the smoke test.
        build_patience: how to wait for the build.
        patience: how to wait for a device; None not to.
        smoke: an input for the project's model on the device, once it runs, and the expected answer; None for no test.
        scoring: how to wait, after that, for the first result of the project's model; None not to.
        fleet_patience: how to wait for the devices of an automatic deployment; None not to.
        state: folder for snapshots of what the target had; None for the user's state folder.
    """

    device: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    modules: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    rebuild: bool = False
    locked: bool = False
    test: bool | None = None
    dry_run: bool = False
    prune: bool = False
    merge: bool = False
    preflight: bool = True
    moved_tags: bool = False
    force: bool = False
    rollback: bool = False
    build_patience: Patience = BUILD_PATIENCE
    patience: Patience | None = PATIENCE
    smoke: Smoke | None = None
    scoring: Patience | None = scoring.PATIENCE
    fleet_patience: Patience | None = fleet.PATIENCE
    state: Path | None = None


@dataclass(frozen=True)
class Observer:
    """Callbacks for progress, and for permission. By default nothing is reported and everything is permitted.

    Attributes:
        step: a step that is done: its name and its result in one line.
        image: progress of the image.
        confirmable: raises if nobody could permit the change later; called before an image is built.
        findings: what the check says about the rendered manifest.
        pulls: what the registries say about its images.
        plan: what would change on the device.
        permit: raises to stop before anything changes on the device.
        rollout: each reading of the device.
        waiting: before that, how long it will be waited for.
        failed: device and last reading, if it fails; returns lines that belong to the error.
        proposal, fleet: the same for an automatic deployment.
    """

    step: Callable[[str, str], None] = lambda name, result: None
    image: Reporter = field(default_factory=Reporter)
    confirmable: Callable[[], None] = lambda: None
    findings: Callable[[Document, Sequence[Finding]], None] = lambda document, findings: None
    pulls: Callable[[Sequence[Pull]], None] = lambda pulls: None
    plan: Callable[[Plan], None] = lambda planned: None
    permit: Callable[[Plan], None] = lambda planned: None
    rollout: Callable[[Rollout], None] = lambda rollout: None
    waiting: Callable[[Wait], None] = lambda wait: None
    failed: Callable[[str, Rollout], tuple[str, ...]] = lambda device, rollout: ()
    proposal: Callable[[Proposal], None] = lambda proposal: None
    fleet: TargetObserver[Proposal, Progress] = field(default_factory=TargetObserver)


@dataclass(frozen=True)
class Deployment:
    """The result: for a device a plan and its outcome, for a fleet a proposal and its outcome.

    After a dry run there is no outcome.

    Attributes:
        images: the references of the modules' images, by module.
        forecasts: of a dry run, what would be registered and built, by module.
        scores: what the runners with the project's models report, the models of `Options.modules` first, then in the
            order of the project; without those that report nothing or were not waited for.
    """

    images: Mapping[str, str]
    plan: Plan | None = None
    outcome: Outcome[Rollout] | None = None
    proposal: Proposal | None = None
    fleet: Outcome[Progress] | None = None
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    scores: tuple[scoring.Scoring, ...] = ()

    @property
    def scoring(self) -> scoring.Scoring | None:
        """The first of `scores`, which is all that there is of a project with one model."""
        return next(iter(self.scores), None)

    @property
    def image(self) -> str:
        """The image of the only module; empty without one, or with several."""
        return next(iter(self.images.values())) if len(self.images) == 1 else ""
