"""`manifestgen model`: registered models."""

from __future__ import annotations

from pathlib import Path

import click

from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option
from manifestgen.cli._options import common_options, usage_of


@click.group(epilog=usage_of("manifestgen model list samples/anomaly-detection"))
def command() -> None:
    """List registered models."""


@command.command(
    "list", epilog=usage_of("manifestgen model list", "manifestgen model list --name best_model --output json")
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option("--name", help="List only models with this name.")
@environment_option
@common_options
def list_(project: Path, name: str | None, console: Console) -> None:
    """List the models registered in the project's workspace."""
    from manifestgen.project.load import load
    from manifestgen.services import ProjectServices

    loaded = load(project)
    services = ProjectServices(loaded, progress=console.progress)
    listed = [services.of(one.module.name).models.list(name) for one in loaded.each() if one.model is not None]
    if not listed:
        listed = [services.models.list(name)]
    # Modules of one workspace list the same models.
    models = list({model.id: model for models in listed for model in models}.values())
    width = max((len(model.id) for model in models), default=0)
    for model in models:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(model.tags.items()))
        console.result("  ".join(filter(None, (f"{model.id:<{width}}", tags, model.description))).rstrip())
    if not models:
        console.progress("no registered models")
    console.document(
        {
            "models": [
                {
                    "name": model.name,
                    "version": model.version,
                    "tags": dict(model.tags),
                    "description": model.description,
                    "properties": dict(model.properties),
                    "created": model.created.isoformat() if model.created else None,
                }
                for model in models
            ]
        }
    )
