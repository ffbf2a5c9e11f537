"""`manifestgen image`: register the model and build its image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._builder import builder_option
from manifestgen.cli._console import Console, common_options, usage_of
from manifestgen.cli._number import FiniteRange
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifestgen.cloud import BuildState
    from manifestgen.images.build import Reporter


@click.command(
    epilog=usage_of("manifestgen image samples/anomaly-detection", "manifestgen image --rebuild --timeout 3600")
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@builder_option
@click.option("--rebuild", is_flag=True, help="Build even if these inputs have an image already.")
@click.option(
    "--locked", is_flag=True, help="Build nothing: exit code 1 unless the lock file has an image of these inputs."
)
@click.option(
    "--timeout", type=FiniteRange(min=0), default=1800, show_default=True, help="Seconds to wait for the build."
)
@common_options
def command(
    project: Path,
    builder: str | None,
    rebuild: bool,
    locked: bool,
    timeout: float,
    console: Console,
) -> None:
    """Register the model, build its image and wait for it.

    Prints the image's reference and writes the lock file: manifestgen.lock.json, or NAME.lock.json for a
    project file NAME.yaml. If the inputs have not changed, the existing image is reused.
    """
    from manifestgen.images.build import Patience, prepare
    from manifestgen.project import load
    from manifestgen.project.pending import exclusive
    from manifestgen.services import ProjectServices

    if locked and rebuild:
        raise InputError("--locked and --rebuild cannot be used together", fix="drop one of the two")
    loaded = load(project).built_by(builder)
    services = ProjectServices(loaded, report=console.progress, progress=console.progress)
    with exclusive(loaded.root):
        prepared = prepare(
            loaded,
            services,
            rebuild=rebuild,
            locked=locked,
            patience=Patience(timeout),
            report=reporter(console),
        )
    lock = prepared.lock
    console.result(lock.image)
    console.document(
        {
            "image": lock.image,
            "digest": lock.digest,
            "builder": lock.builder,
            "model": {"name": lock.model.name, "version": lock.model.version} if lock.model else None,
            "reused": prepared.reused,
        }
    )


def reporter(console: Console) -> Reporter:
    """Prints the progress of an image."""
    from manifestgen.images.build import Reporter

    return Reporter(step=console.progress, state=_Elapsed(console).show, log=_log(console))


def _log(console: Console) -> Callable[[str], None]:
    def show(text: str) -> None:
        for line in text.splitlines():
            console.progress(f"  | {line}")

    return show


class _Elapsed:
    """Prints a build's state when it changes, and every half minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: BuildState | None = None
        self._printed = 0.0

    def show(self, state: BuildState, seconds: float) -> None:
        if state is not self._state or seconds - self._printed >= 30:
            self._console.progress(f"  build {state.value}, {seconds:.0f} s")
            self._state, self._printed = state, seconds
