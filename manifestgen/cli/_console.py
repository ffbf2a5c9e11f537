"""How commands speak: results on stdout, progress, warnings and errors on stderr, and no secret on either.

Everything that they say goes through here, and is made safe here: text of others, such as a build log or a service's
answer, drives neither the terminal nor the pipeline that shows it.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

import click

from manifestgen.cli._failure import one_line, place_of, traceback_of
from manifestgen.cli._terminal import colored, is_dumb, safe, say, shortened, styled
from manifestgen.errors import DeclinedError, InputError, Interrupted, ManifestgenError
from manifestgen.report.printable import printable_json, printable_lines
from manifestgen.sandboxed import in_sandbox
from manifestgen.secret import redact, redact_json, without_quotes

if TYPE_CHECKING:
    from collections.abc import Mapping


# Commands with which GitHub and Azure Pipelines annotate a line of a file.
_ANNOTATION: Final = r"::(?:error|warning|notice) |##vso\[task\.logissue "
_OPTION: Final = r"(?<![\w-])--[a-z][a-z-]*"


class Console:
    """Where a command's words go.

    Attributes:
        output: `text`, `json` or a form of the command's own; JSON is one document on stdout, a stable interface.
        quiet: say nothing but results, warnings and errors.
        outcome: what was done before an error, as plain data for its JSON document; None for nothing.
        command: the running command, such as `device-list`; empty before one runs.
        options: options of the running command, such as `--yes`, without hidden ones.
        online: whether the command talks to a hub, a registry or another service.
        verbosity: 0; 1 shows causes; 2 shows the SDKs' own debug logs, without secrets.
        ends_process: whether Ctrl-C may end the process.
        failed: whether it has said an error.
        verdict: the exit code if the reader of the result closes it early.
    """

    def __init__(self) -> None:
        self.output = "text"
        self.quiet = False
        self.verbosity = 0
        self.online = False
        self.outcome: Mapping[str, Any] | None = None
        self.command = ""
        self.options: frozenset[str] = frozenset()
        self.ends_process = False
        self.failed = False
        self.verdict = 0
        self._live_rows = 0
        self._has_clock = False

    @property
    def interactive(self) -> bool:
        """Whether the user can be prompted."""
        return sys.stdin is not None and sys.stdin.isatty() and self.output == "text"

    def result(self, text: str) -> None:
        """A line of the result in text form; nothing with `--output json`."""
        if self.output == "text":
            self._erase()
            say(text)

    def document(self, data: Mapping[str, Any]) -> None:
        """The result in JSON form, with the id of its schema; nothing with `--output text`."""
        if self.output == "json":
            self._erase()
            told = redact_json({"schema": self.schema, **data})
            click.echo(printable_json(json.dumps(told, indent=2, ensure_ascii=False)))

    @property
    def schema(self) -> str:
        """The id of the schema of the command's JSON document; docs/schemas has them."""
        return f"manifestgen/{self.command or 'error'}/1"

    def disclose(self, text: str, *, newline: bool = True) -> None:
        """A result that the user asked for with its secrets in it, on stdout; JSON stays the same data."""
        click.echo(printable_json(text), nl=newline)

    def commands(self, text: str) -> None:
        """Lines on stdout that begin with an annotation, which is a command to a pipeline; what follows it is none."""
        for line in text.split("\n"):
            ours = re.match(_ANNOTATION, line)
            begin = ours.group() if ours else ""
            click.echo(begin + printable_lines(redact(line[len(begin) :])))

    def progress(self, text: str) -> None:
        """Print progress on stderr."""
        if not self.quiet:
            self._erase()
            say(text, err=True)

    @property
    def live(self) -> bool:
        """Whether lines can be replaced in place: on a terminal that can, where no log records come in between."""
        return sys.stderr is not None and sys.stderr.isatty() and self.verbosity == 0 and not is_dumb()

    def redraw(self, lines: list[str], clock: str = "") -> None:
        """Put these lines, on stderr, in the place of those drawn before; what is said next takes their place.

        An error is said below them, without the clock.
        """
        if self.quiet:
            return
        import shutil

        width = shutil.get_terminal_size().columns
        # A line that wraps would take two rows, and the next drawing would begin in the wrong one.
        shown = [shortened(safe(line).replace("\n", " "), width) for line in (*lines, *filter(None, [clock]))]
        # In one piece, so that nothing flickers.
        click.echo(self._back() + "\n".join(map(colored, shown)), err=True)
        self._live_rows, self._has_clock = len(shown), bool(clock)

    def _erase(self) -> None:
        if self._live_rows:
            click.echo(self._back(), err=True, nl=False)
            self._live_rows, self._has_clock = 0, False

    def _back(self) -> str:
        return f"\x1b[{self._live_rows}A\r\x1b[J" if self._live_rows else ""

    def step(self, name: str, outcome: str) -> None:
        """A step that is done and its result in a line, on stderr."""
        self.progress(f"{styled(f'{name:<9}', bold=True)} {outcome}")

    def warn(self, text: str) -> None:
        """Something that is not an error and should be known, on stderr."""
        self._erase()
        say(styled("warning: ", fg="yellow") + text, err=True)

    def ask(self, question: str, *, yes: bool, unchanged: str, fix: str = "add --yes") -> None:
        """Ask before something is changed.

        Args:
            question: what would be done.
            yes: do it without asking.
            unchanged: what stays as it is, in a sentence, if the answer is no.
            fix: what to do without a terminal.

        Raises:
            InputError: there is no terminal.
            DeclinedError: the answer is no.
            Interrupted: there is none: Ctrl-C, or the end of the input.
        """
        if yes:
            return
        if not self.interactive:
            why = "not a terminal" if self.output == "text" else f"output is {self.output}"
            raise InputError(f"{why}, so the change cannot be confirmed", fix=fix)
        try:
            permitted = self.confirm(question)
        except click.Abort:
            self.progress("")
            raise Interrupted(f"stopped; {unchanged}", fix="run the same command again to apply it") from None
        if not permitted:
            raise DeclinedError(f"stopped; {unchanged}", fix="run the same command again to apply it")

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; only to be called when `interactive`."""
        return click.confirm(colored(safe(question)), default=False, err=True)

    def waiting(self, text: str) -> None:
        """Print a wait, from another thread, unless live lines show it."""
        if not self._live_rows:
            self.progress(text)

    def fail(self, error: ManifestgenError) -> int:
        """Say what went wrong and what to do about it; returns the exit code."""
        if self._has_clock:
            self._live_rows = 1
            self._erase()
        self.failed = True
        self._live_rows = 0  # what was seen last stays above the error
        if self.quiet:
            for line in error.detail:
                say(line, err=True)
        label = "" if isinstance(error, Interrupted | DeclinedError) else "error: "
        # Secrets first: one of several lines would not be found again in one.
        message, fix = one_line(redact(error.message)), one_line(redact(self._fix(error)))
        say(styled(label, fg="red", bold=True) + message, err=True)
        say(f"  fix: {fix}", err=True)
        if self.verbosity and error.__cause__ is not None:
            cause = one_line(redact(str(error.__cause__)))
            say(f"  cause: {type(error.__cause__).__name__}: {cause}", err=True)
        if self.output == "json":
            failure: dict[str, Any] = {
                "code": error.code,
                "message": message,
                "fix": fix,
                "exit_code": error.exit_code,
                **place_of(error),
            }
            if error.detail:
                failure["detail"] = list(error.detail)
            self.document({"error": failure} if self.outcome is None else {"error": failure, "outcome": self.outcome})
        return error.exit_code

    def _fix(self, error: ManifestgenError) -> str:
        """The fix of an error, with the first of its options that the running command has."""
        has = (option for option in error.options if self.options.issuperset(re.findall(_OPTION, option)))
        return ", or ".join((error.fix, *itertools.islice(has, 1)))

    def bug(self, error: BaseException) -> None:
        """An error that no user can cause: its traceback, without secrets, and whom to tell."""
        say("\n".join(traceback_of(error)), err=True)
        say("this is a bug in manifestgen: please report it with the lines above", err=True)

    def connected(self) -> None:
        """A command that starts without the network has connected to a service."""
        self.online = True
        self.listen()

    def sandbox(self) -> None:
        """The last line of a command whose hub and registries are the sandbox: nothing of the result is in Azure."""
        if self.online and in_sandbox():
            self._erase()
            say("sandbox: the result above is from a local stand-in for Azure, not from Azure", err=True)

    def listen(self) -> None:
        """Show log records: warnings of ours always, our notes with -v, everybody's with -vv; never a secret."""
        import logging

        logging.captureWarnings(capture=True)
        warnings.simplefilter("default" if self.verbosity > 1 else "ignore")
        root = logging.getLogger()
        for handler in root.handlers[:]:
            root.removeHandler(handler)
        handler = _console_handler(self)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG if self.verbosity > 1 else logging.CRITICAL + 1)
        self._watch_waits()
        ours = logging.getLogger("manifestgen")
        ours.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbosity, 2)])

    def _watch_waits(self) -> None:
        """Report long waits for services, and have Ctrl-C end them."""
        from manifestgen.waits import announce

        announce(self.waiting)
        # The child of `sandbox run` gets the signal, too, and is waited for.
        if self.ends_process and not click.get_current_context().command_path.startswith("manifestgen sandbox"):
            from manifestgen.cli._interruption import end_soon_after_ctrl_c

            self.ends_process = False  # once is enough
            end_soon_after_ctrl_c(self)


def _console_handler(console: Console) -> Any:
    import logging

    class ConsoleHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ours = record.name.startswith("manifestgen")
            text = record.getMessage() if ours else without_quotes(record.getMessage())
            if record.exc_info and record.exc_info[1] is not None:
                text = "\n".join((text, *traceback_of(record.exc_info[1])))
            if ours and record.levelno >= logging.WARNING:
                console.warn(text)
            else:
                say(f"{record.name}: {text}", err=True)

    return ConsoleHandler()
