"""`manifestgen test`: run init() and run() as the image would."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._asking import json_of, refuse_stdin_twice
from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option
from manifestgen.cli._modules import module_option
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.project import Project
    from manifestgen.trial.trial import Sample, Trial


@click.command(
    epilog=usage_of(
        "manifestgen test samples/anomaly-detection",
        "manifestgen test --input message.json --repeat 100 --output json",
        "echo '{\"data\": [[1, 2]]}' | manifestgen test my-model --input - --expect answer.json",
        "manifestgen test --module scorer --input message.json",
        "manifestgen test --here",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@module_option("Module whose model to test; by default all with an entry script")
@click.option(
    "--input",
    "message",
    metavar="FILE",
    help="Message to score, - for stdin; by default the project's sample.json, or MODULE.sample.json.",
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
    modules: tuple[str, ...],
    message: str | None,
    expect: Path | None,
    repeat: int,
    here: bool,
    timeout: float,
    memory: int | None,
    console: Console,
) -> None:
    """Test the model on this machine: call init() and run() as its image would.

    The entry script runs in a separate process, with the packages of the project's requirements in an
    environment that is kept between runs, the model where the image has it, and a sample message.
    A mistake that would make the module fail on a device is reported with file, line and cause.
    """
    from manifestgen.project import load
    from manifestgen.report import trial as report
    from manifestgen.services import ProjectServices
    from manifestgen.trial.process import Asked
    from manifestgen.trial.trial import try_out

    if memory is not None and not sys.platform.startswith("linux"):
        raise InputError("--memory needs Linux", fix="drop --memory")
    refuse_stdin_twice(message, expect)
    loaded = load(project).only(modules)
    chosen = [one for one in loaded.each() if not loaded.modular or modules or _has_script(one)]
    if len(chosen) > 1 and (message is not None or expect is not None):
        option = "--input" if message is not None else "--expect"
        names = ", ".join(one.module.name for one in chosen)
        raise InputError(f"{option} is for one model, and there are several: {names}", fix="choose one with --module")
    expected = json_of(expect, "expected answer") if expect is not None else None
    samples = [_message(message) if message is not None else _sample(one) for one in chosen]
    asked = Asked(None, repeat, timeout, memory or 0)
    documents = {}
    with ProjectServices(loaded, report=console.progress, progress=console.progress) as services:
        for one, sample in zip(chosen, samples, strict=True):
            own = services.of(one.module.name)
            trial = try_out(one, own, sample=sample, asked=asked, here=here, expected=expected, report=console.progress)
            if loaded.modular:
                console.result(f"{one.module.name}:")
            _show(trial, console)
            documents[one.module.name] = report.data(trial)
    console.document({"modules": documents} if loaded.modular else next(iter(documents.values())))


def _has_script(project: Project) -> bool:
    return project.builds and project.image is not None and project.image.entry_script is not None


def _sample(project: Project) -> Sample:
    from manifestgen.trial.trial import sample_of

    sample = sample_of(project)
    if sample is None:
        own = f"{project.module.name}.sample.json" if project.modular else "sample.json"
        fix = f"write one message into {own} beside the project file, or give it with --input FILE"
        what = f"there is no message to score{f' for module {project.module.name!r}' if project.modular else ''}"
        raise InputError(what, where=str(project.root), fix=fix)
    return sample


def _show(trial: Trial, console: Console) -> None:
    from manifestgen.report import trial as report

    if console.verbosity:
        for line in trial.verdict.printed.splitlines():
            console.progress(f"  | {line}")
    for note in (*trial.setting.notes, *trial.verdict.warnings):
        console.warn(note)
    for line in report.lines(trial):
        console.result(line)


def _message(name: str) -> Any:
    from manifestgen.files import read_stdin, read_text
    from manifestgen.trial.trial import Sample

    return Sample(name, read_stdin() if name == "-" else read_text(Path(name), "message").encode())
