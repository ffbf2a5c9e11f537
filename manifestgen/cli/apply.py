"""`manifestgen apply`: set the modules of a device and wait until they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._cloud import open_hub, project_here
from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.errors import InputError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifestgen.apply import Outcome
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
    from manifestgen.apply import Patience, carry_out, read_state
    from manifestgen.cli._manifest import load_manifest
    from manifestgen.plan import plan

    manifest = load_manifest(file, console, force=force)
    service = open_hub(hub, project_here())
    planned = plan(manifest, read_state(service, device_id))
    show_plan(planned, console)
    outcome = carry_out(
        planned,
        service,
        permit=permission(console, yes=yes),
        prune=prune,
        patience=None if no_wait else Patience(timeout=timeout),
        report=Progress(console).show,
    )
    tell(planned, outcome, console)


def show_plan(planned: Plan, console: Console) -> None:
    """The plan's warnings, and in text form the plan."""
    from manifestgen.report import changes

    for warning in planned.warnings:
        console.warn(warning)
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


class Progress:
    """Says of every read of a device what is new in it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Rollout | None = None

    def show(self, rollout: Rollout) -> None:
        """One read of the device."""
        from manifestgen.report.rollout import changed_lines

        for line in changed_lines(self._last, rollout):
            self._console.progress(line)
        self._last = rollout


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
