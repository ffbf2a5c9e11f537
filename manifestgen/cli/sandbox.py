"""`manifestgen sandbox`: run a local stand-in for Azure around a command, or in the background."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console, common_options, usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.sandbox.server import Sandbox

_STATE = click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the sandbox's state in this folder between runs.",
)


@click.group(epilog=usage_of("manifestgen sandbox run -- manifestgen deploy samples/anomaly-detection"))
def command() -> None:
    """Run a local stand-in for Azure.

    The sandbox runs on this machine only. It supports the requests of Microsoft's SDKs to Entra ID, Azure Resource
    Manager, Azure Machine Learning, container registries, key vaults and IoT Hub, and simulates edge devices. It is not
    Azure.
    """


@command.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=usage_of(
        "manifestgen sandbox run -- manifestgen deploy samples/anomaly-detection",
        "manifestgen sandbox run --state .sandbox -- python my_script.py",
    ),
)
@_STATE
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
@common_options
def run(state: Path | None, cmd: tuple[str, ...], console: Console) -> int:
    """Run CMD in its own sandbox.

    The sandbox sets the environment variables that point CMD at it, and gives CMD its own HOME. The exit code is CMD's.
    """
    with _installed():
        import asyncio

        from manifestgen.sandbox.run import run_command
    return asyncio.run(run_command(cmd, state, console.progress))


@command.command(
    "start", epilog=usage_of('eval "$(manifestgen sandbox start)"', "manifestgen sandbox start --foreground")
)
@_STATE
@click.option(
    "--foreground", is_flag=True, help="Stay in the foreground until Ctrl-C or the end of the parent process."
)
@common_options
def start(state: Path | None, foreground: bool, console: Console) -> None:
    """Start a sandbox and print the environment variables for its clients.

    The variables include secrets, which are valid in this sandbox only. The sandbox stops when the session that started
    it ends, or with 'manifestgen sandbox stop'.
    """
    with _installed():
        from manifestgen.sandbox import run as sandbox
    if foreground:
        import asyncio

        def ready(running: Sandbox) -> None:
            _print_environment(console, running.environment)

        asyncio.run(sandbox.serve(state, os.getppid(), ready, console.progress))
    else:
        _print_environment(console, sandbox.start(state))


@command.command("stop", epilog=usage_of("manifestgen sandbox stop"))
@common_options
def stop(console: Console) -> None:
    """Stop the sandbox that MANIFESTGEN_SANDBOX names."""
    with _installed():
        from manifestgen.sandbox import run as sandbox
    admin = os.environ.get("MANIFESTGEN_SANDBOX")
    if not admin:
        raise InputError(
            "MANIFESTGEN_SANDBOX is not set",
            fix="run this in the shell that evaluated the output of 'manifestgen sandbox start'",
        )
    sandbox.stop(admin)
    console.progress("the sandbox has stopped")
    console.document({"stopped": sandbox.without_token(admin)})


def _print_environment(console: Console, environment: Mapping[str, str]) -> None:
    """The user asked for the sandbox's secrets, so they are not hidden."""
    if console.output == "json":
        console.disclose(json.dumps(environment, indent=2))
    else:
        console.disclose("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items()))
    console.progress("sandbox: a local stand-in for Azure, not Azure")


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("aiohttp", "trustme"):
            raise
        raise InputError("the sandbox is not installed", fix="run: pip install 'manifestgen[sandbox]'") from error
