"""`manifestgen score`: have the model on a device score."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._asking import Devices, devices_options, smoke_of
from manifestgen.cli._console import Console
from manifestgen.cli._options import usage_of

if TYPE_CHECKING:
    from manifestgen.operate.score import Score


@click.command(
    epilog=usage_of(
        "manifestgen score --device edge-01 --data sample.json",
        "echo '{\"data\": [[1, 2]]}' | manifestgen score --device edge-01 --module scorer --data -",
        "manifestgen score --devices trucks.csv --data sample.json --expect answer.json",
    )
)
@click.option("--module", metavar="MODULE", help="The module; may be left out if only one can score.")
@click.option(
    "--data",
    "file",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="Input as JSON; - is stdin.",
)
@click.option("--expect", metavar="FILE", type=click.Path(path_type=Path), help="JSON that the answer must equal.")
@click.option(
    "--timeout", type=click.IntRange(5, 300), default=60, show_default=True, help="Seconds that the model may take."
)
@devices_options
def command(
    module: str | None,
    file: Path,
    expect: Path | None,
    timeout: int,
    devices: Callable[[], Devices],
    console: Console,
) -> int:
    """Have the model on a device score an input, and print its answer.

    Calls the direct method 'score' of the runner, which every image has that manifestgen builds from
    a context. Numbers of the expected answer may differ by a millionth.
    """
    from manifestgen.operate.score import require_expected, score

    test = smoke_of(file, expect)
    asked = devices()

    def ask(device: str) -> Score:
        found = score(asked.hub, device, module, test.data, seconds=timeout)
        require_expected(found, test, device)
        return found

    if asked.many:
        return asked.ask(ask, lambda found: _short(found.result), _data)
    device = asked.names[0]
    found = ask(device)
    as_expected = ", as expected" if test.compares else ""
    console.progress(f"{found.module} on device {device!r} answered after {found.seconds:.2f} s{as_expected}")
    console.result(json.dumps(found.result, indent=2, ensure_ascii=False))
    console.document({"device": device, **_data(found)})
    return 0


def _data(found: Score) -> dict[str, Any]:
    return {"module": found.module, "seconds": round(found.seconds, 3), "result": found.result}


def _short(result: Any) -> str:
    text = json.dumps(result, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"
