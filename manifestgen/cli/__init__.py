"""The command line: parses, calls one function, prints the result; every error becomes two lines and an exit code.

A command's module is imported when the command runs, and an Azure adapter inside the command's body, so that help and
offline commands stay fast. A command module `cli/NAME.py` has one public name, `command`; that of `run` is
`cli/run_project.py`, that of `import` `cli/import_template.py`.
"""

from __future__ import annotations

import errno
import importlib
import itertools
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from manifestgen import __version__
from manifestgen.cli._console import Console
from manifestgen.cli._help import laid_out
from manifestgen.cli._options import usage_of
from manifestgen.errors import InputError, Interrupted, ManifestgenError, os_reason
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMANDS = {
    "init": "Start a project.",
    "import": "Convert a VS Code or iotedgedev template to a project.",
    "project": "Show a project's settings, and where each comes from.",
    "test": "Run the model on this machine as its image would.",
    "doctor": "Check everything a deployment needs, one row each.",
    "image": "Register the model and build its image.",
    "model": "List registered models.",
    "render": "Render a deployment manifest from a template.",
    "check": "Check manifests the way IoT Hub and the device will.",
    "explain": "Explain a rule of 'check'.",
    "view": "Draw a manifest, a project or a device.",
    "diff": "Compare two manifests.",
    "preflight": "Check that a device can pull a manifest's images.",
    "plan": "Show what would change on a device.",
    "apply": "Set the modules of a device and wait until they run.",
    "status": "Show what a device should run and what it runs.",
    "logs": "Print the logs of a device's modules.",
    "restart": "Restart a module of a device.",
    "ping": "Check that a device answers.",
    "score": "Have the model on a device score.",
    "bundle": "Have a device upload a support bundle.",
    "export": "Write the current manifest of a device.",
    "history": "List the snapshots of a device.",
    "rollback": "Restore the previous state of a device.",
    "device": "Register, tag, inspect and delete edge devices.",
    "deployment": "List, show and delete automatic deployments.",
    "credentials": "Inspect registry credentials, create tokens, rotate their passwords.",
    "run": "Run the project's modules on this machine, without a hub.",
    "deploy": "Do everything: test, image, render, check, apply, wait.",
    "sandbox": "Run a local stand-in for Azure.",
    "schema": "Print the project file's JSON Schema.",
    "completion": "Print a shell's completion script.",
}


def module_of(command: str) -> str:
    """The module of a command; `run` is a function of this package, and `import` a word of Python."""
    return f"manifestgen.cli.{_MODULES.get(command, command)}"


_MODULES = {"run": "run_project", "import": "import_template"}


