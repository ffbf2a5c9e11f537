"""Selects the target of a command; the only place that does."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

from manifestgen.cli._completing import devices
from manifestgen.cli._console import Console, common_options, hub_option
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.project import Project


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
    if device is not None and deployment is not None:
        raise InputError("--device and --deployment cannot be used together", fix="drop one of the two")
    if device is None and deployment is None:
        from manifestgen.project.beside import project_here

        device, deployment = own_target(project_here(), console)
    if device is not None:
        from manifestgen.cli._device import DeviceTarget

        return DeviceTarget(device, hub, console)
    from manifestgen.cli._deployment import DeploymentTarget

    assert deployment is not None  # noqa: S101 - one of the two is there
    return DeploymentTarget(deployment, hub, console)


def own_target(
    project: Project | None, console: Console, *, fix: str = "add --device ID"
) -> tuple[str | None, str | None]:
    """The device, or else the automatic deployment, that is a project's target, which is said on stderr; one is None.

    Args:
        fix: how to name a device.

    Raises:
        InputError: the project has no target, or there is no project.
    """
    deployment = _deployment_of(project, console)
    return (device_of(None, project, console, fix=fix), None) if deployment is None else (None, deployment)


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
    target = project.target if project is not None else None
    if project is None or target is None or target.deployment is None:
        return None
    say_target(project, console)
    return target.deployment


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


class ByTarget(click.Command):
    """A command with a variant for each kind of target, each with its own options and help.

    Args:
        default: for a device.
        others: by the option that names the target, such as `--deployment`.
    """

    def __init__(self, default: click.Command, others: dict[str, click.Command]) -> None:
        super().__init__(
            default.name, callback=default.callback, params=default.params, help=default.help, epilog=default.epilog
        )
        self.default = default
        self.others = others

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the variant that the arguments select."""
        given = list(itertools.takewhile(lambda argument: argument != "--", args))
        named = [option for option in self.others if any(_is(argument, option) for argument in given)]
        if {"-h", "--help"} & set(given):
            # '--deployment --help' asks for help; it does not name a deployment '--help'.
            return self._chosen(named).make_context(info_name, ["--help"], parent, **extra)
        if len(named) > 1:
            raise InputError(f"{named[0]} and {named[1]} cannot be used together", fix="drop one of the two")
        chosen = self._chosen(named)
        for argument in given:
            self._refuse_foreign(argument.partition("=")[0], chosen, named)
        return chosen.make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the selected variant."""
        return ctx.command.invoke(ctx)

    def _chosen(self, named: Sequence[str]) -> click.Command:
        return self.others[named[0]] if named else self.default

    def _refuse_foreign(self, argument: str, chosen: click.Command, named: Sequence[str]) -> None:
        """Reject an option of another variant, and say which."""
        if not argument.startswith("--") or _has(chosen, argument):
            return
        if named and _has(self.default, argument):
            option = named[0]
            raise InputError(f"{option} and {argument} cannot be used together", fix=f"drop {argument}, or {option}")
        for option, other in self.others.items():
            if _has(other, argument):
                usage = next(f"{option} {each.metavar}" for each in other.params if option in each.opts)
                fix = f"add {usage}, or drop {argument}"
                if argument == "--dry-run":
                    # Whoever wants to look is not advised to change something instead.
                    fix = f"add {usage}, or see what would change with 'manifestgen plan FILE --device ID'"
                raise InputError(f"{argument} needs {option}", fix=fix)


def _is(argument: str, option: str) -> bool:
    return argument == option or argument.startswith(f"{option}=")


def _has(command: click.Command, option: str) -> bool:
    return any(option in (*parameter.opts, *parameter.secondary_opts) for parameter in command.params)
