"""Determines the target of `status`, `history` and `rollback`: a device or an automatic deployment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, hub_option
from manifestgen.cli._target import device_option, project_target
from manifestgen.errors import InputError


class Target(Protocol):
    """A device or an automatic deployment, for the commands that show it or roll it back."""

    def status(self, *, watch: bool, timeout: float | None, wide: bool = False) -> int:
        """Show what should run and what runs; returns the exit code."""
        ...

    def history(self) -> None:
        """List its snapshots."""
        ...

    def rollback(self, number: int | None, *, yes: bool, wait: bool, timeout: float | None) -> None:
        """Roll back to a snapshot."""
        ...


def target_of(device: str | None, deployment: str | None, hub: str | None, console: Console) -> Target:
    """The target that the options name, else that of the project in the working directory.

    Raises:
        InputError: they name two, or none does.
    """
    given = [(kind, name) for kind, name in (("device", device), ("deployment", deployment)) if name is not None]
    if len(given) > 1:
        raise InputError("--device and --deployment cannot be used together", fix="drop one of the two")
    if not given:
        from manifestgen.project.beside import project_here

        given = [project_target(project_here(), console)]
    kind, name = given[0]
    if kind == "device":
        from manifestgen.cli._device import DeviceTarget

        return DeviceTarget(name, hub, console)
    from manifestgen.cli._deployment import DeploymentTarget

    return DeploymentTarget(name, hub, console)


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--device` and `--deployment` to a command, for `with_target`."""
    text = "The automatic deployment.  [default: the project's]"
    decorated = click.option("--deployment", metavar="NAME", help=text)(function)
    return device_option()(decorated)  # type: ignore[no-any-return]


def with_target(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--hub` and the common options to a command, and pass it the `target` of its `target_options`."""

    @functools.wraps(function)
    def command(
        *args: Any, device: str | None, deployment: str | None, hub: str | None, console: Console, **kwargs: Any
    ) -> Any:
        return function(*args, target=target_of(device, deployment, hub, console), **kwargs)

    return hub_option(common_options(command))
