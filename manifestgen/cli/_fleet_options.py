"""The options of a run over many devices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from manifestgen.cli._number import FiniteRange
from manifestgen.errors import InputError


@dataclass(frozen=True)
class RowOptions:
    """The options of a run over many devices.

    Attributes:
        devices: the file with the rows; None for any other kind of apply.
        rate: requests a second.
        journal: where the run keeps what it did; None for beside the rows.
        since: the journal of an earlier run, whose devices are not sent the same again.
        report: where what became of each row is written.
        give_up_after: seconds without an answer.
        ignored: columns that the template need not use.
    """

    devices: Path | None
    rate: float
    dry_run: bool
    journal: Path | None
    since: Path | None
    report: Path | None
    give_up_after: float
    ignored: tuple[str, ...]

    def refuse_alone(self) -> None:
        """Make sure that none was given for another kind of apply, where it would do nothing."""
        context = click.get_current_context()
        for parameter in context.command.params:
            source = context.get_parameter_source(parameter.name or "")
            if parameter.name in RowOptions.__dataclass_fields__ and source is click.core.ParameterSource.COMMANDLINE:
                name = parameter.opts[0]
                raise InputError(f"{name} belongs to --devices", fix=f"drop {name}, or give the rows with --devices")


def row_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a run over many devices, and pass it `rows`."""
    path = click.Path(path_type=Path)

    @functools.wraps(function)
    def command(
        *args: Any,
        devices: Path | None,
        rate: float,
        dry_run: bool,
        journal: Path | None,
        since: Path | None,
        report: Path | None,
        give_up_after: float,
        ignored: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        rows = RowOptions(devices, rate, dry_run, journal, since, report, give_up_after, ignored)
        return function(*args, rows=rows, **kwargs)

    options = (
        click.option("--devices", metavar="FILE", type=path, help="CSV or JSON lines: a device and its values a row."),
        click.option(
            "--rate",
            type=FiniteRange(min=0, min_open=True),
            default=40,
            show_default=True,
            help="With --devices: requests a second.",
        ),
        click.option("--dry-run", is_flag=True, help="With --devices: render and check every row, send nothing."),
        click.option(
            "--journal", metavar="FILE", type=path, help="With --devices: what was done.  [default: FILE.journal]"
        ),
        click.option(
            "--since", metavar="JOURNAL", type=path, help="Leave out devices that an earlier run sent the same."
        ),
        click.option("--report", metavar="FILE", type=path, help="With --devices: every row, as .json or .csv."),
        click.option(
            "--give-up-after",
            metavar="SECONDS",
            type=FiniteRange(min=0),
            default=1800,
            show_default=True,
            help="With --devices: stop if the hub takes nothing for so long.",
        ),
        click.option(
            "--ignore-column",
            "ignored",
            metavar="NAME",
            multiple=True,
            help="With --devices: a column that the template does not use; repeatable.",
        ),
    )
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)
