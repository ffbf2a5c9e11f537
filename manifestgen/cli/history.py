"""`manifestgen history`: what a device, or a deployment, had before each apply."""

from __future__ import annotations

import click

from manifestgen.cli._console import usage_of
from manifestgen.cli._target import Target, target_options, with_target


@click.command(epilog=usage_of("manifestgen history --device edge-01", "manifestgen history --deployment scorer"))
@target_options
@with_target
def command(target: Target) -> None:
    """List the snapshots that were taken on this machine before each apply, newest first.

    Pass the number of a snapshot to 'manifestgen rollback --to'.
    """
    target.history()
