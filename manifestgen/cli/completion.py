"""`manifestgen completion`: the completion script of a shell."""

from __future__ import annotations

import click

from manifestgen.cli._options import usage_of

_PROGRAM = "manifestgen"
_VARIABLE = "_MANIFESTGEN_COMPLETE"


@click.command(
    epilog=usage_of(
        'eval "$(manifestgen completion bash)"       in ~/.bashrc',
        'eval "$(manifestgen completion zsh)"        in ~/.zshrc, below compinit',
        "manifestgen completion fish | source        in ~/.config/fish/config.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL: commands, options, their choices, rules, modules, environments, devices.

    Modules and environments are those of the project that the command names, or of the working directory.
    Devices are those of the hub in IOTHUB_CONNECTION_STRING or of the project in the working directory; they
    are asked for once a minute at most.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choices are click's own
    everything = click.get_current_context().find_root().command
    click.echo(kind(everything, {}, _PROGRAM, _VARIABLE).source())
