"""The option `-e` of the commands that read a project."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._completing import environments
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.cli._console import Console
    from manifestgen.project import Project


def environment_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `-e NAME`, which overrides `MANIFESTGEN_ENVIRONMENT` while it runs."""

    @functools.wraps(function)
    def command(*args: Any, environment: str | None, **kwargs: Any) -> Any:
        # Importing the reader of project files is slow, and not needed without an environment.
        if environment is None:
            return function(*args, **kwargs)
        from manifestgen.project.environments import choosing

        if not environment:
            # Such as -e "$NAME" with an empty variable: without an environment, the target would be another.
            fix = "give its name, or drop the option for the project without its environments"
            raise InputError("the name of the environment is empty", where="--environment", fix=fix)
        with choosing(environment):
            return function(*args, **kwargs)

    return click.option(
        "-e",
        "--environment",
        metavar="NAME",
        shell_complete=environments,
        help="Environment of the project.  [default: MANIFESTGEN_ENVIRONMENT, or none]",
    )(command)


def say_environment(project: Project, console: Console) -> None:
    """Print the environment that a build or deployment is for, if the project has any."""
    if project.environment is not None:
        console.progress(f"project {project.words}")
    elif project.environments:
        console.progress(f"project {project.words}, none of its environments ({', '.join(project.environments)})")
