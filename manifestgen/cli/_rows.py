"""The command `apply TEMPLATE --devices FILE`: a manifest for each of many devices."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, gathered, hub_option, usage_of
from manifestgen.cli._state import state_option
from manifestgen.cli._watching import RowsView, duration

if TYPE_CHECKING:
    from manifestgen.rows.render import Renderer
    from manifestgen.rows.run import Progress, Proposal, Summary
    from manifestgen.rows.source import Source
    from manifestgen.target import Observer


@dataclass(frozen=True)
class _Given:
    """The options of `apply --devices`."""

    file: Path
    devices: Path
    dry_run: bool
    rate: float
    journal: Path | None
    since: Path | None
    report: Path | None
    give_up_after: float
    ignored: tuple[str, ...]
    yes: bool
    force: bool
    hub: str | None


@click.command(
    "apply",
    options_metavar="--devices FILE [OPTIONS]",
    epilog=usage_of(
        "manifestgen apply deployment.json.j2 --devices devices.csv --dry-run",
        "manifestgen apply deployment.json.j2 --devices devices.csv --yes --report report.csv",
    ),
)
@click.argument("file", metavar="TEMPLATE|PROJECT", type=click.Path(path_type=Path))
@click.option(
    "--devices",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="CSV or JSON Lines file; each row is a device and its values.",
)
@click.option("--dry-run", is_flag=True, help="Render and check every row; send nothing.")
@click.option(
    "--rate",
    type=FiniteRange(min=0, min_open=True),
    default=40,
    show_default=True,
    help="Requests per second.",
)
@click.option(
    "--journal",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the run records what it did.  [default: FILE.journal, or in a chosen state folder]",
)
@click.option(
    "--since",
    metavar="JOURNAL",
    type=click.Path(path_type=Path),
    help="Skip devices that an earlier run sent the same manifest.",
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the outcome of every row, as .json or .csv; or a page about the run, as .html.",
)
@click.option(
    "--give-up-after",
    metavar="SECONDS",
    type=FiniteRange(min=0),
    default=1800,
    show_default=True,
    help="Stop if the hub accepts nothing for this long.",
)
@click.option(
    "--ignore-column",
    "ignored",
    metavar="NAME",
    multiple=True,
    help="Allow a column that the template does not use; repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--force", is_flag=True, help="Continue even if 'check' finds errors.")
# Always so for rows: all modules are replaced, and nothing is waited for.
@click.option("--prune", is_flag=True, hidden=True, expose_value=False)
@click.option("--no-wait", is_flag=True, hidden=True, expose_value=False)
@click.option("--timeout", type=FiniteRange(min=0), hidden=True, expose_value=False)
@state_option
@hub_option
@common_options
@gathered(_Given)
def apply(given: _Given, console: Console) -> int:
    """Render a manifest for each of many devices, check it and send it.

    Replaces all modules of each device. A journal records what was done: if a run is interrupted,
    run the same command again: it resumes. Does not wait until devices run their new modules.
    """
    from manifestgen.cli._rollout_report import reported
    from manifestgen.project.beside import project_here
    from manifestgen.report.rollout_record import Recorder
    from manifestgen.rows import run
    from manifestgen.rows.report_file import refuse_bad_path
    from manifestgen.rows.rows import open_rows
    from manifestgen.rows.source import is_project, names_in, source_of
    from manifestgen.services import open_hub

    file, devices, report = given.file, given.devices, given.report
    if report is not None:
        kinds = (".json", ".csv") if given.dry_run else (".json", ".csv", ".html")
        refuse_bad_path(report, (file, devices, given.journal, given.since), kinds=kinds)
    page = report if report is not None and report.suffix.lower() == ".html" else None
    settings = run.Settings(
        devices,
        given.rate,
        given.journal,
        given.since,
        None if page else report,
        given.give_up_after,
        given.ignored,
    )
    source = source_of(file, None if is_project(file) else project_here())
    console.progress(f"reading {devices}")
    with closing(open_rows(devices, known=names_in(source.template), ignored=given.ignored)) as rows:
        renderer = _renderer(source, console, force=given.force)
        if given.dry_run:
            from manifestgen.report.amount import counted

            summary = run.dry_run(rows, renderer, source, report)
            _show_summary(summary, console)
            console.progress(f"nothing was sent; a run would send {counted(summary.messages, 'message')} of 4 KB")
            return 1 if summary.account.refused else 0
        service = open_hub(given.hub, source.project).bulk()
        with run.open_run(source, settings, rows, renderer, service.host) as begun:
            proposal = run.propose(begun, service.host)
            _show(proposal, console)
            recorder = Recorder(done="settled")
            recorder.about(f"{file} for {devices}", f"on {service.host}", f"{proposal.count:,} rows")
            with reported(page, recorder, lambda error: recorder.story_of_rows(run.outcomes_of(begun), error), console):
                outcome = run.carry_out(
                    begun,
                    service,
                    proposal,
                    observer=recorder.of_rows(_observer(console, yes=given.yes)),
                    stopped=lambda summary: _show_summary(summary, console, ended=False),
                )
        assert outcome.progress is not None  # noqa: S101 - a run that ends has a summary
        _show_summary(outcome.progress, console)
        console.progress("check a device with: manifestgen status --device ID")
        return 0 if outcome.finished else 1


def _renderer(source: Source, console: Console, *, force: bool) -> Renderer:
    from manifestgen.cli._manifest import findings_reporter
    from manifestgen.credentials.logins import inline
    from manifestgen.credentials.section import RegistrySection
    from manifestgen.project.load import FILE_NAME, Project
    from manifestgen.rows.render import Renderer
    from manifestgen.services import ProjectServices

    # Without a project, the credentials of private registries come from the environment.
    known = source.project or Project(Path(FILE_NAME), Path.cwd(), registry=RegistrySection(credentials="env"))
    services = ProjectServices(known, report=console.warn, progress=console.progress)
    return Renderer(
        source.template,
        source.base,
        inline(known.registry_settings, services.credentials),
        ignore=tuple(known.ignored),
        force=force,
        styles=known.placeholder_styles,
        report=findings_reporter(console),
    )


def _show(proposal: Proposal, console: Console) -> None:
    """Show what the run will do and cost."""
    count, left = proposal.count, proposal.left
    resumed = f", {proposal.done:,} of them already done" if proposal.done else ""
    console.progress(
        f"{count:,} {'row' if count == 1 else 'rows'}{resumed}: about {proposal.messages:,} messages of 4 KB "
        f"to at most {left:,} devices in {duration(proposal.seconds)} at {proposal.rate:g} per second"
    )
    if proposal.duplicates:
        console.warn(f"{proposal.duplicates:,} rows name a device that another row also names: all of them are refused")


def _observer(console: Console, *, yes: bool) -> Observer[Proposal, Progress]:
    """Asks for confirmation, and shows the progress."""
    from manifestgen.target import Observer

    def permit(proposal: Proposal) -> None:
        question = f"replace all modules of {proposal.left:,} devices in {proposal.hub}?"
        console.ask(question, yes=yes, unchanged="nothing was sent", fix="add --yes, or use --dry-run first")

    return Observer(permit=permit, progress=RowsView(console).show)


def _show_summary(summary: Summary, console: Console, *, ended: bool = True) -> None:
    """Show the outcome of the rows; if an error follows, that is the only document."""
    from manifestgen.report import fleet_devices as report

    console.result(report.text(summary))
    if ended:
        console.document(report.data(summary))
