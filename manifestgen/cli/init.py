"""`manifestgen init`: starts a project."""

from __future__ import annotations

from pathlib import Path

import click

from manifestgen.cli._builder import builder_choice
from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, usage_of


@click.command(
    epilog=usage_of(
        "manifestgen init my-model",
        "manifestgen init --model model.pkl --registry acme.azurecr.io",
        "manifestgen init my-model --template anomaly-detection && manifestgen test my-model",
    )
)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--template",
    metavar="NAME",
    show_default="deployment.template.json if it is there, else single-module",
    help="Built-in template to use.",
)
@builder_choice("Builder of the model's image; by default package if there is a config.json, else acr.")
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="FILE", help="The model; by default the one that is in DIR."
)
@click.option("--registry", metavar="HOST", help="The registry that gets the image, such as acme.azurecr.io.")
@common_options
def command(
    folder: Path,
    template: str | None,
    builder: str | None,
    model: Path | None,
    registry: str | None,
    console: Console,
) -> None:
    """Start a project in DIR: project file, score.py, its packages, sample.json and .gitignore.

    A model (model.pkl, *.joblib, *.onnx), a score.py, a list of packages and a deployment.template.json
    that are in DIR become part of it. Without a model, it starts with an example. No file is overwritten.
    """
    from manifestgen.files import in_a_shell
    from manifestgen.project.start import start
    from manifestgen.render import builtin_name

    started = start(folder, builtin_name(template) if template is not None else None, builder, model, registry)
    for path in started.kept:
        console.result(f"kept {path}")
    for path in started.files:
        console.result(f"wrote {path}")
    if folder / ".gitignore" not in started.files:
        console.warn(f"{folder / '.gitignore'} was kept: make sure it ignores deployment.json and .manifestgen/")
    if not started.sample:
        console.progress(f"write a message that score.py takes into {folder / 'sample.json'}")
    console.progress(f"next: manifestgen test {in_a_shell(folder)}")
    console.document({"files": [str(path) for path in started.files], "kept": [str(path) for path in started.kept]})
