"""The options that every command has, and what the help of one ends with.

    @click.command(epilog=usage_of("manifestgen model list"))
    @click.argument("project", default=".", type=click.Path(path_type=Path))
    @common_options
    def command(project: Path, console: Console) -> None: ...

Every command takes `--output text|json`, `-q` and `-v` through `common_options` and gets a `Console`.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import click

from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = TypeVar("_Given")
_Outcome = TypeVar("_Outcome")

# Commands that start without `logging`, for speed; once they connect to a service, that is made up for.
_OFFLINE = ("check", "diff", "explain", "render", "schema", "view")
# Commands that never connect to Azure, or to the sandbox in its place.
_LOCAL = (*_OFFLINE, "import", "init", "messages", "run", "start", "stop")


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--output text|json`, `-q` and `-v`, and pass it `console`."""
    return options_with_outputs("text", "json")(function)


def options_with_outputs(*outputs: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`common_options` for a command whose result has other forms, too; it reads which in `console.output`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(*args: Any, output: str, quiet: bool, verbose: int, **kwargs: Any) -> Any:
            context = click.get_current_context()
            console = context.find_object(Console) or Console()
            console.options = _options_of(context.command)
            console.command = "-".join(context.command_path.split()[1:])
            console.output, console.quiet, console.verbosity = output, quiet, verbose
            if verbose or context.info_name not in _OFFLINE:
                console.listen()
            else:
                warnings.simplefilter("ignore")
            console.online = context.info_name not in _LOCAL
            outcome = function(*args, console=console, **kwargs)
            console.sandbox()
            return outcome

        options = (
            click.option(
                "--output", type=click.Choice(outputs), default="text", help="Output format.", show_default=True
            ),
            click.option("-q", "--quiet", is_flag=True, help="Do not print progress."),
            click.option("-v", "--verbose", count=True, help="Print causes of errors; -vv also prints the SDKs' logs."),
        )
        return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)

    return decorate


def gathered(kind: Callable[..., _Given]) -> Callable[[Callable[[_Given, Console], _Outcome]], Callable[..., _Outcome]]:
    """Pass a command with many options one value that has them all, and `console`.

    Args:
        kind: a dataclass with a field for each argument and option, named as click names it.
    """

    def decorate(function: Callable[[_Given, Console], _Outcome]) -> Callable[..., _Outcome]:
        @functools.wraps(function)
        def command(*, console: Console, **given: Any) -> _Outcome:
            return function(kind(**given), console)

        return command

    return decorate


def _options_of(command: click.Command) -> frozenset[str]:
    shown = (option for option in command.params if isinstance(option, click.Option) and not option.hidden)
    return frozenset(name for option in shown for name in (*option.opts, *option.secondary_opts))


def hub_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--hub HOST` and, since the project may name the hub, `-e NAME`."""
    decorated = environment_option(function)
    return click.option("--hub", metavar="HOST", help="IoT hub, such as contoso.azure-devices.net.")(decorated)


def usage_of(*lines: str) -> str:
    """Example command lines as a help text's epilog, one a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
