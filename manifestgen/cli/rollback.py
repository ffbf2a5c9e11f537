"""`manifestgen rollback`: set what a device had before."""

from __future__ import annotations

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._watching import Watching
from manifestgen.errors import InputError
from manifestgen.services import open_hub, project_here


@click.command(
    epilog=usage_of(
        "manifestgen rollback --device edge-01",
        "manifestgen rollback --device edge-01 --to 3 --yes",
        "manifestgen rollback --deployment scorer",
    )
)
@click.option("--device", "device_id", metavar="ID", help="The device.")
@click.option("--deployment", metavar="NAME", help="The automatic deployment.")
@click.option(
    "--to", "number", type=click.IntRange(min=1), help="See 'history'.  [default: the latest that differs from now]"
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the device runs it.")
@click.option("--timeout", type=FiniteRange(min=0), default=600, show_default=True, help="Seconds to wait.")
@hub_option
@common_options
def command(
    device_id: str | None,
    deployment: str | None,
    number: int | None,
    yes: bool,
    no_wait: bool,
    timeout: float,
    hub: str | None,
    console: Console,
) -> None:
    """Set what a device, or an automatic deployment, had before an apply, and wait until it runs it.

    Shows what would change and asks, as apply does. Modules that were added since are removed.
    Brings back what the hub held, but for passwords of tokens that were renewed since: images
    that are gone from their registry stay gone.
    """
    from manifestgen.cli.apply import keep_snapshot, permission, show_plan, tell
    from manifestgen.credentials.rotation import renewed
    from manifestgen.device.apply import Patience, carry_out, read_state
    from manifestgen.device.plan import plan
    from manifestgen.device.snapshots import find
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.state import state_folder

    if deployment is not None and device_id is None:
        from manifestgen.cli._deployment import roll_back

        roll_back(deployment, number, yes=yes, no_wait=no_wait, timeout=timeout, hub=hub, console=console)
        return
    if device_id is None or deployment is not None:
        raise InputError("name either a device or a deployment", fix="add --device ID or --deployment NAME")
    service = open_hub(hub, project_here())
    state = read_state(service, device_id)
    snapshot = find(service.host, device_id, state_folder(), number, state.content)
    content, notes = renewed(snapshot.content, state_folder())
    for note in notes:
        console.progress(note)
    planned = plan(Manifest.of(content), state)
    show_plan(planned, console)
    outcome = carry_out(
        planned,
        service,
        permit=permission(console, yes=yes),
        snapshot=keep_snapshot,
        prune=True,
        patience=None if no_wait else Patience(timeout=timeout),
        report=Watching(console).show,
    )
    tell(planned, outcome, console)
