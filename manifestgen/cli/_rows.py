"""What `apply TEMPLATE --devices FILE` does: a manifest for each of many devices."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._watching import RowsView, duration

if TYPE_CHECKING:
    from manifestgen.rows.render import Renderer
    from manifestgen.rows.run import Progress, Proposal, Summary
    from manifestgen.rows.source import Source
    from manifestgen.target import Observer


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
    help="CSV or JSON lines: a device and its values a row.",
)
@click.option("--dry-run", is_flag=True, help="Render and check every row, send nothing.")
@click.option(
    "--rate",
    type=FiniteRange(min=0, min_open=True),
    default=40,
    show_default=True,
    help="Requests a second.",
)
@click.option(
    "--journal",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the run records what it did.  [default: FILE.journal]",
)
@click.option(
    "--since",
    metavar="JOURNAL",
    type=click.Path(path_type=Path),
    help="Leave out devices that an earlier run sent the same.",
)
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write what became of every row, as .json or .csv.",
)
@click.option(
    "--give-up-after",
    metavar="SECONDS",
    type=FiniteRange(min=0),
    default=1800,
    show_default=True,
    help="Stop if the hub takes nothing for so long.",
)
@click.option(
    "--ignore-column",
    "ignored",
    metavar="NAME",
    multiple=True,
    help="Allow a column that the template does not use; repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Continue although 'check' finds errors.")
# Always so for rows: all modules are replaced, and nothing is waited for.
@click.option("--prune", is_flag=True, hidden=True, expose_value=False)
@click.option("--no-wait", is_flag=True, hidden=True, expose_value=False)
@click.option("--timeout", type=FiniteRange(min=0), hidden=True, expose_value=False)
@hub_option
@common_options
def apply(
    file: Path,
    devices: Path,
    dry_run: bool,
    rate: float,
    journal: Path | None,
    since: Path | None,
    report: Path | None,
    give_up_after: float,
    ignored: tuple[str, ...],
    yes: bool,
    force: bool,
    hub: str | None,
    console: Console,
) -> int:
    """Render a manifest for each of many devices, check it and send it.

    All modules of each device are replaced. What was done is recorded in a journal: if a run is
    interrupted, run the same command again, and it resumes. Does not wait until devices run what
    they were sent.
    """
    from manifestgen.rows import run
    from manifestgen.rows.report_file import refuse_bad_path
    from manifestgen.rows.rows import open_rows
    from manifestgen.rows.source import names_in, source_of
    from manifestgen.services import open_hub, project_here

    settings = run.Settings(devices, rate, journal, since, report, give_up_after, ignored)
    if report is not None:
        refuse_bad_path(report, (file, devices, journal, since))
    source = source_of(file, project_here())
    console.progress(f"reading {devices}")
    with closing(open_rows(devices, known=names_in(source.template), ignored=ignored)) as rows:
        renderer = _renderer(source, console, force=force)
        if dry_run:
            summary = run.dry_run(rows, renderer, source, report)
            _show_summary(summary, console)
            console.progress(f"nothing was sent; it would be {summary.messages:,} messages of 4 KB")
            return 1 if summary.account.refused else 0
        service = open_hub(hub, source.project).bulk()
        with run.open_run(source, settings, rows, renderer, service.host) as begun:
            proposal = run.propose(begun, service.host)
            _show(proposal, console)
            outcome = run.carry_out(
                begun,
                service,
                proposal,
                observer=_observer(console, yes=yes),
                stopped=lambda summary: _show_summary(summary, console, ended=False),
            )
        assert outcome.progress is not None  # noqa: S101 - a run that ends has a summary
        _show_summary(outcome.progress, console)
        console.progress("to see whether a device runs it: manifestgen status --device ID")
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
    services = ProjectServices(known, report=console.warn)
    return Renderer(
        source.template,
        source.base,
        inline(known.registry_settings, services.credentials),
        ignore=tuple(known.check.ignore) if known.check is not None else (),
        force=force,
        report=findings_reporter(console),
    )


def _show(proposal: Proposal, console: Console) -> None:
    """What the run will do and cost."""
    count, left = proposal.count, proposal.left
    resumed = f", {proposal.done:,} of them done before" if proposal.done else ""
    console.progress(
        f"{count:,} {'row' if count == 1 else 'rows'}{resumed}: at most {left:,} devices are sent about "
        f"{proposal.messages:,} messages of 4 KB in {duration(proposal.seconds)} at {proposal.rate:g} a second"
    )
    if proposal.doubled:
        console.warn(f"{proposal.doubled:,} rows name a device that another row names too: all of them are refused")


def _observer(console: Console, *, yes: bool) -> Observer[Proposal, Progress]:
    """Asks whether to send, and shows how far it is."""
    from manifestgen.target import Observer

    def permit(proposal: Proposal) -> None:
        question = f"replace all modules of {proposal.left:,} devices in {proposal.hub}?"
        console.ask(question, yes=yes, unchanged="nothing was sent", fix="add --yes, or --dry-run to see first")

    return Observer(permit=permit, progress=RowsView(console).show)


def _show_summary(summary: Summary, console: Console, *, ended: bool = True) -> None:
    """What became of the rows; where an error follows, that is the one document."""
    from manifestgen.report import fleet_devices as report

    console.result(report.text(summary))
    if ended:
        console.document(report.data(summary))
