"""`manifestgen history`: what a device, or a deployment, had before each apply."""

from __future__ import annotations

import click

from manifestgen.cli._device_or_deployment import Target, target_options, with_target
from manifestgen.cli._options import usage_of
from manifestgen.cli._state import state_option


@click.command(
    epilog=usage_of(
        "manifestgen history", "manifestgen history --device edge-01", "manifestgen history --deployment scorer"
    )
)
@state_option
@target_options
@with_target
def command(target: Target) -> None:
    """List the snapshots that were taken before each apply, newest first, and say where they are.

    They are in the state folder of the machine that applied; with --state, or MANIFESTGEN_STATE, in a
    folder that several share. Pass the number of a snapshot to 'manifestgen rollback --to'.
    """
    target.history()
