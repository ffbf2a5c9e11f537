"""`manifestgen schema`: the project file's JSON Schema."""

from __future__ import annotations

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, usage_of


@click.command(epilog=usage_of("manifestgen schema > manifestgen.schema.json"))
@common_options
def command(console: Console) -> None:
    """Print the JSON Schema of the project file, for editors."""
    from manifestgen.manifest.dump import dump
    from manifestgen.project.schema import json_schema

    # A JSON document whatever --output says.
    console.disclose(dump(json_schema()), newline=False)
