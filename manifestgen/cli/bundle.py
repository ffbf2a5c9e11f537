"""`manifestgen bundle`: have a device upload a support bundle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._asking import Devices, devices_options
from manifestgen.cli._console import Console
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.operate.bundle import Bundle


@click.command(
    epilog=usage_of(
        "manifestgen bundle --device edge-01 --to SUPPORT_SAS",
        "manifestgen bundle --device edge-01 --to-file support.sas --since 2d",
    )
)
@click.option("--to", "variable", metavar="VARIABLE", help="Variable with the URL of a container and its SAS.")
@click.option("--to-file", "file", metavar="FILE", type=click.Path(path_type=Path), help="File with that URL.")
@click.option("--since", metavar="TIME", help="Logs from then on, such as 1h, 2d or 2026-11-29T21:00:00Z.")
@click.option("--until", metavar="TIME", help="Logs up to then.")
@click.option("--edge-runtime-only", "runtime_only", is_flag=True, help="Leave the logs of your modules out.")
@click.option("--timeout", type=FiniteRange(min=0), default=900, show_default=True, help="Seconds to wait.")
@devices_options
def command(
    variable: str | None,
    file: Path | None,
    since: str | None,
    until: str | None,
    runtime_only: bool,
    timeout: float,
    devices: Callable[[], Devices],
    console: Console,
) -> int:
    """Have a device make a support bundle and upload it to Azure Storage; waits until it is there.

    A bundle holds the logs of all modules and what 'iotedge check' finds, and may hold secrets. The
    URL of the container with its shared access signature comes from a variable or a file, so that it
    is in no process list.
    """
    from manifestgen.operate.bundle import PATIENCE, destination, upload
    from manifestgen.operate.logs import moment

    url, where = _url(variable, file)
    to = destination(url, where)
    moments = {"since": since and moment(since, "--since"), "until": until and moment(until, "--until")}
    asked = devices()
    patience = PATIENCE.within(timeout)

    def make(device: str, step: Callable[[str], None] = lambda text: None) -> Bundle:
        return upload(asked.hub, device, to, **moments, runtime_only=runtime_only, patience=patience, step=step)

    if asked.many:
        return asked.ask(make, lambda found: f"after {found.seconds:.0f} s in {found.folder}", _data)
    device = asked.names[0]
    found = make(device, lambda status: console.progress(f"bundle of device {device!r}: {status}"))
    console.result(
        f"device {device!r}: the bundle is in {found.folder} after {found.seconds:.0f} s; it may hold secrets"
    )
    console.document({"device": device, **_data(found)})
    return 0


def _data(found: Bundle) -> dict[str, Any]:
    return {"folder": found.folder, "task": found.task, "seconds": round(found.seconds, 3)}


def _url(variable: str | None, file: Path | None) -> tuple[str, str]:
    """The URL and where it was read from."""
    from manifestgen.files import read_text
    from manifestgen.secret import Secret

    if (variable is None) == (file is None):
        what = "where to upload to is not given" if variable is None else "where to upload to is given twice"
        raise InputError(what, fix="give --to VARIABLE or --to-file FILE")
    if file is not None:
        return read_text(file, "URL").strip(), str(file)
    assert variable is not None  # noqa: S101 - one of the two is there
    if "://" in variable:
        Secret(variable)
        raise InputError(
            "the value is a URL, and everybody on this machine can see the options of a process",
            where="--to",
            fix="put the URL into a variable and give its name, or into a file and give --to-file FILE",
        )
    if not os.environ.get(variable):
        raise InputError("the variable is not set", where=variable, fix="set it to the URL of a container with its SAS")
    return os.environ[variable].strip(), variable
