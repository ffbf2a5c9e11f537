"""`manifestgen restart`: restart a module of a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._asking import Devices, devices_options
from manifestgen.cli._console import Console
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import usage_of

if TYPE_CHECKING:
    from manifestgen.operate.restart import Restarted


@click.command(
    epilog=usage_of(
        "manifestgen restart scorer",
        "manifestgen restart --device edge-01 scorer",
        "manifestgen restart --devices trucks.csv edgeHub --yes",
    )
)
@click.argument("module", metavar="MODULE")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation, which only many devices need.")
@click.option("--timeout", type=FiniteRange(min=0), default=120, show_default=True, help="Seconds to wait.")
@devices_options
def command(module: str, yes: bool, timeout: float, devices: Callable[[], Devices], console: Console) -> int:
    """Restart MODULE, and wait until edgeAgent reports that it runs again.

    MODULE may be edgeHub, or edgeAgent, which does not answer its own restart. A module that does not
    run cannot be restarted: see its log.
    """
    from manifestgen.operate.restart import PATIENCE, restart

    asked = devices()
    name, patience = module.removeprefix("$"), PATIENCE.within(timeout)

    def words(done: Restarted) -> str:
        return f"runs again after {done.seconds:.1f} s, started {done.started}"

    def data(done: Restarted) -> dict[str, Any]:
        return {"module": done.module, "started": done.started, "seconds": round(done.seconds, 3)}

    if asked.many:
        count = len(asked.names)
        console.ask(f"restart {name!r} on {count:,} devices?", yes=yes, unchanged="nothing was restarted")
        return asked.ask(lambda device: restart(asked.hub, device, name, patience), words, data)
    device = asked.names[0]
    done = restart(asked.hub, device, name, patience, console.progress)
    console.result(f"device {device!r}: {name} {words(done)}")
    console.document({"device": device, **data(done)})
    return 0
