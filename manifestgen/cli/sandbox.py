"""`manifestgen sandbox`: run a local stand-in for Azure around a command, or in the background."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console
from manifestgen.cli._extra import needs_extra
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.sandbox.server import Sandbox

# Seconds between two questions for new messages.
_POLL = 0.3

_STATE = click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the sandbox's state in this folder between runs.",
)
_MODULES = click.option(
    "--modules",
    type=click.Choice(["run", "simulate"]),
    default="run",
    show_default=True,
    help="Run the modules whose files the sandbox has, as processes, or only report that they run.",
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
@_MODULES
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
@common_options
def run(state: Path | None, modules: str, cmd: tuple[str, ...], console: Console) -> int:
    """Run CMD in its own sandbox.

    The sandbox sets the environment variables that point CMD at it, and gives CMD its own HOME. The exit code is CMD's.
    """
    with needs_extra("sandbox", "the sandbox", "aiohttp", "trustme"):
        import asyncio

        from manifestgen.sandbox.run import run_command
    return asyncio.run(run_command(cmd, state, console.progress, modules=modules))


@command.command(
    "start", epilog=usage_of('eval "$(manifestgen sandbox start)"', "manifestgen sandbox start --foreground")
)
@_STATE
@_MODULES
@click.option(
    "--foreground", is_flag=True, help="Stay in the foreground until Ctrl-C or the end of the parent process."
)
@common_options
def start(state: Path | None, modules: str, foreground: bool, console: Console) -> None:
    """Start a sandbox and print the environment variables for its clients.

    The variables include secrets, which are valid in this sandbox only. The sandbox stops when the session that started
    it ends, or with 'manifestgen sandbox stop'.
    """
    with needs_extra("sandbox", "the sandbox", "aiohttp", "trustme"):
        from manifestgen.sandbox import run as sandbox
    if foreground:
        import asyncio

        def ready(running: Sandbox) -> None:
            _print_environment(console, running.environment)

        asyncio.run(sandbox.serve(state, os.getppid(), ready, console.progress, modules=modules))
    else:
        _print_environment(console, sandbox.start(state, modules))


@command.command("stop", epilog=usage_of("manifestgen sandbox stop"))
@common_options
def stop(console: Console) -> None:
    """Stop the sandbox that MANIFESTGEN_SANDBOX names."""
    from manifestgen.sandbox import client

    admin = _admin()
    client.stop(admin)
    console.progress("the sandbox has stopped")
    console.document({"stopped": client.without_token(admin)})


@command.command(
    "messages",
    epilog=usage_of(
        "manifestgen sandbox messages",
        "manifestgen sandbox messages --device edge-02 --follow",
        "manifestgen sandbox messages --count 10 --summary",
    ),
)
@click.option(
    "--device",
    "device_id",
    metavar="ID",
    envvar="IOTHUB_DEVICE_ID",
    default="edge-01",
    show_default=True,
    help="The device that sent them.",
)
@click.option("--follow", is_flag=True, help="Print new messages as they arrive, until Ctrl-C.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Wait until the device has sent this many.")
@click.option("--timeout", type=FiniteRange(min=0), default=60, show_default=True, help="Seconds to wait for --count.")
@click.option("--summary", is_flag=True, help="Print a line for each module instead of each message.")
@common_options
def messages(device_id: str, follow: bool, count: int | None, timeout: float, summary: bool, console: Console) -> int:
    """Show what reached the sandbox's hub: the newest 1,000 messages of a device.

    With --count, exit code 1 if fewer have arrived when the time is up.
    """
    from manifestgen.report import messages as report
    from manifestgen.sandbox import client

    if follow and (summary or console.output == "json"):
        other = "--summary" if summary else "--output json"
        raise InputError(f"--follow and {other} cannot be used together", fix="drop one of the two")
    admin = _admin()
    found = client.messages(admin, device_id)
    deadline = time.monotonic() + timeout
    while count is not None and found["sent"] < count and time.monotonic() < deadline:
        time.sleep(_POLL)
        found = client.messages(admin, device_id)
    if summary:
        for line in report.summary(found["messages"]):
            console.result(line)
    while not summary:
        for message in found["messages"]:
            console.result(report.line(message))
        if not follow:
            break
        time.sleep(_POLL)
        last = found["messages"][-1]["number"] if found["messages"] else found.get("after", 0)
        found = {**client.messages(admin, device_id, last), "after": last}
    console.document({**found, "summary": list(report.summary(found["messages"]))} if summary else found)
    if count is not None and found["sent"] < count:
        console.progress(f"device {device_id!r} has sent {found['sent']} messages in {timeout:g} s")
        return 1
    return 0


def _admin() -> str:
    admin = os.environ.get("MANIFESTGEN_SANDBOX")
    if not admin:
        raise InputError(
            "MANIFESTGEN_SANDBOX is not set",
            fix="run this in the shell that evaluated the output of 'manifestgen sandbox start'",
        )
    return admin


def _print_environment(console: Console, environment: Mapping[str, str]) -> None:
    """The user asked for the sandbox's secrets, so they are not hidden."""
    if console.output == "json":
        console.disclose(json.dumps(environment, indent=2))
    else:
        console.disclose("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items()))
    console.progress("sandbox: a local stand-in for Azure, not Azure")
