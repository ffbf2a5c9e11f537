"""`manifestgen apply`: set the modules of a device and wait until they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._cloud import open_hub, project_here
from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.errors import InputError, Interrupted

if TYPE_CHECKING:
    from manifestgen.cloud import Hub
    from manifestgen.plan import Plan
    from manifestgen.rollout import Rollout


@click.command(
    epilog=usage_of(
        "manifestgen apply deployment.json --device edge-01",
        "manifestgen apply deployment.json --device edge-01 --yes --timeout 300 --output json",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--device", "device_id", metavar="ID", required=True, help="The device.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--prune", is_flag=True, help="Remove the modules that the file does not name.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the device runs them.")
@click.option("--timeout", type=click.FloatRange(min=0), default=600, show_default=True, help="Seconds to wait.")
@click.option("--force", is_flag=True, help="Go on although 'check' finds errors.")
@hub_option
@common_options
def command(
    file: Path,
    device_id: str,
    yes: bool,
    prune: bool,
    no_wait: bool,
    timeout: float,
    force: bool,
    hub: str | None,
    console: Console,
) -> None:
    """Set the modules of a device and wait until they run.

    This replaces everything: modules on the device that FILE does not name would be removed,
    which needs --prune. Shows what would change and asks before it does.
    """
    from manifestgen.apply import read_state
    from manifestgen.cli._manifest import load_manifest
    from manifestgen.plan import plan

    manifest = load_manifest(file, console, force=force)
    service = open_hub(hub, project_here())
    planned = plan(manifest, read_state(service, device_id))
    carry_out(planned, service, console, yes=yes, prune=prune, timeout=None if no_wait else timeout)


def carry_out(planned: Plan, service: Hub, console: Console, *, yes: bool, prune: bool, timeout: float | None) -> None:
    """Show a plan, ask, apply it and wait; what `apply` and `deploy` have in common.

    Args:
        timeout: seconds to wait; None not to.

    Raises:
        InputError: it would remove modules and `prune` is not given, or nobody can be asked.
        FoundError: the device does not come to run it.
    """
    from manifestgen.report import changes

    for warning in planned.warnings:
        console.warn(warning)
    if console.output == "text":
        console.result(changes.text(planned))
    _permit(planned, console, yes=yes, prune=prune)
    applied, rollout = _apply_and_wait(planned, service, console, timeout)
    _tell(planned, console, applied, rollout)


def _permit(planned: Plan, console: Console, *, yes: bool, prune: bool) -> None:
    removed = ", ".join(repr(name) for name in planned.removed_modules)
    if removed and not prune:
        raise InputError(
            f"this would remove {removed}, which the manifest does not name",
            where=f"device {planned.device!r}",
            fix="add them to the manifest, or remove them with --prune",
        )
    if planned.changes and not yes:
        if not console.interactive:
            raise InputError("nobody can be asked whether to apply this", fix="add --yes")
        if not console.confirm("apply these changes?"):
            raise Interrupted("nothing was changed", fix="run the same command again to apply it")


def _apply_and_wait(
    planned: Plan, service: Hub, console: Console, timeout: float | None
) -> tuple[bool, Rollout | None]:
    from manifestgen.apply import Patience, apply, wait
    from manifestgen.report import rollout as report

    applied = False
    last: Rollout | None = None

    def show(rollout: Rollout) -> None:
        nonlocal last
        for line in report.changed_lines(last, rollout):
            console.progress(line)
        last = rollout

    try:
        applied = apply(planned, service)
        if applied:
            console.progress(f"applied to device {planned.device!r}")
        if timeout is None:
            return applied, None
        return applied, wait(service, planned.device, Patience(timeout=timeout), show)
    except KeyboardInterrupt:
        if applied:
            what = f"interrupted; the modules of device {planned.device!r} are set, whether they run was not waited for"
            fix = f"see 'manifestgen status --device {planned.device}'"
        else:
            what = f"interrupted; the modules of device {planned.device!r} may or may not be set"
            fix = "run the same command again: it goes on where this stopped"
        raise Interrupted(what, fix=fix) from None


def _tell(planned: Plan, console: Console, applied: bool, rollout: Rollout | None) -> None:
    from manifestgen.report import changes
    from manifestgen.report import rollout as report

    if rollout is not None:
        console.result(report.text(planned.device, rollout))
    elif applied:
        console.result(f"set the modules of device {planned.device!r}; whether they run was not waited for")
    console.document(
        {
            "plan": changes.data(planned),
            "applied": applied,
            "rollout": report.data(planned.device, rollout) if rollout else None,
        }
    )
