"""What `apply TEMPLATE --devices FILE` does: a manifest for each of many devices."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from manifestgen.cli._console import Console
from manifestgen.cli._fleet_options import RowOptions
from manifestgen.errors import CloudError, InputError, Interrupted

if TYPE_CHECKING:
    from manifestgen.project.load import Project
    from manifestgen.render import Template
    from manifestgen.rows.account import Account, Outcome
    from manifestgen.rows.journal import Journal
    from manifestgen.rows.pace import Pace
    from manifestgen.rows.rows import Rows
    from manifestgen.rows.shape import Renderer

# So many rows are rendered to say beforehand what the run will cost.
_SAMPLE: Final = 200
# So many bad rows are told; the report has them all.
_TOLD: Final = 20
_DRAWN: Final = 0.2


def apply_rows(file: Path, options: RowOptions, console: Console, *, hub: str | None, yes: bool, force: bool) -> int:
    """Render, check and send the manifest of every row; returns the exit code.

    Args:
        file: a project, or the name or path of a template.
        options: with `devices`.
        console: to say what happens.
        hub: host of the hub; None for the project's or the environment's.
        yes: do not ask.
        force: go on although `check` finds errors.
    """
    from manifestgen.rows.rows import open_rows
    from manifestgen.rows.shape import names_in

    assert options.devices is not None  # noqa: S101 - the caller looked
    if options.report is not None and options.report.suffix.lower() not in (".json", ".csv"):
        raise InputError(
            "a report is JSON or CSV", where=str(options.report), fix="give a file that ends in .json or .csv"
        )
    if options.report is not None and not options.report.parent.is_dir():
        # Else that would be told when everything has been sent, in place of what became of it.
        raise InputError(
            "the report cannot be written: its folder is not there", where=str(options.report), fix="correct --report"
        )
    project, template = _source(file)
    base = _base(project)
    console.progress(f"looking through {options.devices}")
    rows = open_rows(options.devices, known=names_in(template), ignored=options.ignored)
    try:
        renderer = _renderer(project, template, base, console, force=force)
        if options.dry_run:
            return _dry_run(rows, renderer, options, console)
        return _Run(rows, renderer, options, console, project=project, template=template, base=base).go(hub, yes=yes)
    finally:
        rows.close()


def _source(file: Path) -> tuple[Project | None, Template]:
    """The project and the template that an argument names."""
    from manifestgen.project.load import load
    from manifestgen.project.sections import ManifestSection
    from manifestgen.render import load_template
    from manifestgen.services import project_here

    if file.is_dir() or file.suffix in (".yaml", ".yml"):
        project = load(file)
        return project, load_template((project.manifest or ManifestSection()).template, project.root)
    if file.suffix == ".json":
        raise InputError(
            "this is a manifest, the same for every device",
            where=str(file),
            fix="give a template (.json.j2) or a project; for one manifest and many devices use --deployment NAME",
        )
    return project_here(), load_template(str(file))


def _base(project: Project | None) -> dict[str, Any]:
    """The values that all rows have."""
    from manifestgen.project import lock
    from manifestgen.render import context_of

    builds = project is not None and project.image is not None and project.image.builder != "none"
    return context_of(project, lock.read(project) if project is not None and builds else None)


def _renderer(
    project: Project | None, template: Template, base: Mapping[str, Any], console: Console, *, force: bool
) -> Renderer:
    from manifestgen.cli._manifest import findings_reporter
    from manifestgen.credentials.logins import inline
    from manifestgen.credentials.section import RegistrySection
    from manifestgen.project.load import FILE_NAME, Project
    from manifestgen.rows.shape import Renderer
    from manifestgen.services import Clouds

    # Without a project, the credentials of private registries come from the environment.
    known = project or Project(Path(FILE_NAME), Path.cwd(), registry=RegistrySection(credentials="env"))
    clouds = Clouds(known, report=console.warn)
    return Renderer(
        template,
        base,
        inline(known.registry_settings, clouds.logins.find),
        ignore=known.check.ignore if known.check is not None else (),
        force=force,
        report=findings_reporter(console),
    )


def _dry_run(rows: Rows, renderer: Renderer, options: RowOptions, console: Console) -> int:
    from manifestgen.rows.account import Account, Outcome
    from manifestgen.rows.shape import Ready

    ready = messages = 0
    bad: list[Outcome] = []

    def outcomes() -> Iterator[Outcome]:
        nonlocal ready, messages
        for row in rows:
            result = renderer.render(row)
            if isinstance(result, Ready):
                ready += 1
                messages += result.messages
                yield Outcome(row.line, row.device, "not tried", manifest=result.digest)
                continue
            outcome = Outcome(row.line, row.device, "refused", result.why, result.fix)
            if len(bad) < _TOLD:
                bad.append(outcome)
            yield outcome

    _write_report(outcomes(), options.report)
    account = Account(refused=rows.survey.count - ready, not_tried=ready)
    _tell(account, bad, console, f"nothing was sent; it would be {messages:,} messages of 4 KB")
    return 1 if account.refused else 0


class _Run:
    """A run that sends."""

    def __init__(
        self,
        rows: Rows,
        renderer: Renderer,
        options: RowOptions,
        console: Console,
        *,
        project: Project | None,
        template: Template,
        base: Mapping[str, Any],
    ) -> None:
        self._rows = rows
        self._renderer = renderer
        self._options = options
        self._console = console
        self._project = project
        self._template = template
        self._base = base

    def go(self, hub: str | None, *, yes: bool) -> int:
        """Ask, send, tell."""
        from manifestgen.rows.journal import open_journal, sent_by
        from manifestgen.rows.pace import Pace
        from manifestgen.rows.send import Earlier, Options, run, threads_for
        from manifestgen.services import open_hub

        options = self._options
        assert options.devices is not None  # noqa: S101 - the caller looked
        service = open_hub(hub, self._project).bulk()
        path = options.journal or options.devices.with_name(f"{options.devices.name}.journal")
        journal = open_journal(path, self._rows.survey.count, self._identity(service.host))
        earlier: Earlier | None = None
        try:
            self._permit(journal, service.host, yes=yes)
            pace = Pace(options.rate, give_up_after=options.give_up_after)
            earlier = Earlier(sent_by(options.since)) if options.since is not None else None
            progress = _Progress(self._console, journal, pace, self._rows.survey.count)
            how = Options(threads_for(options.rate), earlier, progress.tick)
            try:
                run(self._rows, self._renderer, service, journal, pace, how)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"interrupted; {self._finish(journal, ended=False)}", fix="run the same command again to go on"
                ) from None
            except CloudError as error:
                done = self._finish(journal, ended=False)
                what = f"{error.what}; until then {done}"
                fix = f"{error.fix}; then run the same command again to go on"
                raise type(error)(what, where=error.where, fix=fix) from error
            self._finish(journal)
            return 0 if _done(journal) == self._rows.survey.count else 1
        finally:
            if earlier is not None:
                earlier.close()
            journal.close()

    def _identity(self, host: str) -> dict[str, str]:
        """What makes a run the same run."""
        import hashlib

        from manifestgen.manifest.dump import compact
        from manifestgen.rows.shape import hash_of

        values = compact({"base": self._base, "ignored": sorted(self._options.ignored)})
        return {
            "hub": host,
            "template": hash_of(self._template),
            "values": hashlib.sha256(values.encode("utf-8", "surrogatepass")).hexdigest(),
            "rows": self._rows.survey.sha256,
        }

    def _permit(self, journal: Journal, host: str, *, yes: bool) -> None:
        """Say what the run will do and cost, and ask."""
        from manifestgen.rows.shape import Ready

        count, console = self._rows.survey.count, self._console
        done = _done(journal)
        left = count - done
        sample = [
            result.messages
            for row in islice(self._rows, _SAMPLE)
            if isinstance(result := self._renderer.render(row), Ready)
        ]
        messages = round(sum(sample) / max(1, len(sample)) * left)
        went_on = f", {done:,} of them done before" if done else ""
        console.progress(
            f"{count:,} {_rows(count)}{went_on}: at most {left:,} devices are sent about {messages:,} messages of 4 KB "
            f"in {_duration(left / self._options.rate)} at {self._options.rate:g} a second"
        )
        if self._rows.survey.doubled:
            console.warn(
                f"{self._rows.survey.doubled:,} rows name a device that another row names, too: all are refused"
            )
        if yes or left == 0:
            return
        if not console.interactive:
            raise InputError("nobody can be asked whether to apply this", fix="add --yes, or --dry-run to see first")
        try:
            permitted = console.confirm(f"replace all modules of {left:,} devices in {host}?")
        except click.Abort:
            permitted = False
        if not permitted:
            raise Interrupted("stopped; nothing was sent", fix="run the same command again to apply it")

    def _finish(self, journal: Journal, *, ended: bool = True) -> str:
        """Write the report and tell what became of the rows; the counts in words.

        Without an end an error follows, which is the one document then.
        """
        from manifestgen.rows.account import account_of, outcomes
        from manifestgen.rows.journal import State

        journal.flush()
        account = account_of(journal)
        _write_report(outcomes(self._rows, journal), self._options.report)
        bad: list[Outcome] = []
        if account.refused or account.failed:
            worst = (State.REFUSED, State.FAILED, State.INTENDED)
            wanted = (one for one in outcomes(self._rows, journal) if one.outcome in ("refused", "failed"))
            bad = list(islice(wanted, min(_TOLD, sum(journal.count(state) for state in worst))))
        hint = "to see whether a device runs it: manifestgen status --device ID"
        _tell(account, bad, self._console, hint, ended=ended)
        return ", ".join(f"{count:,} {name}" for name, count in account.counts().items() if count)


def _done(journal: Journal) -> int:
    from manifestgen.rows.journal import State

    return journal.count(State.APPLIED) + journal.count(State.UNCHANGED)


def _tell(account: Account, bad: list[Outcome], console: Console, hint: str, *, ended: bool = True) -> None:
    from manifestgen.report import fleet_devices as report

    more = account.refused + account.failed - len(bad)
    console.result(report.text(account, bad, more))
    if ended:
        console.document(report.data(account, bad, more))
    console.progress(hint)


def _write_report(outcomes: Iterable[Outcome], path: Path | None) -> None:
    """Write what became of each row; the file appears when it is whole. Without a path nothing is written.

    Raises:
        InputError: it cannot be written.
    """
    from manifestgen.report import fleet_devices as report

    if path is None:
        for _ in outcomes:
            pass
        return
    pieces = report.as_csv(outcomes) if path.suffix.lower() == ".csv" else report.as_json(outcomes)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(pieces)
        draft.replace(path)
    except OSError as error:
        what = f"the report cannot be written: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=str(path), fix="choose another place with --report") from error
    finally:
        draft.unlink(missing_ok=True)


class _Progress:
    """A line on a terminal: how many rows are done, how fast it goes, how long it will take."""

    def __init__(self, console: Console, journal: Journal, pace: Pace, count: int) -> None:
        self._console = console
        self._journal = journal
        self._pace = pace
        self._count = count
        self._begun = self._drawn = time.monotonic()
        self._before = self._through()

    def _through(self) -> int:
        from manifestgen.rows.account import account_of

        return self._count - account_of(self._journal).not_tried

    def tick(self) -> None:
        """Draw it, if it is time."""
        now = time.monotonic()
        if not self._console.live or now - self._drawn < _DRAWN:
            return
        self._drawn = now
        through = self._through()
        rate = (through - self._before) / max(0.001, now - self._begun)
        left = f", {_duration((self._count - through) / rate)} left" if rate > 0 else ""
        waiting = self._pace.waiting
        paused = f", waiting {waiting:.0f} s for the hub" if waiting >= 1 else ""
        full = round(30 * through / self._count)
        bar = "█" * full + "░" * (30 - full)
        self._console.redraw([f"{bar} {through:,} of {self._count:,}, {rate:.0f} a second{left}{paused}"])


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
