"""`manifestgen test`: run init() and run() as the image would."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from manifestgen.cli._asking import json_of, refuse_stdin_twice
from manifestgen.cli._console import Console, common_options, usage_of
from manifestgen.cli._environment import environment_option
from manifestgen.cli._number import FiniteRange
from manifestgen.errors import InputError


@click.command(
    epilog=usage_of(
        "manifestgen test samples/anomaly-detection",
        "manifestgen test --input message.json --repeat 100 --output json",
        "echo '{\"data\": [[1, 2]]}' | manifestgen test my-model --input - --expect answer.json",
        "manifestgen test --here",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "message",
    metavar="FILE",
    help="Message to score, - for stdin; by default the project's sample.json.",
)
@click.option(
    "--expect", type=click.Path(path_type=Path), metavar="FILE", help="JSON that the answer must be equal to."
)
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="How often to call run().")
@click.option("--here", is_flag=True, help="Use this Python and its packages, not an environment of the project's.")
@click.option(
    "--timeout",
    type=FiniteRange(min=0, min_open=True),
    default=120,
    show_default=True,
    help="Seconds that init(), and each call of run(), may take.",
)
@click.option("--memory", type=click.IntRange(1), metavar="MIB", help="Memory that the model may use; Linux only.")
@environment_option
@common_options
def command(
    project: Path,
    message: str | None,
    expect: Path | None,
    repeat: int,
    here: bool,
    timeout: float,
    memory: int | None,
    console: Console,
) -> None:
    """Test the model on this machine: call init() and run() as its image would.

    The entry script runs in a process of its own, with the packages of the project's requirements in an
    environment that is kept between runs, the model where the image has it, and a sample message. What
    would make the module fail on a device is reported with file, line and cause.
    """
    from manifestgen.project import load
    from manifestgen.report import trial as report
    from manifestgen.services import ProjectServices
    from manifestgen.trial.process import Asked
    from manifestgen.trial.trial import sample_of, try_out

    if memory is not None and not sys.platform.startswith("linux"):
        raise InputError("--memory needs Linux", fix="drop --memory")
    refuse_stdin_twice(message, expect)
    loaded = load(project)
    expected = json_of(expect, "expected answer") if expect is not None else None
    sample = _message(message) if message is not None else sample_of(loaded)
    if sample is None:
        fix = "write one message into sample.json beside the project file, or give it with --input FILE"
        raise InputError("there is no message to score", where=str(loaded.root), fix=fix)
    with ProjectServices(loaded, report=console.progress, progress=console.progress) as services:
        trial = try_out(
            loaded,
            services,
            sample=sample,
            asked=Asked(None, repeat, timeout, memory or 0),
            here=here,
            expected=expected,
            report=console.progress,
        )
    if console.verbosity:
        for line in trial.verdict.printed.splitlines():
            console.progress(f"  | {line}")
    for note in (*trial.setting.notes, *trial.verdict.warnings):
        console.warn(note)
    for line in report.lines(trial):
        console.result(line)
    console.document(report.data(trial))


def _message(name: str) -> Any:
    from manifestgen.files import read_stdin, read_text
    from manifestgen.trial.trial import Sample

    return Sample(name, read_stdin() if name == "-" else read_text(Path(name), "message").encode())
