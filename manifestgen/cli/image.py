"""`manifestgen image`: register the model and build its image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from manifestgen.cli._console import Console, common_options, usage_of
from manifestgen.cli._number import FiniteRange
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifestgen.cloud import BuildState
    from manifestgen.images.build import Reporter
    from manifestgen.project.load import Project


@click.command(
    epilog=usage_of("manifestgen image samples/anomaly-detection", "manifestgen image --rebuild --timeout 3600")
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option("--builder", type=click.Choice(["package", "container-image"]), help="In place of the project file's.")
@click.option("--rebuild", is_flag=True, help="Build although an image of these inputs is there.")
@click.option("--timeout", type=FiniteRange(min=0), default=1800, show_default=True, help="Seconds to wait.")
@common_options
def command(
    project: Path,
    builder: Literal["package", "container-image"] | None,
    rebuild: bool,
    timeout: float,
    console: Console,
) -> None:
    """Register the model, build its image with Azure ML and wait for it.

    Prints the image's reference and writes manifestgen.lock.json. With unchanged inputs it reuses
    the image it built before.
    """
    from manifestgen.images.build import Patience, prepare
    from manifestgen.project import load
    from manifestgen.project.pending import exclusive
    from manifestgen.services import Clouds

    loaded = with_builder(load(project), builder)
    services = Clouds(loaded, report=console.progress)
    with exclusive(loaded.root):
        prepared = prepare(loaded, services, rebuild=rebuild, patience=Patience(timeout), report=reporter(console))
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


def with_builder(project: Project, builder: Literal["package", "container-image"] | None) -> Project:
    """The project with another builder.

    Raises:
        InputError: it does not build an image at all.
    """
    import msgspec

    if project.image is None or project.image.builder == "none":
        raise InputError(
            "the project builds no image",
            where=str(project.path),
            fix="give its 'image' section a builder, entry_script and conda_file; builder none has nothing to do",
        )
    image = msgspec.structs.replace(project.image, builder=builder)
    return msgspec.structs.replace(project, image=image) if builder else project


def reporter(console: Console) -> Reporter:
    """Tells what is going on with an image."""
    from manifestgen.images.build import Reporter

    return Reporter(step=console.progress, state=_Elapsed(console).show, log=_log(console))


def _log(console: Console) -> Callable[[str], None]:
    def show(text: str) -> None:
        for line in text.splitlines():
            console.progress(f"  | {line}")

    return show


class _Elapsed:
    """Says a build's state when it changes, and that it goes on every half minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: BuildState | None = None
        self._said = 0.0

    def show(self, state: BuildState, seconds: float) -> None:
        if state is not self._state or seconds - self._said >= 30:
            self._console.progress(f"  build {state.value}, {seconds:.0f} s")
            self._state, self._said = state, seconds
