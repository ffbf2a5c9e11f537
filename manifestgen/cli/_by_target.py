"""A command with a variant for each kind of target."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import click

from manifestgen.errors import InputError


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
                    # Never suggest a command that changes something to a user who only wants to look.
                    fix = f"add {usage}, or see what would change with 'manifestgen plan FILE --device ID'"
                raise InputError(f"{argument} needs {option}", fix=fix)


def _is(argument: str, option: str) -> bool:
    return argument == option or argument.startswith(f"{option}=")


def _has(command: click.Command, option: str) -> bool:
    return any(option in (*parameter.opts, *parameter.secondary_opts) for parameter in command.params)
