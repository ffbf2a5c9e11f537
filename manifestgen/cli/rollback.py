"""`manifestgen rollback`: go back to what a device, or a deployment, had before."""

from __future__ import annotations

import click

from manifestgen.cli._device_or_deployment import Target, target_options, with_target
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import usage_of
from manifestgen.cli._state import state_option


@click.command(
    epilog=usage_of(
        "manifestgen rollback",
        "manifestgen rollback --device edge-01",
        "manifestgen rollback --device edge-01 --to 3 --yes",
        "manifestgen rollback --deployment scorer",
    )
)
@state_option
@target_options
@click.option(
    "--to",
    "number",
    type=click.IntRange(min=1),
    help="Number from 'history'.  [default: the newest that differs from now]",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it runs.")
@click.option("--timeout", type=FiniteRange(min=0), show_default="600, with --deployment 1800", help="Seconds to wait.")
@with_target
def command(target: Target, number: int | None, yes: bool, no_wait: bool, timeout: float | None) -> None:
    """Restore the state of a device, or of an automatic deployment, before an apply, and wait until it runs.

    The state comes from a snapshot in the state folder; see 'manifestgen history'. Without any, a
    deployment is rolled back to its previous configuration, if the hub still has it. For a device,
    the hub keeps no history. Shows the changes and asks for confirmation, as apply does.

    Modules that were added since are removed. Token passwords that were rotated since are kept. Images
    that were deleted from their registry cannot be restored.
    """
    target.rollback(number, yes=yes, wait=not no_wait, timeout=timeout)
