"""The commands for one device."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._console import Console
from manifestgen.cli._hub import hub_here
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._state import state_option
from manifestgen.cli._target import device_of, device_option
from manifestgen.cli._watching import DeviceView
from manifestgen.errors import InputError, ManifestgenError
from manifestgen.services import open_distribution, open_hub

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from manifestgen.cloud import Hub
    from manifestgen.device.plan import Plan
    from manifestgen.device.rollout import Rollout
    from manifestgen.project import Project
    from manifestgen.project.lock import LockedModel
    from manifestgen.target import Observer, Outcome


@click.command(
    "apply",
    epilog=usage_of(
        "manifestgen apply deployment.json",
        "manifestgen apply deployment.json --device edge-01",
        "manifestgen apply deployment.json --device edge-01 --merge --yes --rollback-on-failure",
        "manifestgen apply edge-01.plan",
    )
    + "\n\n\b\nOther targets have options of their own:\n"
    "  manifestgen apply --deployment --help  an automatic deployment, to all devices that match a condition\n"
    "  manifestgen apply --devices --help     a manifest for each of many devices, from a file of rows",
)
@click.argument("file", metavar="FILE|PLAN", type=click.Path(path_type=Path))
@device_option("device_id", "The device; a saved plan names its own.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation; a saved plan never asks.")
@click.option("--prune", is_flag=True, help="Remove the modules that FILE does not name.")
@click.option("--merge", is_flag=True, help="Keep what FILE does not name: modules, twins, routes, credentials.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the device runs its modules.")
@click.option("--timeout", type=FiniteRange(min=0), default=600, show_default=True, help="Seconds to wait.")
@click.option("--rollback-on-failure", is_flag=True, help="Restore the previous modules if the rollout fails.")
@click.option("--force", is_flag=True, help="Continue even if 'check' finds errors.")
@state_option
@hub_option
@common_options
def apply(
    file: Path,
    device_id: str | None,
    yes: bool,
    prune: bool,
    merge: bool,
    no_wait: bool,
    timeout: float,
    rollback_on_failure: bool,
    force: bool,
    hub: str | None,
    console: Console,
) -> int:
    """Set the modules of a device and wait until they run.

    This replaces all modules. Removing modules that FILE does not name requires --prune; --merge
    keeps them. Shows the changes and asks for confirmation. Takes a snapshot of the previous state:
    see 'manifestgen history' and 'manifestgen rollback'.
    """
    from manifestgen.cli._manifest import load_manifest
    from manifestgen.device.apply import PATIENCE, carry_out, propose
    from manifestgen.device.saved_plan import confirm, confirm_hub, saved_in
    from manifestgen.project.beside import project_of
    from manifestgen.state import state_folder

    refuse_contradictions(merge=merge, prune=prune, rollback=rollback_on_failure, wait=not no_wait)
    saved = saved_in(file, device_id, merge=merge)
    source = Path(saved.file) if saved is not None else file
    project = project_of(source)
    if saved is not None:
        device_id, merge, yes = saved.device, saved.merge, True
    else:
        device_id = device_of(device_id, project, console, fix=_fix(project))
    manifest = load_manifest(source, console, force=force)
    service = open_hub(hub, project)
    if saved is not None:
        confirm_hub(saved, service.host, str(file))
    plan = propose(service, manifest, device_id, merge=merge)
    if saved is not None:
        confirm(saved, plan, str(file))
    show(plan, console)
    view = DeviceView(console)
    outcome = carry_out(
        service,
        plan,
        state=state_folder(),
        prune=prune,
        patience=None if no_wait else view.patient(PATIENCE.within(timeout)),
        rollback=rollback_on_failure,
        observer=observer(service, console, view, yes=yes),
    )
    show_outcome(plan, outcome, console)
    return 0


def refuse_contradictions(*, merge: bool, prune: bool, rollback: bool, wait: bool) -> None:
    """Raise InputError for options that cannot both be meant."""
    if rollback and not wait:
        fix = "drop one of the two: only waiting shows whether the rollout fails"
        raise InputError("--rollback-on-failure and --no-wait cannot be used together", fix=fix)
    if merge and prune:
        fix = "drop one of the two: --merge keeps what --prune removes"
        raise InputError("--merge and --prune cannot be used together", fix=fix)


def _fix(project: Project | None) -> str:
    """The fix for a missing target."""
    if project is not None and project.deployment is not None:
        return f"add --deployment {project.deployment}, or --device ID"
    return "add --device ID, --deployment NAME or --devices FILE"


class DeviceTarget:
    """One device, for the commands that show it or roll it back."""

    def __init__(self, device: str, hub: str | None, console: Console) -> None:
        self._device = device
        self._hub = hub_here(hub)
        self._console = console

    def status(self, *, watch: bool, timeout: float | None, wide: bool = False) -> int:
        """Show what it should run, what it runs and why a module fails; returns exit code 1 unless it is healthy."""
        from manifestgen.device import scoring
        from manifestgen.device.apply import PATIENCE, status
        from manifestgen.device.rollout import State
        from manifestgen.report import rollout as report

        view = DeviceView(self._console)
        patience = view.patient(PATIENCE.within(timeout)) if watch else None
        found = status(self._hub, self._device, patience=patience, progress=view.show, waiting=view.waiting)
        models = self._models([module.desired_image for module in found.modules])
        now = datetime.now(timezone.utc)
        self._console.result(report.text(self._device, found, models, wide=wide, now=now))
        words = show_last_words(self._hub, self._device, found, self._console, result=True)
        scorings = scoring.scoring(self._hub, self._device, scoring.running(found))
        for one in scorings:
            self._console.result(f"scoring: {report.scoring_line(one)}")
        scores = [report.scoring_data(one) for one in scorings]
        data = report.data(self._device, found, models)
        self._console.document({**data, "scoring": scores, "last_log_lines": list(words)})
        return 0 if found.state is State.HEALTHY else 1

    def _models(self, images: Collection[str]) -> Mapping[str, LockedModel]:
        """The models in the device's images, as far as they can be determined."""
        from contextlib import ExitStack

        from manifestgen.images.models import models_of
        from manifestgen.project.beside import project_here
        from manifestgen.project.lock import read_file

        with ExitStack() as stack:
            try:
                project = project_here()
                locks = read_file(project).modules.values() if project is not None else ()
                return models_of(
                    images,
                    locks,
                    lambda: self._hub.module_twin(self._device, "$edgeAgent"),
                    lambda: stack.enter_context(open_distribution(hurried=True)),
                )
            except ManifestgenError:
                return {}  # `status` is about the device, not about this problem

    def history(self) -> None:
        """List its snapshots."""
        from manifestgen.cli._history import show_history
        from manifestgen.device.snapshots import folder_of, snapshots
        from manifestgen.report.history import device_row
        from manifestgen.state import state_folder

        host, root = self._hub.host, state_folder()
        found, folder = snapshots(host, self._device, root), folder_of(host, self._device, root)
        show_history("device", self._device, host, folder, found, device_row, self._console)

    def rollback(self, number: int | None, *, yes: bool, wait: bool, timeout: float | None) -> None:
        """Roll it back to a snapshot."""
        from manifestgen.device.apply import PATIENCE, carry_out
        from manifestgen.device.rollback import propose_rollback
        from manifestgen.state import state_folder

        plan = propose_rollback(self._hub, self._device, state_folder(), number, self._console.progress)
        show(plan, self._console)
        view = DeviceView(self._console)
        outcome = carry_out(
            self._hub,
            plan,
            state=state_folder(),
            prune=True,
            patience=view.patient(PATIENCE.within(timeout)) if wait else None,
            observer=observer(self._hub, self._console, view, yes=yes),
        )
        show_outcome(plan, outcome, self._console)