class _Commands(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(module_of(cmd_name)).command
        assert isinstance(command, click.Command)  # noqa: S101 - a module without one is a bug of ours
        command.name = cmd_name
        return laid_out(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from manifestgen.cli._suggestions import nearest

            near = nearest(args[0], COMMANDS)
            raise InputError(
                f"no such command: {args[0]!r}",
                fix=f"did you mean '{near}'?" if near else "see 'manifestgen --help' for the commands",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=usage_of(
        "manifestgen init my-model && manifestgen render my-model -o -",
        "manifestgen deploy samples/anomaly-detection",
        "manifestgen sandbox run -- manifestgen deploy samples/anomaly-detection",
    ),
)
@click.version_option(__version__, message="manifestgen %(version)s")
def _cli() -> None:
    """From a trained model to a running Azure IoT Edge module."""


laid_out(_cli)

# click raises this for a group without a subcommand; before 8.2, it shows the help itself.
_NO_COMMAND: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


def run(arguments: Sequence[str], *, ends_process: bool = False) -> int:
    """Run one command line, print its output, and return its exit code.

    Args:
        ends_process: whether nothing else runs in this process, so that Ctrl-C may end it.
    """
    _know_secrets(os.environ)
    console = Console()
    console.ends_process = ends_process
    try:
        _refuse_empty(arguments)
        outcome: Any = _cli.main(list(arguments), prog_name="manifestgen", standalone_mode=False, obj=console)
    except ManifestgenError as error:
        _choose_output(console, arguments)
        return console.fail(error)
    except _NO_COMMAND as error:
        # Its message is the whole help, which an error would put on one line.
        click.echo(error.format_message(), err=True)
        return InputError.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "manifestgen"
        _choose_output(console, arguments)
        return console.fail(_usage_error(error, where))
    except click.ClickException as error:
        return console.fail(InputError(_sentence(error.format_message()), fix="see 'manifestgen --help'"))
    except (KeyboardInterrupt, click.Abort):
        from manifestgen.cli._interruption import interruption

        return console.fail(interruption())
    except (BrokenPipeError, SystemExit):
        # The reader closed the pipe, which click turns into exit code 1: print nothing, and prevent an error when
        # Python flushes at exit. The command's own verdict still counts.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return console.verdict
    except Exception as error:
        denied = _path_error(error)
        if denied is not None:
            return console.fail(denied)
        console.bug(error)
        return 70
    if ends_process and console.output == "text" and not console.quiet and sys.stderr and sys.stderr.isatty():
        from manifestgen.cli._newer import note

        if words := note(os.environ):
            console.progress(words)
    return outcome if isinstance(outcome, int) else 0


def _usage_error(error: click.UsageError, where: str) -> InputError:
    from manifestgen.cli._suggestions import hint

    message, near = hint(error, error.format_message())
    see = "check its permissions" if message.endswith("is not readable.") else f"see '{where} --help'"
    return InputError(_sentence(message), where=where, fix=f"did you mean '{near}'? Otherwise {see}" if near else see)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise InputError for an empty argument: a variable of a shell that is not set, and not what stands for nothing.

    An empty path would be the working directory, and an empty host the project's.
    """
    if list(arguments[:2]) == ["sandbox", "run"]:
        return  # the rest is another program's
    before = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        empty = not argument or (name.startswith("--") and equals and not value)
        option = before if not argument and before.startswith("-") and before != "--" else name
        if empty and option not in ("-e", "--environment"):  # which says so itself
            what = f"the value of {option} is empty" if option else "an argument is empty"
            raise InputError(what, fix="give a value, or leave it out; a variable of the shell may not be set")
        before = argument


# Errors of the file system for a given path, raised even by a check whether it exists.
_PATH_ERRORS = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOSPC, errno.EROFS)


def _path_error(error: Exception) -> InputError | None:
    """The error for a path that cannot be used at all; None if it is a different one."""
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # of pathlib, before Python 3.13
        fix = "correct the link, or give another path"
        return InputError("the path is a link that leads back to itself", where=_looping(error), fix=fix)
    if not isinstance(error, OSError) or error.errno not in _PATH_ERRORS or not isinstance(error.filename, str):
        return None
    unusable = InputError(os_reason(error), where=error.filename, fix="correct the path or its permissions")
    unusable.__cause__ = error
    return unusable


def _looping(error: RuntimeError) -> str:
    return str(error).partition(" from ")[2].strip("'")


def _choose_output(console: Console, arguments: Sequence[str]) -> None:
    """Honor `--output json` even if the command line could not be parsed; skip what follows `--`."""
    ours = list(itertools.takewhile(lambda argument: argument != "--", arguments))
    if "--output=json" in ours or ("--output", "json") in itertools.pairwise(ours):
        console.output = "json"


_SECRET_VARIABLES = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_PASSWORD",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "SYSTEM_ACCESSTOKEN",
)


def _know_secrets(environ: Mapping[str, str]) -> None:
    """Register the secrets of the environment, before anything is printed: the SDKs read some of them themselves."""
    for name, value in environ.items():
        if name in _SECRET_VARIABLES or name.startswith("ACR_PASSWORD_"):
            Secret(value)
        elif name == "IOTHUB_CONNECTION_STRING":
            Secret(value.partition("SharedAccessKey=")[2].partition(";")[0])
        elif name.lower().endswith("_proxy") and "@" in value:
            _know_login_of(value)


def _know_login_of(proxy: str) -> None:
    """Register a proxy's secret: the password in SCHEME://USER:PASSWORD@HOST; without one, the user, which is a token.

    The password may itself have an @ or a / that should be percent-encoded: the last @ ends it.
    """
    from urllib.parse import unquote

    user, colon, password = proxy.rpartition("@")[0].rpartition("://")[2].partition(":")
    for text in {password, unquote(password)} if colon else {user, unquote(user)}:
        Secret(text)


def _sentence(message: str) -> str:
    """Click's message in our style: lower-case, no full stop."""
    message = message.rstrip(".")
    return message[:1].lower() + message[1:]


def main() -> None:
    """Run the command line of this process, and end the process with its exit code."""
    code = run(sys.argv[1:], ends_process=True)
    if code == Interrupted.exit_code or threading.active_count() > 1:
        from manifestgen.cli._interruption import end, is_held

        if code == Interrupted.exit_code or is_held():
            end(code)
    sys.exit(code)
