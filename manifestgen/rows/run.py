"""A run over many devices: its proposal and cost, carrying it out, and the outcome of each row."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import quote

from manifestgen.cloud import BulkHub
from manifestgen.errors import CloudError, InputError, Interrupted, os_reason
from manifestgen.manifest.dump import compact
from manifestgen.rows import report_file
from manifestgen.rows.account import Account, RowOutcome, account_of, outcomes
from manifestgen.rows.journal import Journal, State, open_journal, sent_by
from manifestgen.rows.pace import Pace
from manifestgen.rows.render import Ready, Refused, Renderer
from manifestgen.rows.rows import Row, Rows
from manifestgen.rows.send import Earlier, Options, send_all, threads_for
from manifestgen.rows.source import Source
from manifestgen.rows.workers import Workers, processes_for
from manifestgen.state import ANOTHER, OPTION, chosen_folder
from manifestgen.target import Observer, Outcome

# Number of rows that are rendered to estimate the cost of the run.
_SAMPLE: Final = 200
# Number of bad rows that are listed; the report file has all of them.
_LISTED: Final = 20
_TICK: Final = 0.2


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        devices: the file with the rows.
        rate: requests a second.
        journal: the record of the run; None for the default, beside the rows or in a chosen state folder.
        since: the journal of an earlier run; a manifest that it sent is not sent again.
        report: file for the outcome of each row, `.json` or `.csv`.
        give_up_after: seconds without an answer of the hub.
        ignored: columns that the template does not use.
    """

    devices: Path
    rate: float = 40.0
    journal: Path | None = None
    since: Path | None = None
    report: Path | None = None
    give_up_after: float = 1800.0
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """The proposal of a run.

    Attributes:
        count: of rows.
        done: rows that the journal has as done.
        duplicates: rows whose device is in another row too.
        messages: estimated number of 4 KB messages, as the hub charges them; from the first rows.
        rate: requests a second.
    """

    hub: str
    count: int
    done: int
    duplicates: int
    messages: int
    rate: float

    @property
    def left(self) -> int:
        """Rows that are not done yet."""
        return self.count - self.done

    @property
    def seconds(self) -> float:
        """How many seconds it takes at its rate."""
        return self.left / self.rate


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        settled: rows that are done, refused or failed.
        count: of rows.
        waiting: seconds until the next request to the hub.
    """

    settled: int
    count: int
    waiting: float


@dataclass(frozen=True)
class Summary:
    """The outcome of the rows.

    Attributes:
        bad: the first rows that were refused or failed.
        messages: of 4 KB that the hub would charge; only of a dry run.
    """

    account: Account
    bad: tuple[RowOutcome, ...] = ()
    messages: int = 0

    @property
    def more(self) -> int:
        """How many more rows than `bad` were refused or failed."""
        return self.account.refused + self.account.failed - len(self.bad)

    @property
    def good(self) -> bool:
        """Whether no row was refused or failed, and none is left."""
        return self.account.applied + self.account.unchanged == self.account.rows


def identity_of(source: Source, settings: Settings, rows: Rows, host: str) -> dict[str, str]:
    """Identifies a run: the hub, and hashes of template, values and rows."""
    values = compact({"base": source.base, "ignored": sorted(settings.ignored)})
    return {
        "hub": host,
        "template": source.hash,
        "values": hashlib.sha256(values.encode("utf-8", "surrogatepass")).hexdigest(),
        "rows": rows.survey.sha256,
    }


def _journal_of(devices: Path, identity: Mapping[str, str], environment: str | None = None) -> Path:
    """The path of a run's journal: beside its rows or, so that another machine can resume, in a chosen state folder.

    Beside the rows each environment of a project has its own. In a state folder, which all projects share, its name has
    a hash that identifies the run.
    """
    chosen = chosen_folder()
    if chosen is None:
        return devices.with_name(".".join(filter(None, (devices.name, environment, "journal"))))
    folder = chosen / "journals" / quote(identity["hub"], safe="")
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        for part in (folder.parent, folder):
            part.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        what = f"could not write the journal: {os_reason(error)}"
        raise InputError(what, where=str(folder), fix=ANOTHER, options=OPTION) from error
    run = hashlib.sha256(compact(dict(identity)).encode()).hexdigest()
    return folder / f"{devices.name}-{run[:12]}.journal"


@dataclass(frozen=True)
class Run:
    """A run whose journal is open; created by `open_run`."""

    source: Source
    settings: Settings
    rows: Rows
    renderer: Renderer
    journal: Journal

    @property
    def done(self) -> int:
        """Rows that are done."""
        return self.journal.count(State.APPLIED) + self.journal.count(State.UNCHANGED)


@contextmanager
def open_run(source: Source, settings: Settings, rows: Rows, renderer: Renderer, host: str) -> Iterator[Run]:
    """Open a run over rows, new or resumed from its journal.

    Args:
        host: of the hub.

    Raises:
        InputError: another run uses the journal, it is of another run, or it cannot be read or written.
    """
    identity = identity_of(source, settings, rows, host)
    environment = source.project.environment if source.project is not None else None
    path = settings.journal or _journal_of(settings.devices, identity, environment)
    journal = open_journal(path, rows.survey.count, identity)
    try:
        yield Run(source, settings, rows, renderer, journal)
    finally:
        journal.close()


def propose(run: Run, host: str) -> Proposal:
    """Propose a run, with its cost; sends nothing.

    Raises:
        CloudError: the registry credentials could not be read.
    """
    survey, done = run.rows.survey, run.done
    sample = (run.renderer.render(row) for row in islice(run.rows, _SAMPLE))
    messages = [result.messages for result in sample if isinstance(result, Ready)]
    estimate = round(sum(messages) / max(1, len(messages)) * (survey.count - done))
    return Proposal(host, survey.count, done, survey.duplicates, estimate, run.settings.rate)


def carry_out(
    run: Run,
    hub: BulkHub,
    proposal: Proposal,
    *,
    observer: Observer[Proposal, Progress] | None = None,
    stopped: Callable[[Summary], None] = lambda summary: None,
) -> Outcome[Summary]:
    """Send the manifest of every row that is not done, and write the report.

    Args:
        proposal: from `propose`.
        observer: confirms the proposal if rows are left, and follows the progress.
        stopped: called with the outcome of the rows if the run ends early, before the error is raised.

    Raises:
        InputError: the rows, the journal or the report cannot be read or written.
        CloudError: the hub rejects the caller, or did not respond for too long; the journal has the progress.
        Interrupted: by Ctrl-C, after requests in flight have ended.
    """
    observer = observer or Observer()
    if proposal.left:
        observer.permit(proposal)
    before, settings = run.done, run.settings
    pace = Pace(settings.rate, give_up_after=settings.give_up_after)
    earlier = Earlier(sent_by(settings.since)) if settings.since is not None else None

    def final_counts() -> str:
        summary = _finish(run)
        stopped(summary)
        return ", ".join(f"{count:,} {name}" for name, count in summary.account.counts().items() if count)

    try:
        options = Options(threads_for(settings.rate), earlier, _ticker(run, pace, observer))
        with _rendering(run.source, run.renderer, settings.rate, proposal.left) as render_all:
            send_all(run.rows, render_all, hub, run.journal, pace, options)
    except KeyboardInterrupt:
        what = f"interrupted; {final_counts()}"
        raise Interrupted(what, fix="run the same command again to resume") from None
    except CloudError as error:
        what = f"{error.what}; until then {final_counts()}"
        fix = f"{error.fix}; then run the same command again to resume"
        raise type(error)(what, where=error.where, fix=fix) from error
    finally:
        if earlier is not None:
            earlier.close()
    summary = _finish(run)
    return Outcome(run.done > before, finished=summary.good, progress=summary)


def outcomes_of(run: Run) -> Iterator[RowOutcome]:
    """The outcome of each row so far."""
    run.journal.flush()
    return outcomes(run.rows, run.journal)


def dry_run(rows: Rows, renderer: Renderer, source: Source, report: Path | None = None) -> Summary:
    """Render and check every row, and write the report; nothing is sent.

    Raises:
        CloudError: the registry credentials could not be read.
        InputError: the rows cannot be read, or the report cannot be written.
    """
    ready = messages = 0
    bad: list[RowOutcome] = []

    def tried(rendered: Iterable[tuple[Row, Ready | Refused]]) -> Iterator[RowOutcome]:
        nonlocal ready, messages
        for row, result in rendered:
            if isinstance(result, Ready):
                ready += 1
                messages += result.messages
                yield RowOutcome(row.line, row.device, "not tried", manifest=result.digest)
                continue
            outcome = RowOutcome(row.line, row.device, "refused", result.why, result.fix)
            if len(bad) < _LISTED:
                bad.append(outcome)
            yield outcome

    with _rendering(source, renderer, math.inf, rows.survey.count) as render_all:
        report_file.write(tried(render_all(rows)), report)
    return Summary(Account(refused=rows.survey.count - ready, not_tried=ready), tuple(bad), messages)


def progress_of(journal: Journal, pace: Pace, count: int) -> Progress:
    """The progress of a run over `count` rows."""
    return Progress(count - account_of(journal).not_tried, count, pace.waiting)


def _ticker(run: Run, pace: Pace, observer: Observer[Proposal, Progress]) -> Callable[[], None]:
    """Reports progress to the observer, five times a second at most."""
    reported = time.monotonic()

    def tick() -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported >= _TICK:
            reported = now
            observer.progress("rows", progress_of(run.journal, pace, run.rows.survey.count))

    return tick


@contextmanager
def _rendering(
    source: Source, renderer: Renderer, rate: float, rows: int
) -> Iterator[Callable[[Iterable[Row]], Iterator[tuple[Row, Ready | Refused]]]]:
    """Render rows at a rate, in this process alone or in several."""
    processes = processes_for(rate, rows)
    if not processes:
        yield renderer.render_all
        return
    with Workers(renderer, source, processes) as workers:
        yield workers.render_all


def _finish(run: Run) -> Summary:
    """Write the report, and return the outcome of the rows."""
    run.journal.flush()
    account = account_of(run.journal)
    report_file.write(outcomes(run.rows, run.journal), run.settings.report)
    bad: list[RowOutcome] = []
    if account.refused or account.failed:
        wanted = (one for one in outcomes(run.rows, run.journal) if one.outcome in ("refused", "failed"))
        bad = list(islice(wanted, min(_LISTED, account.refused + account.failed)))
    return Summary(account, tuple(bad))
