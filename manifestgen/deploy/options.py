"""Options, observer and result of a deployment."""

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
    """The options of a deployment.

    Attributes:
        device: overrides the project's target.
        images: image references to use instead of the project's, by module.
        modules: the modules to test and build; the others use the lock file's images. Empty means all.
        values: override those of the project file.
        rebuild: build even if there is an image of the same inputs.
        locked: use the lock file's image, and register and build nothing.
        test: test the model on this machine before its image is built; None to test only if an image will be built,
            False never.
        dry_run: report what would be registered, built and changed, and change nothing.
        prune: remove modules that the manifest does not name.
        merge: keep everything that the manifest does not name.
        preflight: look up the images in their registries before anything changes.
        moved_tags: continue even if a tag names another image than the one in the lock file.
        force: continue even if `check` finds errors, or an image cannot be pulled.
        rollback: restore the device's previous state if it does not become healthy, or fails the smoke test.
        build_patience: how long to wait for the build.
        patience: how long to wait for a device; None not to.
        smoke: an input for the project's model on the device, once it runs, and the expected answer; None for no test.
        scoring: how long to wait, after that, for the first result of the project's model; None not to.
        fleet_patience: how long to wait for the devices of an automatic deployment; None not to.
        state: folder for snapshots of the target; None for the user's state folder.
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
        step: called after each step with its name and its result in one line.
        image: progress of the image.
        confirmable: raises if the change could not be confirmed later; called before an image is built.
        findings: the check's findings in the rendered manifest.
        pulls: the preflight's results for its images.
        plan: the changes to the device.
        permit: raises to stop before anything changes on the device.
        rollout: called with each reading of the device's state.
        waiting: called before that with how long to wait.
        failed: called with device and last reading if the rollout fails; returns detail lines for the error.
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
