"""The device or the deployment that a command names, else the one that is its project's target."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._completing import devices
from manifestgen.cli._console import Console
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.project import Project


def project_target(project: Project | None, console: Console, *, fix: str = "add --device ID") -> tuple[str, str]:
    """`device` or `deployment`, and the name of the one that is a project's target, which is said on stderr.

    Args:
        fix: how to name a device.

    Raises:
        InputError: the project has no target, or there is no project.
    """
    deployment = _deployment_of(project, console)
    return ("device", device_of(None, project, console, fix=fix)) if deployment is None else ("deployment", deployment)


def device_of(given: str | None, project: Project | None, console: Console, *, fix: str = "add --device ID") -> str:
    """The device that a command names, else that of the project's target, which is said on stderr.

    Not for a command that deletes: what it deletes is always named.

    Args:
        fix: how to name one.

    Raises:
        InputError: neither names one.
    """
    if given is not None:
        return given
    target = project.target if project is not None else None
    if project is None or target is None:
        more = "run it in the folder of a project that has 'target: {device: ID}'"
        where = str(project.path) if project is not None else ""
        options = project.choices if project is not None else ()
        options = (*options, "name a deployment with --deployment")
        raise InputError("no device is named", where=where, fix=f"{fix}, or {more}", options=options)
    if target.device is None:
        what = f"the project's target is the automatic deployment {target.deployment!r}, not a device"
        options = (f'ask all of its devices with --target-condition "{target.condition}"',)
        raise InputError(what, where=str(project.path), fix=fix, options=options)
    say_target(project, console)
    return target.device


def deployment_of(given: str | None, project: Project | None, console: Console, *, fix: str) -> str:
    """The automatic deployment that a command names, else that of the project's target; see `device_of`."""
    name = given if given is not None else _deployment_of(project, console)
    if name is None:
        where = str(project.path) if project is not None else ""
        more = "run it in the folder of a project that has 'target: {deployment: NAME, …}'"
        raise InputError("no deployment is named", where=where, fix=f"{fix}, or {more}")
    return name


def _deployment_of(project: Project | None, console: Console) -> str | None:
    if project is None or project.deployment is None:
        return None
    say_target(project, console)
    return project.deployment


def say_target(project: Project, console: Console) -> None:
    """Say that the target of a project counts, if it has one."""
    target = project.target
    if target is not None:
        what = f"device {target.device}" if target.device is not None else f"deployment {target.deployment}"
        console.progress(f"{what} of {project.words}")


def device_option(name: str = "device", words: str = "The device.") -> Callable[[Callable[..., Any]], Any]:
    """Give a command `--device ID`, for `device_of`; it completes the hub's devices.

    Args:
        name: of the argument.
        words: of the help.
    """
    text = f"{words}  [default: the project's]"
    return click.option("--device", name, metavar="ID", shell_complete=devices, help=text)
