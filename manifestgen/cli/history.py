"""`manifestgen history`: what a device had before each apply."""

from __future__ import annotations

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.errors import InputError
from manifestgen.services import open_hub, project_here


@click.command(epilog=usage_of("manifestgen history --device edge-01", "manifestgen history --deployment scorer"))
@click.option("--device", "device_id", metavar="ID", help="The device.")
@click.option("--deployment", metavar="NAME", help="The automatic deployment.")
@hub_option
@common_options
def command(device_id: str | None, deployment: str | None, hub: str | None, console: Console) -> None:
    """List the snapshots that were taken on this machine before each apply, the latest first.

    The number is what 'manifestgen rollback --to' takes.
    """
    from manifestgen.device.snapshots import snapshots
    from manifestgen.state import state_folder

    if deployment is not None and device_id is None:
        from manifestgen.cli._deployment import show_history

        show_history(deployment, hub=hub, console=console)
        return
    if device_id is None or deployment is not None:
        raise InputError("name either a device or a deployment", fix="add --device ID or --deployment NAME")
    host = open_hub(hub, project_here()).host
    found = snapshots(host, device_id, state_folder())
    for number, snapshot in enumerate(found, start=1):
        taken = snapshot.taken.strftime("%Y-%m-%d %H:%M:%S UTC")
        console.result(
            f"{number:>2}  {taken}  version {snapshot.version}  {', '.join(snapshot.modules) or 'no modules'}"
        )
    if not found:
        console.progress(f"no snapshots of device {device_id!r} on {host}")
    console.document(
        {
            "hub": host,
            "device": device_id,
            "snapshots": [
                {
                    "number": number,
                    "taken": snapshot.taken.isoformat(),
                    "version": snapshot.version,
                    "modules": list(snapshot.modules),
                }
                for number, snapshot in enumerate(found, start=1)
            ],
        }
    )
