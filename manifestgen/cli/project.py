"""`manifestgen project`: what a project says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option
from manifestgen.cli._options import common_options, usage_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifestgen.project import Project


@click.group(epilog=usage_of("manifestgen project show", "manifestgen project show -e prod"))
def command() -> None:
    """Show what a project says, in one of its environments."""


@command.command(
    "show",
    epilog=usage_of(
        "manifestgen project show",
        "manifestgen project show -e prod",
        "manifestgen project show samples/anomaly-detection --output json",
    ),
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@environment_option
@common_options
def show(project: Path, console: Console) -> None:
    """Show the settings that count, each with where it comes from: line, environment, variable or default.

    Without -e, those outside of the environments. Values that may be secrets are hidden. Nothing is
    asked of Azure: 'manifestgen doctor' checks whether the settings work.
    """
    from manifestgen.project import load, lock
    from manifestgen.project.settings import settings
    from manifestgen.project.written import output_of
    from manifestgen.report import project as report

    console.online = False
    loaded = load(project)
    found = settings(project)
    files = {"lock": loaded.path.parent / lock.path_of(loaded).name, "manifest": output_of(loaded)}
    for line in _head(loaded):
        console.result(line)
    for name, file in files.items():
        missing = "" if file.exists() else " (not written yet)"
        console.result(f"{_WORDS[name]:<11}  {file}{missing}")
    console.result("")
    for line in report.text(found, loaded.path.name):
        console.result(line)
    for words in _hub_warnings(loaded):
        console.warn(words)
    console.document(
        {
            "project": str(loaded.path),
            "environment": loaded.environment,
            "environments": list(loaded.environments),
            **{name: str(file) for name, file in files.items()},
            "settings": [report.data(one) for one in found],
        }
    )


_WORDS = {"lock": "lock file", "manifest": "manifest"}


def _head(project: Project) -> Iterator[str]:
    from manifestgen.project.environments import by_option

    yield f"{'project':<11}  {project.path}"
    others = [name for name in project.environments if name != project.environment]
    if project.environment is not None:
        chosen = "-e" if by_option() else "MANIFESTGEN_ENVIRONMENT"
        more = f"; others: {', '.join(others)}" if others else ""
        yield f"{'environment':<11}  {project.environment}, chosen by {chosen}{more}"
    elif others:
        yield f"{'environment':<11}  none, of {', '.join(others)}"


def _hub_warnings(project: Project) -> Iterator[str]:
    """The effect of the variable with the hub's connection string on other commands."""
    from manifestgen.errors import InputError
    from manifestgen.services import CONNECTION_STRING, open_hub

    if not os.environ.get(CONNECTION_STRING):
        return
    try:
        host = open_hub(None, project).host
    except InputError as error:
        yield error.what
        return
    if project.hub is None:
        yield f"the project names no hub: {CONNECTION_STRING} decides, which is for {host}"
