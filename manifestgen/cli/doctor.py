"""`manifestgen doctor`: checks everything a deployment needs."""

from __future__ import annotations

from pathlib import Path

import click

from manifestgen.cli._completing import devices
from manifestgen.cli._console import Console
from manifestgen.cli._environment import say_environment
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._terminal import styled

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": None}


@click.command(epilog=usage_of("manifestgen doctor samples/anomaly-detection"))
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option(
    "--device",
    "device_id",
    metavar="ID",
    shell_complete=devices,
    help="Device to check; overrides the project's target.",
)
@hub_option
@common_options
def command(project: Path, device_id: str | None, hub: str | None, console: Console) -> int:
    """Check everything a deployment needs, one row each, and show how to fix what is missing.

    Exit code 1 if something is missing.
    """
    from manifestgen.doctor import examine
    from manifestgen.project.load import load
    from manifestgen.services import ProjectServices, hub_needs_login, log_in

    loaded = load(project)
    say_environment(loaded, console)
    rows = []
    services = ProjectServices(loaded, hub, progress=console.progress)
    for row in examine(loaded, services, log_in, device_id, hub_login=hub_needs_login(hub)):
        rows.append(row)
        console.verdict = max(console.verdict, int(row.state == "failed"))
        console.result(f"{styled(f'{row.state:<7}', fg=_COLORS[row.state])}  {row.subject}: {row.words}")
        if row.fix:
            console.result(f"         fix: {row.fix}")
    console.document(
        {"rows": [{"subject": row.subject, "state": row.state, "words": row.words, "fix": row.fix} for row in rows]}
    )
    return console.verdict
