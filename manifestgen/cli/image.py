"""`manifestgen image`: register the model and build its image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._builder import builder_option
from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option, say_environment
from manifestgen.cli._modules import module_option
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, usage_of
from manifestgen.cli._testing import test_option, tested
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from manifestgen.cloud import BuildState, Services
    from manifestgen.images.build import Prepared, Reporter
    from manifestgen.project import Project


@click.command(
    epilog=usage_of(
        "manifestgen image samples/anomaly-detection",
        "manifestgen image --rebuild --timeout 3600",
        "manifestgen image --module scorer --module camera",
        "manifestgen image --builder local --engine podman",
        "manifestgen image samples/anomaly-detection --context build/context",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@module_option("Module whose image to build; by default all that are built")
@builder_option
@click.option(
    "--context",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the build context into this folder, and build nothing.",
)
@test_option
@click.option("--rebuild", is_flag=True, help="Build even if these inputs have an image already.")
@click.option(
    "--locked", is_flag=True, help="Build nothing: exit code 1 unless the lock file has an image of these inputs."
)
@click.option(
    "--timeout", type=FiniteRange(min=0), default=1800, show_default=True, help="Seconds to wait for the build."
)
@environment_option
@common_options
def command(
    project: Path,
    modules: tuple[str, ...],
    builder: str | None,
    engine: str | None,
    context: Path | None,
    test: bool | None,
    rebuild: bool,
    locked: bool,
    timeout: float,
    console: Console,
) -> None:
    """Register the model, build its image and wait for it.

    Prints the image's reference and writes the lock file: manifestgen.lock.json, or NAME.lock.json for a
    project file NAME.yaml; in an environment manifestgen.ENVIRONMENT.lock.json. If the inputs have not
    changed, the existing image is reused. The images of several modules are built at the same time, unless
    Azure ML builds them; each line names its module.

    With --context, the Dockerfile and all that it copies are written into a folder, for an engine or a
    pipeline of your own. Nothing is registered, built or pushed then.
    """
    from manifestgen.images.build import PATIENCE
    from manifestgen.images.several import Build, prepare_each
    from manifestgen.project import load
    from manifestgen.project.pending import exclusive
    from manifestgen.services import ProjectServices

    if locked and rebuild:
        raise InputError("--locked and --rebuild cannot be used together", fix="drop one of the two")
    loaded = load(project).only(modules).built_by(builder, engine)
    say_environment(loaded, console)
    services = ProjectServices(loaded, report=console.progress, progress=console.progress)
    building = [one for one in loaded.each() if one.builds]
    if context is not None:
        if rebuild or locked:
            option = "--rebuild" if rebuild else "--locked"
            raise InputError(f"--context builds nothing, so {option} cannot be used", fix="drop one of the two")
        _write_contexts(building, services, context, console)
        return
    wanted = tested(test)

    def test_model(one: Project) -> None:
        _test(one, services.of(one.module.name), console)

    with exclusive(loaded.root):
        if wanted:
            for one in building:
                test_model(one)
        build = Build(
            rebuild=rebuild,
            locked=locked,
            before_build=lambda one: test_model(one) if wanted is None else None,
            patience=PATIENCE.within(timeout),
            report=reporter(console),
        )
        found = prepare_each(building, services, build)
    _show(found, console, modular=loaded.modular)


def _show(found: Mapping[str, Prepared], console: Console, *, modular: bool) -> None:
    for name, prepared in found.items():
        console.result(f"{name} {prepared.lock.image}" if modular else prepared.lock.image)
        for line in _described(prepared):
            console.progress(line)
    documents = {name: _data(prepared) for name, prepared in found.items()}
    console.document({"modules": documents} if modular else next(iter(documents.values())))


def _data(prepared: Prepared) -> dict[str, Any]:
    lock = prepared.lock
    return {
        "image": lock.image,
        "digest": lock.digest,
        "builder": lock.builder,
        "model": {"name": lock.model.name, "version": lock.model.version} if lock.model else None,
        "reused": prepared.reused,
        "platforms": list(lock.platforms),
        "sizes": lock.sizes,
        "pulls": {
            platform: {
                "size": pull.size,
                "after_previous": pull.after,
                "layers": pull.layers,
                "layers_reused": pull.reused,
            }
            for platform, pull in prepared.pulls.items()
        },
    }


def _test(project: Project, services: Services, console: Console) -> None:
    from manifestgen.trial.trial import try_before_build

    if project.image is not None and project.image.entry_script is not None:
        name = f"{project.module.name}: " if project.modular else ""
        console.progress(f"{name}tested: {try_before_build(project, services, console.progress)}")


def _write_contexts(projects: Sequence[Project], services: Services, folder: Path, console: Console) -> None:
    """Write the context of each module; of several, into a folder of its name."""
    documents = {}
    for one in projects:
        own = folder / one.module.name if one.modular else folder
        documents[one.module.name] = _write_context(one, services.of(one.module.name), own, console)
    modular = any(one.modular for one in projects)
    console.document({"modules": documents} if modular else next(iter(documents.values())))


def _write_context(project: Project, services: Services, folder: Path, console: Console) -> dict[str, Any]:
    from manifestgen.images.written_context import write_context

    written = write_context(project, services, folder, console.progress)
    console.result(str(folder))
    console.progress(f"next: docker buildx build {folder}, or run it without an image as docs/without-azure-ml.md says")
    return {
        "context": str(folder),
        "sha256": written.sha256,
        "platforms": list(written.platforms),
        "model": {"name": written.model.name, "version": written.model.version},
    }


def _described(prepared: Prepared) -> Iterator[str]:
    """Digest, platforms and sizes of an image, where they are known."""
    lock = prepared.lock
    if not lock.platforms:
        return
    yield f"  digest {lock.digest or 'unknown'}"
    for platform in lock.platforms:
        pull = prepared.pulls.get(platform)
        size = f", {_megabytes(lock.sizes[platform])} compressed" if platform in lock.sizes else ""
        previous = ""
        if pull is not None and pull.after is not None:
            previous = (
                f"; a device with the previous image pulls {_megabytes(pull.after)} "
                f"({pull.reused} of {pull.layers} layers reused)"
            )
        yield f"  {platform}{size}{previous}"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB" if size >= 100_000 else f"{size / 1000:.1f} kB"


def reporter(console: Console) -> Reporter:
    """Prints the progress of an image; of several, with the name of its module in each line."""
    from manifestgen.images.build import Reporter

    def named(module: str) -> Reporter:
        return Reporter(
            step=lambda text: console.progress(f"{module}: {text}"),
            state=_Elapsed(console, f"{module}: ").show,
            log=_log(console, f"{module} "),
        )

    return Reporter(step=console.progress, state=_Elapsed(console).show, log=_log(console), named=named)


def _log(console: Console, name: str = "") -> Callable[[str], None]:
    def show(text: str) -> None:
        for line in text.splitlines():
            console.progress(f"  {name}| {line}")

    return show


class _Elapsed:
    """Prints a build's state when it changes, and every half minute."""

    def __init__(self, console: Console, name: str = "") -> None:
        self._console = console
        self._name = name
        self._state: BuildState | None = None
        self._printed = 0.0

    def show(self, state: BuildState, seconds: float) -> None:
        if state is not self._state or seconds - self._printed >= 30:
            self._console.progress(f"  {self._name}build {state.value}, {seconds:.0f} s")
            self._state, self._printed = state, seconds
