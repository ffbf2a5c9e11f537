"""The commands for an automatic deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._console import Console
from manifestgen.cli._hub import hub_here
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, gathered, hub_option, usage_of
from manifestgen.cli._state import state_option
from manifestgen.cli._watching import DeploymentView
from manifestgen.services import open_hub

if TYPE_CHECKING:
    from manifestgen.cloud import Hub
    from manifestgen.deployments.counts import Progress
    from manifestgen.deployments.proposal import Proposal
    from manifestgen.deployments.request import Strategy
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.target import Observer, Outcome


@dataclass(frozen=True)
class _Given:
    """The options of `apply --deployment`."""

    file: Path
    name: str
    condition: str | None
    priority: int | None
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    layered: bool
    base: Path | None
    show_targets: bool
    stages: str | None
    stage_tag: str | None
    tag_devices: bool
    pause: float
    wait_for: str
    abort_if_failing: str | None
    rollback_on_failure: bool
    no_wait: bool
    timeout: float
    report: Path | None
    yes: bool
    force: bool
    hub: str | None


@click.command(
    "apply",
    options_metavar="--deployment NAME [OPTIONS]",
    epilog=usage_of(
        "manifestgen apply deployment.json --deployment scorer --target-condition \"tags.site = 'lab'\" --priority 10",
        "manifestgen apply deployment.json --deployment scorer --stages 5%,25%,100% --abort-if-failing 2% --yes",
        "manifestgen apply deployment.json --deployment scorer --yes --report rollout.html",
        "manifestgen apply layer.json --deployment scorer-layer --layered --target-condition \"tags.line = '3'\"",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--deployment", "name", metavar="NAME", required=True, help="The automatic deployment to create or change."
)
@click.option("--target-condition", "condition", metavar="COND", help="Which devices it targets.")
@click.option("--priority", type=int, help="The highest wins.  [default: 10 if new]")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label; repeatable.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=QUERY", help="A custom metric; repeatable.")
@click.option("--layered", is_flag=True, help="FILE is a layer over a base deployment.")
@click.option(
    "--base",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Base to check a layer with, instead of the hub's.",
)
@click.option("--show-targets", is_flag=True, help="List the matching devices.")
@click.option("--stages", metavar="5%,25%,…", help="Roll out to some of the devices first.")
@click.option("--stage-tag", metavar="TAG", help="Tag whose values can be stages.")
@click.option("--tag-devices", is_flag=True, help="Let stages write a tag to devices.")
@click.option("--pause", type=FiniteRange(min=0), default=0, show_default=True, help="Seconds to wait between stages.")
@click.option(
    "--wait-for",
    metavar="SHARE",
    default="100%",
    show_default=True,
    help="Share of the devices that must run the new version before the old one is deleted.",
)
@click.option("--abort-if-failing", metavar="SHARE", help="Restore the old version if more of the devices fail.")
@click.option("--rollback-on-failure", is_flag=True, help="Also restore the old version after a timeout.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the devices run it.")
@click.option(
    "--timeout", type=FiniteRange(min=0), default=1800, show_default=True, help="Seconds to wait, for each stage."
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a page about the rollout: counts over time, stages, failing devices; ends in .html.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--force", is_flag=True, help="Continue even if 'check' finds errors.")
@state_option
@hub_option
@common_options
@gathered(_Given)
def apply(given: _Given, console: Console) -> int:
    """Create or change an automatic deployment, and wait until its devices run it.

    IoT Hub applies FILE to all devices that match the target condition, now and later. Settings
    without an option stay as they are on the hub. A changed manifest is rolled out as a new
    configuration with a higher priority; once devices run it, the old one is deleted.

    If a run is interrupted, run the same command again: it resumes.
    """
    from manifestgen.cli._rollout_report import reported
    from manifestgen.deployments.deployment import name_of
    from manifestgen.deployments.replace import PATIENCE, carry_out
    from manifestgen.report.rollout_record import Recorder
    from manifestgen.rows.report_file import refuse_bad_path
    from manifestgen.state import state_folder

    if given.report is not None:
        refuse_bad_path(given.report, (given.file, given.base), kinds=(".html",))
    strategy = _strategy(given)
    if name_of(given.name) != given.name:
        console.progress(f"deployment {given.name!r} is named {name_of(given.name)!r} on the hub")
    service, proposal = _proposed(given, console)
    more: dict[str, Any] = {}
    if given.show_targets:
        from manifestgen.deployments.counts import matching

        more["targets"] = matching(service, proposal.wanted.condition)
        for device in more["targets"]:
            console.result(device)
    show(proposal, console)
    view, recorder = DeploymentView(console), Recorder()
    recorder.about_deployment(proposal)
    with failures_shown(console), reported(given.report, recorder, recorder.story, console):
        outcome = carry_out(
            service,
            proposal,
            state=state_folder(),
            goal=strategy.goal,
            patience=None if given.no_wait else view.patient(PATIENCE.within(given.timeout)),
            stages=strategy.stages,
            observer=recorder.of_deployment(observer(console, view, yes=given.yes)),
        )
    show_outcome(proposal, outcome, console, more)
    return 0


def _strategy(given: _Given) -> Strategy:
    from manifestgen.deployments.request import strategy_of

    return strategy_of(
        wait=not given.no_wait,
        wait_for=given.wait_for,
        stages=given.stages,
        stage_tag=given.stage_tag,
        tag_devices=given.tag_devices,
        pause=given.pause,
        abort_if_failing=given.abort_if_failing,
        restore=given.rollback_on_failure,
    )


def _proposed(given: _Given, console: Console) -> tuple[Hub, Proposal]:
    """The proposed change, and the hub that it was compared with."""
    from manifestgen.cli._manifest import findings_reporter, load_file
    from manifestgen.deployments.request import Request, pairs, propose_request, verified
    from manifestgen.project.beside import project_of

    findings, base = findings_reporter(console), given.base
    loaded = load_file(given.file)
    document = verified(
        loaded.document, layered=given.layered, based=base is not None, force=given.force, report=findings
    )
    for words in loaded.warnings():
        console.warn(words)
    labels, metrics = pairs("--label", given.labels), pairs("--metric", given.metrics)
    request = Request(given.name, given.condition, given.priority, labels, metrics, _base(base))
    project = project_of(given.file)
    service = open_hub(given.hub, project)
    return service, propose_request(service, request, document, project, force=given.force, report=findings)


class DeploymentTarget:
    """An automatic deployment, for the commands that show it or roll it back."""

    def __init__(self, name: str, hub: str | None, console: Console) -> None:
        self._name = name
        self._hub = hub_here(hub)
        self._console = console

    def status(self, *, watch: bool, timeout: float | None, wide: bool = False) -> int:
        """Show how far its devices are; the exit code is 1 unless all of them run it."""
        from manifestgen.deployments.replace import PATIENCE
        from manifestgen.deployments.status import status
        from manifestgen.report.deployment import status_data, status_text

        view = DeploymentView(self._console)
        patience = view.patient(PATIENCE.within(timeout)) if watch else None
        found = status(self._hub, self._name, patience=patience, progress=view.show, waiting=view.waiting)
        self._console.result(status_text(found))
        self._console.document(status_data(found))
        return 0 if found.healthy else 1

    def history(self) -> None:
        """List its snapshots."""
        from manifestgen.cli._history import show_history
        from manifestgen.deployments.deployment import name_of
        from manifestgen.deployments.snapshots import folder_of, snapshots
        from manifestgen.report.history import deployment_row
        from manifestgen.state import state_folder

        host, name, root = self._hub.host, name_of(self._name), state_folder()
        found, folder = snapshots(host, name, root), folder_of(host, name, root)
        show_history("deployment", name, host, folder, found, deployment_row, self._console)

    def rollback(self, number: int | None, *, yes: bool, wait: bool, timeout: float | None) -> None:
        """Roll it back to a snapshot."""
        from manifestgen.deployments.deployment import name_of
        from manifestgen.deployments.replace import PATIENCE, carry_out
        from manifestgen.deployments.rollback import propose_rollback
        from manifestgen.state import state_folder

        proposal = propose_rollback(self._hub, name_of(self._name), state_folder(), number, self._console.progress)
        show(proposal, self._console)
        view = DeploymentView(self._console)
        with failures_shown(self._console):
            outcome = carry_out(
                self._hub,
                proposal,
                state=state_folder(),
                patience=view.patient(PATIENCE.within(timeout)) if wait else None,
                observer=observer(self._console, view, yes=yes),
            )
        show_outcome(proposal, outcome, self._console)


def _base(file: Path | None) -> tuple[str, Manifest] | None:
    if file is None:
        return None
    from manifestgen.cli._manifest import load_file
    from manifestgen.gate import require_manifest

    return str(file), require_manifest(load_file(file).document)


def show(proposal: Proposal, console: Console) -> None:
    """Show what would be done, with warnings."""
    from manifestgen.report.deployment import proposal_text

    for warning in proposal.warnings:
        console.warn(warning)
    console.result(proposal_text(proposal))


@contextmanager
def failures_shown(console: Console) -> Iterator[None]:
    """Show every failing device of a rollout that fails in this block, also in the JSON document of the error."""
    from manifestgen.deployments.failure import RolloutError

    try:
        yield
    except RolloutError as error:
        from manifestgen.report.deployment import failure_text

        if error.troubles:
            console.result(failure_text(error))
        console.outcome = error.data
        raise


def observer(console: Console, view: DeploymentView, *, yes: bool) -> Observer[Proposal, Progress]:
    """Asks for confirmation, prints each step, and shows the progress of the rollout."""
    from manifestgen.target import Observer

    def permit(proposal: Proposal) -> None:
        from manifestgen.report.deployment import devices

        name = f"deployment {proposal.wanted.name!r}"
        question = f"apply {name} to {devices(proposal.matched)}?"
        console.ask(question, yes=yes, unchanged=f"{name} was not changed")

    return Observer(permit=permit, step=console.progress, progress=view.show, waiting=view.waiting)


def show_outcome(
    proposal: Proposal, outcome: Outcome[Progress], console: Console, more: Mapping[str, Any] | None = None
) -> None:
    """Show the outcome; `more` goes into the JSON document too."""
    from manifestgen.report.deployment import outcome_data, outcome_text, proposal_data

    console.result(outcome_text(proposal.wanted.id, outcome))
    console.document({**(more or {}), "plan": proposal_data(proposal), **outcome_data(proposal.wanted.id, outcome)})
