"""`manifestgen ping`: whether the edgeAgent of a device answers."""

from __future__ import annotations

from collections.abc import Callable

import click

from manifestgen.cli._asking import Devices, devices_options
from manifestgen.cli._console import Console
from manifestgen.cli._options import usage_of


@click.command(
    epilog=usage_of(
        "manifestgen ping --device edge-01", "manifestgen ping --target-condition \"tags.site='lab'\" --output json"
    )
)
@devices_options
def command(devices: Callable[[], Devices], console: Console) -> int:
    """Ask a device's edgeAgent whether it is there, and say how long its answer took.

    If it does not answer, says what to look at. Of many devices, lists who answered: exit code 1
    unless all did.
    """
    from manifestgen.operate.agent import ping

    asked = devices()

    def words(seconds: float) -> str:
        return f"after {seconds:.2f} s"

    if asked.many:
        return asked.ask(lambda device: ping(asked.hub, device), words, lambda seconds: {"seconds": round(seconds, 3)})
    device = asked.names[0]
    seconds = ping(asked.hub, device)
    console.result(f"device {device!r}: edgeAgent answered {words(seconds)}")
    console.document({"device": device, "seconds": round(seconds, 3)})
    return 0