def show(plan: Plan, console: Console) -> None:
    """Show the plan's warnings, and in text form the plan."""
    from manifestgen.report import changes

    for warning in plan.warnings:
        console.warn(warning)
    for kept in plan.kept:
        console.result(f"  = {kept} (only on the device, kept)")
    console.result(changes.text(plan))


def observer(hub: Hub | None, console: Console, view: DeviceView, *, yes: bool) -> Observer[Plan, Rollout]:
    """Asks for confirmation, shows the progress of the rollout and, with a hub, the logs of failing modules."""
    from manifestgen.target import Observer

    def permit(plan: Plan) -> None:
        device = f"device {plan.device!r}"
        question, unchanged = f"set the modules of {device}?", f"the modules of {device} were not changed"
        console.ask(question, yes=yes, unchanged=unchanged)

    def failed(device: str, rollout: Rollout) -> tuple[str, ...]:
        return show_last_words(hub, device, rollout, console) if hub is not None else ()

    return Observer(permit=permit, progress=view.show, waiting=view.waiting, failed=failed)


def show_last_words(
    hub: Hub, device: str, rollout: Rollout, console: Console, *, result: bool = False
) -> tuple[str, ...]:
    """Show and return the last log lines of the modules that fail: one request at most, and never an error."""
    from manifestgen.device.rollout import with_logs
    from manifestgen.operate.logs import last_words
    from manifestgen.report import logs as report

    names = with_logs(rollout)
    if not names:
        return ()
    try:
        lines = last_words(hub, device, names)
    except ManifestgenError as error:
        shown = [f"the log of {', '.join(names)} could not be read: {error.what}"]
    else:
        shown = [f"last log lines of {', '.join(names)}:" if lines else f"{', '.join(names)}: the log is empty"]
        shown += [f"  {line.module} | {report.text(line)}" for line in lines]
    for text in shown:
        (console.result if result else console.progress)(text)
    return tuple(text.strip() for text in shown[1:])


def show_outcome(plan: Plan, outcome: Outcome[Rollout], console: Console, **more: Any) -> None:
    """Show the outcome of the plan; `more` goes into the JSON document too."""
    from manifestgen.report import changes
    from manifestgen.report import rollout as report

    rollout = outcome.progress
    if rollout is not None:
        console.result(report.text(plan.device, rollout))
    elif outcome.applied:
        console.result(f"set the modules of device {plan.device!r}; did not wait until they run")
    console.document(
        {
            **more,
            "plan": changes.data(plan),
            "applied": outcome.applied,
            "rollout": report.data(plan.device, rollout) if rollout else None,
        }
    )
