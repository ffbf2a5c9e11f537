"""`manifestgen apply`: set the modules of a device, or of a fleet, and wait until they run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.cli._deployment import apply_deployment
from manifestgen.cli._deployment_options import Arguments, deployment_options
from manifestgen.cli._fleet import apply_rows
from manifestgen.cli._fleet_options import RowOptions, row_options
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._watching import Watching
from manifestgen.errors import InputError, Interrupted
from manifestgen.services import open_hub, project_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifestgen.cloud import Hub
    from manifestgen.device.apply import Outcome
    from manifestgen.device.plan import Plan
    from manifestgen.device.saved_plan import SavedPlan
    from manifestgen.manifest.manifest import Manifest


@click.command(
    epilog=usage_of(
        "manifestgen apply deployment.json --device edge-01",
        "manifestgen apply deployment.json --device edge-01 --merge --yes --rollback-on-failure",
        "manifestgen apply edge-01.plan",
        "manifestgen apply deployment.json --deployment scorer --target-condition \"tags.site = 'lab'\" --priority 10",
        "manifestgen apply deployment.json --deployment scorer --stages 5%,25%,100% --abort-if-failing 2% --yes",
        "manifestgen apply deployment.json.j2 --devices devices.csv --dry-run",
    )
)
@click.argument("file", metavar="FILE|PLAN|TEMPLATE|PROJECT", type=click.Path(path_type=Path))
@click.option("--device", "device_id", metavar="ID", help="The device; a saved plan knows its own.")
@click.option("--yes", is_flag=True, help="Do not ask. A saved plan asks nothing.")
@click.option("--prune", is_flag=True, help="Remove the modules that the file does not name.")
@click.option("--merge", is_flag=True, help="Keep what the file does not name: modules, twins, routes, credentials.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the device runs them.")
@click.option("--timeout", type=FiniteRange(min=0), default=600, show_default=True, help="Seconds to wait.")
@click.option("--rollback-on-failure", is_flag=True, help="Go back to what the device had if it does not come to run.")
@click.option("--force", is_flag=True, help="Go on although 'check' finds errors.")
@deployment_options
@row_options
@hub_option
@common_options
def command(
    file: Path,
    device_id: str | None,
    yes: bool,
    prune: bool,
    merge: bool,
    no_wait: bool,
    timeout: float,
    rollback_on_failure: bool,
    force: bool,
    deployment: Arguments | None,
    rows: RowOptions,
    hub: str | None,
    console: Console,
) -> int:
    """Set the modules of a device and wait until they run.

    This replaces everything: modules on the device that FILE does not name would be removed,
    which needs --prune; --merge keeps them. Shows what would change and asks before it does.
    What the device had is kept: see 'manifestgen history' and 'manifestgen rollback'.

    With --deployment it becomes an automatic deployment, which the hub itself brings to all devices
    that its target condition matches. One that is there is replaced without a gap: the new one is
    created above it, and the former one deleted once the devices run the new one.

    With --devices, the manifest of every row is rendered from a template, checked and sent, and
    replaces all modules of its device. What was done is kept in a journal, so that the same command
    goes on where it was interrupted. Whether devices run it is not waited for.
    """
    from manifestgen.cli._manifest import load_manifest
    from manifestgen.device.apply import Patience, carry_out
    from manifestgen.device.saved_plan import confirm, confirm_hub

    if deployment is not None:
        _refuse_for_fleets(device=device_id is not None, devices=rows.devices is not None, prune=prune, merge=merge)
        rows.refuse_alone()
        apply_deployment(
            file,
            deployment,
            yes=yes,
            no_wait=no_wait,
            timeout=timeout,
            restore=rollback_on_failure,
            force=force,
            hub=hub,
            console=console,
        )
        return 0
    if rows.devices is not None:
        _refuse_beside_rows(device=device_id is not None, merge=merge, rollback_on_failure=rollback_on_failure)
        return apply_rows(file, rows, console, hub=hub, yes=yes, force=force)
    rows.refuse_alone()
    if rollback_on_failure and no_wait:
        fix = "drop one of the two: whether it fails is only known by waiting"
        raise InputError("--rollback-on-failure and --no-wait exclude each other", fix=fix)
    saved = _saved(file, device_id, merge=merge)
    if saved is not None:
        device_id, merge, yes = saved.device, saved.merge, True
    elif device_id is None:
        raise InputError(
            "no device is named", where=str(file), fix="add --device ID, --deployment NAME or --devices FILE"
        )
    manifest = load_manifest(Path(saved.file) if saved else file, console, force=force)
    service = open_hub(hub, project_here())
    if saved is not None:
        confirm_hub(saved, service.host, str(file))
    planned = planned_for(manifest, service, device_id, merge=merge)
    if saved is not None:
        confirm(saved, planned, str(file))
    show_plan(planned, console)
    outcome = carry_out(
        planned,
        service,
        permit=permission(console, yes=yes),
        snapshot=keep_snapshot,
        prune=prune,
        patience=None if no_wait else Patience(timeout=timeout),
        rollback=rollback_on_failure,
        report=Watching(console).show,
    )
    tell(planned, outcome, console)
    return 0


def _refuse_for_fleets(**given: bool) -> None:
    for name in (name for name, is_given in given.items() if is_given):
        raise InputError(f"--deployment and --{name} exclude each other", fix=f"drop --{name}, or --deployment")


def _refuse_beside_rows(**given: bool) -> None:
    for name in (name.replace("_", "-") for name, is_given in given.items() if is_given):
        raise InputError(f"--devices and --{name} exclude each other", fix=f"drop --{name}: each row names its device")


def _saved(file: Path, device_id: str | None, *, merge: bool) -> SavedPlan | None:
    """The saved plan in a file; None if it is a manifest, or whatever `load_manifest` will say that it is."""
    from manifestgen.device.saved_plan import MARK, read

    if is_stream(file):
        return None
    try:
        text = file.read_bytes()
    except OSError:
        return None
    if MARK.encode() not in text:
        return None
    try:
        data = json.loads(text)
    except ValueError:
        return None
    saved = read(data, str(file))
    if saved is not None and device_id not in (None, saved.device):
        what = f"the plan is for device {saved.device!r}, not {device_id!r}"
        raise InputError(what, where=str(file), fix="drop --device, or make a plan for the other device")
    if saved is not None and merge and not saved.merge:
        fix = "drop --merge, or make the plan again with it"
        raise InputError("the plan was made without --merge", where=str(file), fix=fix)
    return saved


def is_stream(file: Path) -> bool:
    """Whether a file is a pipe, such as the shell's `<(…)`, or a device: it can be read only once."""
    return os.path.exists(file) and not os.path.isfile(file) and not os.path.isdir(file)  # noqa: PTH110, PTH112, PTH113


