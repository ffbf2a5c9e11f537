"""`manifestgen logs`: what modules of a device print."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._asking import Devices, devices_options
from manifestgen.cli._console import Console
from manifestgen.cli._options import usage_of
from manifestgen.errors import InputError
from manifestgen.report.amount import counted

if TYPE_CHECKING:
    from manifestgen.operate.log_lines import Line
    from manifestgen.operate.logs import Log, Selection

_COLORS = ("cyan", "magenta", "green", "blue", "bright_cyan", "bright_magenta", "bright_green", "bright_blue")
_LEVELS = ("critical", "error", "warning", "notice", "info", "debug")


@click.command(
    epilog=usage_of(
        "manifestgen logs scorer",
        "manifestgen logs --device edge-01 scorer",
        "manifestgen logs --device edge-01 --since 1h --level warning",
        "manifestgen logs --device edge-01 scorer edgeHub --follow",
        "manifestgen logs --devices trucks.csv scorer --tail 20 --grep Traceback",
    )
)
@click.argument("modules", metavar="[MODULE]...", nargs=-1)
@click.option(
    "--tail",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Last lines of each module to read.",
)
@click.option("--since", metavar="TIME", help="From then on, such as 90s, 1h, 2d or 2026-11-29T21:00:00Z.")
@click.option("--until", metavar="TIME", help="Up to then.")
@click.option("--level", type=click.Choice(_LEVELS), help="Only lines of this level, and worse ones.")
@click.option("--grep", metavar="REGEX", help="Only lines that contain this regular expression.")
@click.option("--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("-o", "output_file", metavar="FILE", type=click.Path(path_type=Path), help="Write the lines to a file.")
@devices_options
def command(
    modules: tuple[str, ...],
    tail: int,
    since: str | None,
    until: str | None,
    level: str | None,
    grep: str | None,
    follow: bool,
    output_file: Path | None,
    devices: Callable[[], Devices],
    console: Console,
) -> int:
    """Print what modules of a device have printed last; without MODULE, all modules.

    The device is asked through the IoT hub, so it can be anywhere. Times are those of the device's
    clock, in UTC. --level and --grep choose among the lines that --tail reads. Secrets that
    manifestgen knows are hidden, and control characters are made visible.
    """
    from manifestgen.files import refuse_unwritable
    from manifestgen.operate.log_lines import LEVELS
    from manifestgen.operate.logs import Selection, get_logs, moment

    selection = Selection(
        tail,
        since and moment(since, "--since"),
        until and moment(until, "--until"),
        LEVELS[level] if level is not None else 7,
        _pattern(grep),
    )
    names = tuple(dict.fromkeys(name.removeprefix("$") for name in modules))
    if follow:
        _require_followable(console, until, output_file)
    elif output_file is not None:
        refuse_unwritable(output_file)
    asked = devices()
    if follow:
        if asked.many:
            raise InputError("--follow needs --device", fix="follow one device, or drop --follow")
        return _follow(asked, names, selection, console)
    writer = _Writer(console, output_file, several=len(names) != 1)

    def ask(device: str) -> Log:
        return get_logs(asked.hub, device, names, selection, note=console.progress)

    if asked.many:
        code = asked.ask(ask, lambda log: _counted(log, selection), _data, show=writer.log_of)
        writer.finish()
        return code
    log = ask(asked.names[0])
    for note in log.notes:
        console.warn(note)
    writer.lines(log.lines)
    if selection.filters or not log.lines:
        console.progress(_counted(log, selection))
    console.document({"device": asked.names[0], **_data(log)})
    writer.finish()
    return 0


class _Writer:
    """Prints lines, or keeps them for a file."""

    def __init__(self, console: Console, file: Path | None, *, several: bool) -> None:
        self._console, self._file = console, file
        self._several = several
        self._kept: list[str] = []
        self._colors: dict[str, str] = {}

    def log_of(self, device: str, log: Log) -> None:
        """The log of one of many devices."""
        self._say(f"== {device}")
        for note in log.notes:
            self._console.warn(f"{device}: {note}")
        self.lines(log.lines)

    def lines(self, lines: Sequence[Line]) -> None:
        """Some lines, each with its module's name if they are of several."""
        from manifestgen.cli._terminal import styled
        from manifestgen.report import logs as report

        several = self._several or len({line.module for line in lines}) > 1
        for line in lines:
            color = self._colors.setdefault(line.module, _COLORS[len(self._colors) % len(_COLORS)])
            name = line.module if self._file is not None else styled(line.module, fg=color)
            self._say(f"{name} | {report.text(line)}" if several else report.text(line))

    def _say(self, text: str) -> None:
        if self._file is None:
            self._console.result(text)
        else:
            self._kept.append(text)

    def finish(self) -> None:
        """Write the file, if there is one."""
        if self._file is None:
            return
        from manifestgen.files import OWNER_ONLY, write_atomic
        from manifestgen.report.printable import printable_lines
        from manifestgen.secret import redact

        text = "".join(f"{printable_lines(redact(line))}\n" for line in self._kept)
        write_atomic(self._file, text, OWNER_ONLY)
        self._console.result(f"wrote {counted(len(self._kept), 'line')} to {self._file}")


def _follow(asked: Devices, names: Sequence[str], selection: Selection, console: Console) -> int:
    from manifestgen.operate.follow import Follower

    writer = _Writer(console, None, several=len(names) != 1)
    for lines in Follower(asked.hub, asked.names[0], names, selection, note=console.progress).lines():
        writer.lines(lines)
    return 0


def _require_followable(console: Console, until: str | None, output_file: Path | None) -> None:
    if until is not None:
        raise InputError("--follow and --until cannot be used together", fix="drop one of the two")
    if output_file is not None:
        raise InputError("--follow and -o cannot be used together", fix="redirect the output with > FILE")
    if console.output != "text":
        raise InputError("--follow prints text, without an end", fix="drop --output json, or --follow")


def _pattern(grep: str | None) -> re.Pattern[str] | None:
    try:
        return None if grep is None else re.compile(grep)
    except (re.error, OverflowError, RecursionError) as error:
        fix = "correct the expression; a backslash before . ( [ * takes it literally"
        raise InputError(f"not a regular expression: {error}", where="--grep", fix=fix) from None


def _counted(log: Log, selection: Selection) -> str:
    lines = counted(len(log.lines), "line")
    return f"{lines} of the {log.read:,} that were read" if selection.filters else lines


def _data(log: Log) -> dict[str, Any]:
    from manifestgen.report import logs as report

    return {"lines": [report.data(line) for line in log.lines], "read": log.read, "notes": list(log.notes)}
