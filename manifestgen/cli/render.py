"""`manifestgen render`: a deployment manifest from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option
from manifestgen.cli._modules import (
    image_option,
    images_of,
    module_option,
    platform_option,
    values_options,
    with_platform,
)
from manifestgen.cli._options import common_options, usage_of
from manifestgen.cli._state import state_option


@click.command(
    epilog=usage_of(
        "manifestgen render",
        "manifestgen render -e prod",
        "manifestgen render samples/bring-your-own-image -o -",
        "manifestgen render --image acme.azurecr.io/scorer:1.4.2 --set ttl=3600 -o edge-01.json",
        "manifestgen render --platform linux/arm64 --image camera=acme.azurecr.io/camera:2.2 -o arm64.json",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="File to write; '-' is stdout.  [default: deployment.json, or deployment.NAME.json for NAME.yaml or in the "
    "environment NAME]",
)
@module_option("Module to render; by default all of the project")
@image_option
@platform_option
@values_options
@click.option(
    "--secrets",
    type=click.Choice(["inline", "placeholder"]),
    help="Write registry credentials, or ${ACR_PASSWORD_<NAME>}.  [default: inline; on stdout placeholder]",
)
@click.option(
    "--pin/--no-pin", default=None, help="Replace image tags by digests from the registries.  [default: manifest.pin]"
)
@click.option("--locked", is_flag=True, help="Exit code 1 if the lock file does not fit the image's inputs.")
@click.option("--force", is_flag=True, help="Write it even if 'check' finds errors.")
@state_option
@environment_option
@common_options
def command(
    project: Path,
    out: str | None,
    modules: tuple[str, ...],
    images: tuple[str, ...],
    platform: str | None,
    files: tuple[str, ...],
    sets: tuple[str, ...],
    secrets: Literal["inline", "placeholder"] | None,
    pin: bool | None,
    locked: bool,
    force: bool,
    console: Console,
) -> None:
    """Render the deployment manifest of PROJECT from its template, and check it.

    Nothing is written if 'check' finds errors. With --pin, image tags are replaced by digests, which
    are also written to the lock file.
    """
    from manifestgen.cli._manifest import findings_reporter
    from manifestgen.files import refuse_input_as_output
    from manifestgen.project import load, values
    from manifestgen.render_file import Observer, Options, render_file
    from manifestgen.services import ProjectServices

    loaded = load(project).only(modules)
    if out is not None:
        refuse_input_as_output(Path(out), map(Path, files), "-o")
    given = with_platform(values.given(files, sets), platform)
    with ProjectServices(
        loaded, report=console.warn, progress=console.progress, connecting=console.connected
    ) as services:
        rendered = render_file(
            loaded,
            services,
            Options(out, secrets, images_of(loaded, images), given, pin, force, locked),
            Observer(findings_reporter(console), console.warn),
        )
    if rendered.path is None:
        console.disclose(rendered.text, newline=False)
        return
    found = rendered.manifest.modules()
    console.result(f"rendered {rendered.path}: {', '.join(module.name for module in found)}")
    console.document(
        {
            "path": str(rendered.path),
            "modules": [{"name": module.name, "image": module.image_text} for module in found],
            "registries": list(rendered.registries),
            "secrets": rendered.secret,
        }
    )