def planned_for(manifest: Manifest, service: Hub, device_id: str, *, merge: bool = False) -> Plan:
    """What setting a manifest would change on a device now."""
    from manifestgen.device.apply import read_state
    from manifestgen.device.plan import plan

    return plan(manifest, read_state(service, device_id), merge=merge)


def keep_snapshot(planned: Plan) -> None:
    """Keep what the device has before a plan changes it."""
    from manifestgen.device.snapshots import take
    from manifestgen.state import state_folder

    take(planned.hub, planned.device, planned.version, planned.before, state_folder())


def show_plan(planned: Plan, console: Console) -> None:
    """The plan's warnings, and in text form the plan."""
    from manifestgen.report import changes

    for warning in planned.warnings:
        console.warn(warning)
    for kept in planned.kept:
        console.result(f"  = {kept} (only on the device, kept)")
    console.result(changes.text(planned))


def permission(console: Console, *, yes: bool) -> Callable[[Plan], None]:
    """Asks whoever sits at the terminal, unless `yes`."""

    def permit(planned: Plan) -> None:
        if yes:
            return
        if not console.interactive:
            raise InputError("nobody can be asked whether to apply this", fix="add --yes")
        try:
            permitted = console.confirm(f"set the modules of device {planned.device!r}?")
        except click.Abort:  # Ctrl-C, or the end of the input
            permitted = False
            console.progress("")
        if not permitted:
            what = f"stopped; the modules of device {planned.device!r} were not changed"
            raise Interrupted(what, fix="run the same command again to apply it")

    return permit


def tell(planned: Plan, outcome: Outcome, console: Console, **more: str) -> None:
    """What came of the plan; `more` goes into the JSON document too."""
    from manifestgen.report import changes
    from manifestgen.report import rollout as report

    rollout = outcome.rollout
    if rollout is not None:
        console.result(report.text(planned.device, rollout))
    elif outcome.applied:
        console.result(f"set the modules of device {planned.device!r}; whether they run was not waited for")
    console.document(
        {
            **more,
            "plan": changes.data(planned),
            "applied": outcome.applied,
            "rollout": report.data(planned.device, rollout) if rollout else None,
        }
    )
