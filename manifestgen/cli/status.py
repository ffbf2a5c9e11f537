"""`manifestgen status`: what a device, or the devices of a deployment, should run and what they run."""

from __future__ import annotations

import click

from manifestgen.cli._console import usage_of
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._target import Target, target_options, with_target


@click.command(
    epilog=usage_of(
        "manifestgen status --device edge-01",
        "manifestgen status --device edge-01 --watch",
        "manifestgen status --deployment scorer",
    )
)
@target_options
@click.option("--watch", is_flag=True, help="Wait until the rollout has succeeded or failed.")
@click.option(
    "--timeout", type=FiniteRange(min=0), show_default="600, with --deployment 1800", help="Seconds to watch."
)
@with_target
def command(target: Target, watch: bool, timeout: float | None) -> int:
    """Show what a device, or the devices of an automatic deployment, should run and what they run.

    For a deployment: the hub's counts, and which devices fail and why. Exit code 1 unless all
    devices run what they should.
    """
    return target.status(watch=watch, timeout=timeout)
