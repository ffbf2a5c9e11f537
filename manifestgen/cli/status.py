"""`manifestgen status`: what a device should run and what it runs."""

from __future__ import annotations

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._watching import Watching
from manifestgen.errors import InputError
from manifestgen.services import open_hub, project_here


@click.command(
    epilog=usage_of(
        "manifestgen status --device edge-01",
        "manifestgen status --device edge-01 --watch",
        "manifestgen status --deployment scorer",
    )
)
@click.option("--device", "device_id", metavar="ID", help="The device.")
@click.option("--deployment", metavar="NAME", help="The automatic deployment: its counts, and which devices fail why.")
@click.option("--watch", is_flag=True, help="Wait until it runs what it should, or cannot.")
@click.option("--timeout", type=FiniteRange(min=0), default=600, show_default=True, help="Seconds to watch.")
@hub_option
@common_options
def command(
    device_id: str | None, deployment: str | None, watch: bool, timeout: float, hub: str | None, console: Console
) -> int:
    """Show what a device, or the devices of an automatic deployment, should run and what they run.

    Exit code 1 if not all of them run what they should.
    """
    from manifestgen.device.apply import Patience
    from manifestgen.device.apply import watch as watch_rollout
    from manifestgen.device.rollout import Rollout, State
    from manifestgen.report import rollout as report

    if deployment is not None and device_id is None:
        from manifestgen.cli._deployment import show_status

        return show_status(deployment, watch=watch, timeout=timeout, hub=hub, console=console)
    if device_id is None or deployment is not None:
        raise InputError("name either a device or a deployment", fix="add --device ID or --deployment NAME")
    source = open_hub(hub, project_here())
    source.device(device_id)
    watching = Watching(console)
    last: Rollout | None = None
    for last in watch_rollout(source, device_id, Patience(timeout=timeout if watch else 0)):
        if watch:
            watching.show(last)
    assert last is not None  # noqa: S101 - a watch reads at least once
    console.result(report.text(device_id, last))
    console.document(report.data(device_id, last))
    return 0 if last.state is State.HEALTHY else 1
