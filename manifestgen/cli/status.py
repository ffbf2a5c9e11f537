"""`manifestgen status`: what a device, or the devices of a deployment, should run and what they run."""

from __future__ import annotations

from pathlib import Path

import click

from manifestgen.cli._asking import Devices, many_options, open_devices
from manifestgen.cli._console import Console
from manifestgen.cli._device_or_deployment import target_of, target_options
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.errors import InputError


@click.command(
    epilog=usage_of(
        "manifestgen status",
        "manifestgen status -e prod --watch",
        "manifestgen status --device edge-01",
        "manifestgen status --device edge-01 -o wide",
        "manifestgen status --deployment scorer",
        "manifestgen status --target-condition \"tags.site='lab'\"",
    )
)
@target_options
@many_options(rate=40, verb="read")
@click.option("--watch", is_flag=True, help="Wait until the rollout has succeeded or failed.")
@click.option(
    "--timeout", type=FiniteRange(min=0), show_default="600, with --deployment 1800", help="Seconds to watch."
)
@click.option(
    "-o", "form", type=click.Choice(("wide",)), help="Show also restarts, times, exit codes and digests of a device."
)
@hub_option
@common_options
def command(
    device: str | None,
    deployment: str | None,
    devices: Path | None,
    condition: str | None,
    rate: float,
    watch: bool,
    timeout: float | None,
    form: str | None,
    hub: str | None,
    console: Console,
) -> int:
    """Show what a device, or the devices of an automatic deployment, should run and what they run.

    Of a module that fails, shows the last lines of its log. For a deployment: the hub's counts, and
    which devices fail and why. For many devices: how many are in which state, and why. Exit code 1
    unless all devices run what they should.
    """
    if devices is None and condition is None:
        return target_of(device, deployment, hub, console).status(watch=watch, timeout=timeout, wide=form == "wide")
    if device is not None or deployment is not None or watch:
        option = "--watch" if watch else "--device" if device is not None else "--deployment"
        many = "--devices" if devices is not None else "--target-condition"
        raise InputError(f"{option} and {many} cannot be used together", fix=f"drop {option}, or {many}")
    return _many(open_devices(None, devices, condition, rate, hub, console), console)


def _many(asked: Devices, console: Console) -> int:
    from manifestgen.operate.fleet import each
    from manifestgen.operate.standing import counts, grouped, standing
    from manifestgen.report import standing as report

    groups = grouped(list(each(asked.names, lambda device: standing(asked.hub, device), asked.rate)))
    console.result(report.text(groups))
    console.document(report.data(groups))
    return 0 if set(counts(groups)) == {"healthy"} else 1
