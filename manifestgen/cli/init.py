"""`manifestgen init`: starts a project."""

from __future__ import annotations

from pathlib import Path

import click

from manifestgen.cli._builder import builder_choice
from manifestgen.cli._console import Console, common_options, usage_of


@click.command(
    epilog=usage_of(
        "manifestgen init my-model", "manifestgen init --template anomaly-detection", "manifestgen init --builder local"
    )
)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--template", metavar="NAME", default="single-module", show_default=True, help="Built-in template to use."
)
@builder_choice("Builder of the model's image; without it, the project starts with a placeholder image.")
@common_options
def command(folder: Path, template: str, builder: str | None, console: Console) -> None:
    """Start a project in DIR: project file, score.py, its packages and .gitignore. Never overwrites a file."""
    from manifestgen.project.start import start
    from manifestgen.render import builtin_name

    files = start(folder, builtin_name(template), builder)
    for path in files:
        console.result(f"wrote {path}")
    if folder / ".gitignore" not in files:
        console.warn(f"{folder / '.gitignore'} was kept: make sure it ignores deployment.json and .manifestgen/")
    console.progress(f"next: manifestgen render {folder} -o -")
    console.document({"files": [str(path) for path in files]})
