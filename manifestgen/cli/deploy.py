"""`manifestgen deploy`: from a model to a running module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._builder import builder_option
from manifestgen.cli._completing import devices
from manifestgen.cli._console import Console
from manifestgen.cli._environment import say_environment
from manifestgen.cli._modules import (
    image_option,
    images_of,
    module_option,
    platform_option,
    values_options,
    with_platform,
)
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, gathered, hub_option, usage_of
from manifestgen.cli._state import state_option
from manifestgen.cli._testing import test_option, tested
from manifestgen.cli._watching import DeploymentView, DeviceView
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.cloud import Hub
    from manifestgen.deploy import Deployment, Observer, Options
    from manifestgen.deployments.counts import Progress
    from manifestgen.deployments.proposal import Proposal
    from manifestgen.device.plan import Plan
    from manifestgen.device.rollout import Rollout
    from manifestgen.images.preflight import Pull
    from manifestgen.operate.score import Smoke
    from manifestgen.project import Project
    from manifestgen.report.rollout_record import Recorder
    from manifestgen.target import Observer as TargetObserver


@dataclass(frozen=True)
class _Given:
    """The options of `deploy`."""

    project: Path
    device_id: str | None
    modules: tuple[str, ...]
    images: tuple[str, ...]
    platform: str | None
    builder: str | None
    engine: str | None
    test: bool | None
    rebuild: bool
    locked: bool
    build_timeout: float
    files: tuple[str, ...]
    sets: tuple[str, ...]
    enable_admin: bool
    create_token: bool
    dry_run: bool
    yes: bool
    prune: bool
    merge: bool
    rollback_on_failure: bool
    smoke: Path | None
    expect: Path | None
    no_preflight: bool
    allow_moved_tag: bool
    force: bool
    no_wait: bool
    timeout: float | None
    report: Path | None
    hub: str | None


@click.command(
    epilog=usage_of(
        "manifestgen deploy samples/anomaly-detection",
        "manifestgen deploy --dry-run",
        "manifestgen deploy --module scorer",
        "manifestgen deploy -e prod",
        "manifestgen deploy --smoke sample.json --expect answer.json --rollback-on-failure",
        "manifestgen deploy --device edge-02 --set ttl=3600 --yes --output json",
        "manifestgen sandbox run -- manifestgen deploy samples/anomaly-detection --yes",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option(
    "--device",
    "device_id",
    metavar="ID",
    shell_complete=devices,
    help="Device to deploy to; overrides the project's target.",
)
@module_option("Module to test and build; the others keep the lock file's image")
@image_option
@platform_option
@builder_option
@test_option
@click.option("--rebuild", is_flag=True, help="Build even if these inputs have an image already.")
@click.option(
    "--locked", is_flag=True, help="Build nothing: exit code 1 unless the lock file has an image of these inputs."
)
@click.option(
    "--build-timeout", type=FiniteRange(min=0), default=1800, show_default=True, help="Seconds to wait for the build."
)
@values_options
@click.option("--enable-admin", is_flag=True, help="Enable the registry's admin user if it is disabled.")
@click.option("--create-token", is_flag=True, help="Create the registry's pull-only token if it does not exist.")
@click.option("--dry-run", is_flag=True, help="Show what would be registered, built and changed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--prune", is_flag=True, help="Remove modules that are not in the manifest.")
@click.option("--merge", is_flag=True, help="Keep modules, twins, routes and credentials that are not in the manifest.")
@click.option(
    "--rollback-on-failure", is_flag=True, help="Restore the previous modules if the rollout or the smoke test fails."
)
@click.option(
    "--smoke", metavar="FILE", type=click.Path(path_type=Path), help="JSON that the model on the device shall score."
)
@click.option(
    "--expect",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON that the answer to --smoke must equal.",
)
@click.option("--no-preflight", is_flag=True, help="Do not check the images with their registries.")
@click.option("--allow-moved-tag", is_flag=True, help="Continue if a tag has moved since it was locked.")
@click.option("--force", is_flag=True, help="Continue if 'check' finds errors or an image cannot be pulled.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the device to become healthy.")
@click.option(
    "--timeout",
    type=FiniteRange(min=0),
    show_default="600, for an automatic deployment 1800 a stage",
    help="Seconds to wait for the device.",
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a page about the rollout of an automatic deployment; ends in .html.",
)
@state_option
@hub_option
@common_options
@gathered(_Given)
def command(given: _Given, console: Console) -> None:
    """Do everything: test the model, build the image, render and check the manifest, check its images, apply it, wait.

    Stops at the first step that fails. If a run is interrupted, run the same command again: it
    resumes, and nothing is registered, built or applied twice.
    """
    from manifestgen.cli import _deployment, _device
    from manifestgen.cli._rollout_report import reported
    from manifestgen.deploy import deploy
    from manifestgen.project import load
    from manifestgen.report.rollout_record import Recorder
    from manifestgen.services import ProjectServices

    if given.dry_run and (given.enable_admin or given.create_token):
        option = "--enable-admin" if given.enable_admin else "--create-token"
        raise InputError(f"--dry-run changes nothing, and {option} would", fix=f"drop {option}")
    _device.refuse_contradictions(
        merge=given.merge, prune=given.prune, rollback=given.rollback_on_failure, wait=not given.no_wait
    )
    loaded = load(given.project)
    say_environment(loaded, console)
    if given.builder is not None or given.engine is not None:
        loaded = loaded.built_by(given.builder, given.engine)
    if given.report is not None:
        _refuse_report(given.report, loaded, given.device_id, dry_run=given.dry_run)
    view, fleet_view, recorder = DeviceView(console), DeploymentView(console), Recorder()
    options = _options(given, loaded, view, fleet_view)
    fleet = recorder.of_deployment(_deployment.observer(console, fleet_view, yes=given.yes))
    on_device = _device.observer(None, console, view, yes=given.yes)
    observer = _observer(console, on_device, fleet, recorder, lambda: services.hub, yes=given.yes)
    opened = ProjectServices(
        loaded,
        given.hub,
        enable_admin=given.enable_admin,
        create_token=given.create_token,
        report=console.progress,
        progress=console.progress,
    )
    told = reported(given.report, recorder, recorder.story, console)
    with opened as services, _deployment.failures_shown(console), told:
        deployment = deploy(loaded, services, options=options, observer=observer)
    _show(deployment, console, dry_run=given.dry_run)


def _options(given: _Given, project: Project, view: DeviceView, fleet_view: DeploymentView) -> Options:
    from manifestgen.deploy import Options
    from manifestgen.deployments import replace as deployments
    from manifestgen.device import apply as device
    from manifestgen.device import scoring
    from manifestgen.images.build import PATIENCE as BUILD_PATIENCE
    from manifestgen.project import values

    no_wait = given.no_wait
    return Options(
        device=given.device_id,
        images=images_of(project, given.images),
        modules=given.modules,
        values=with_platform(values.given(given.files, given.sets), given.platform),
        rebuild=given.rebuild,
        locked=given.locked,
        test=tested(given.test),
        dry_run=given.dry_run,
        prune=given.prune,
        merge=given.merge,
        preflight=not given.no_preflight,
        rollback=given.rollback_on_failure,
        force=given.force,
        moved_tags=given.allow_moved_tag,
        build_patience=BUILD_PATIENCE.within(given.build_timeout),
        smoke=_smoke(given.smoke, given.expect, waits=not (no_wait or given.dry_run)),
        patience=None if no_wait else view.patient(device.PATIENCE.within(given.timeout)),
        scoring=None if no_wait else scoring.PATIENCE,
        fleet_patience=None if no_wait else fleet_view.patient(deployments.PATIENCE.within(given.timeout)),
    )


def _observer(
    console: Console,
    on_device: TargetObserver[Plan, Rollout],
    fleet: TargetObserver[Proposal, Progress],
    recorder: Recorder,
    hub: Callable[[], Hub],
    *,
    yes: bool,
) -> Observer:
    """An observer that prints the steps of a deployment.

    Args:
        hub: is called when a failing module's last words are asked for.
    """
    from manifestgen.cli import _deployment, _device
    from manifestgen.cli._manifest import findings_reporter
    from manifestgen.cli.image import reporter
    from manifestgen.deploy import Observer

    def propose(proposal: Proposal) -> None:
        recorder.about_deployment(proposal)
        _deployment.show(proposal, console)

    return Observer(
        step=console.step,
        image=reporter(console),
        confirmable=lambda: _require_confirmable(console, yes=yes),
        findings=findings_reporter(console),
        pulls=_pulls_reporter(console),
        plan=lambda planned: _device.show(planned, console),
        permit=on_device.permit,
        rollout=lambda rollout: on_device.progress("", rollout),
        proposal=propose,
        waiting=on_device.waiting,
        failed=lambda failing, rollout: _device.show_last_words(hub(), failing, rollout, console),
        fleet=fleet,
    )


def _show(deployment: Deployment, console: Console, *, dry_run: bool) -> None:
    from manifestgen.cli import _deployment, _device
    from manifestgen.report.rollout import scoring_data

    if dry_run:
        _show_dry_run(deployment, console)
    elif deployment.plan is not None and deployment.outcome is not None:
        scores = [scoring_data(one) for one in deployment.scores]
        # `scoring` is from when a project had one model.
        more = {**_images(deployment), "scoring": next(iter(scores), None), "scores": scores}
        _device.show_outcome(deployment.plan, deployment.outcome, console, **more)
    elif deployment.proposal is not None and deployment.fleet is not None:
        _deployment.show_outcome(deployment.proposal, deployment.fleet, console, _images(deployment))


def _images(deployment: Deployment) -> dict[str, Any]:
    return {"image": deployment.image, "images": dict(deployment.images)}


def _smoke(data: Path | None, expect: Path | None, *, waits: bool) -> Smoke | None:
    from manifestgen.cli._asking import smoke_of

    if data is None:
        if expect is not None:
            raise InputError("--expect needs --smoke", fix="add --smoke FILE with the input")
        return None
    if not waits:
        fix = "drop --smoke, or --no-wait or --dry-run"
        raise InputError("a smoke test needs a device that runs the model", fix=fix)
    return smoke_of(data, expect)


def _refuse_report(report: Path, project: Project, device: str | None, *, dry_run: bool) -> None:
    """Raise InputError if there will be nothing to write a page about, or no place for it."""
    from manifestgen.rows.report_file import refuse_bad_path

    refuse_bad_path(report, (project.path,), kinds=(".html",))
    if dry_run:
        raise InputError("--dry-run rolls nothing out, so there is no report", fix="drop --report")
    if device is not None or project.deployment is None:
        what = "--report is about the rollout of an automatic deployment"
        fix = "drop it; for one device, see 'manifestgen view --device ID'"
        raise InputError(what, where=str(project.path), fix=fix)


def _require_confirmable(console: Console, *, yes: bool) -> None:
    """Raise InputError if the change could not be confirmed later."""
    if not console.interactive:
        console.ask("", yes=yes, unchanged="")


def _show_dry_run(deployment: Deployment, console: Console) -> None:
    from manifestgen.report import changes
    from manifestgen.report.deployment import proposal_data

    plan = changes.data(deployment.plan) if deployment.plan is not None else None
    if deployment.proposal is not None:
        plan = proposal_data(deployment.proposal)
    expected = list(deployment.forecasts.values())
    console.result("dry run: nothing was registered, built or changed")
    console.document(
        {
            "dry_run": True,
            **_images(deployment),
            "registers": next((one.registers for one in expected if one.registers is not None), None),
            "builds": any(one.builds for one in expected),
            "building": [name for name, one in deployment.forecasts.items() if one.builds],
            "plan": plan,
            "applied": False,
        }
    )


def _pulls_reporter(console: Console) -> Callable[[Sequence[Pull]], None]:
    """Prints which images a device could not pull, and why."""

    def report(pulls: Sequence[Pull]) -> None:
        from manifestgen.report import preflight

        for line in preflight.failures(pulls):
            console.progress(line)

    return report
