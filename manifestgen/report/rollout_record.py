"""Records a rollout while it runs, for a page about it: counts over time, steps, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Final

from manifestgen.deployments.counts import Progress
from manifestgen.deployments.failure import RolloutError
from manifestgen.deployments.proposal import Proposal
from manifestgen.errors import ManifestgenError
from manifestgen.report.amount import counted
from manifestgen.rows.account import RowOutcome
from manifestgen.rows.run import Progress as RowsProgress
from manifestgen.rows.run import Proposal as Rows
from manifestgen.target import Observer

# Readings that say the same as those around them are left out; of the rest the page shows every second, fourth, …
_MOST_SAMPLES: Final = 2000


@dataclass(frozen=True)
class Sample:
    """The counts of one reading.

    Attributes:
        seconds: since the rollout began.
        stage: which was waited for.
        due: how many devices should run it.
        done: how many do; of rows, how many are settled.
    """

    seconds: float
    stage: str
    due: int
    done: int
    failing: int = 0


@dataclass(frozen=True)
class Reason:
    """Why devices fail, what to do about it, and which do.

    Attributes:
        more: how many devices besides those that are named.
    """

    text: str
    fix: str
    devices: tuple[str, ...]
    more: int = 0

    @property
    def count(self) -> int:
        """How many devices fail so."""
        return len(self.devices) + self.more


@dataclass(frozen=True)
class Story:
    """A rollout from its beginning to its end.

    Attributes:
        facts: short remarks, such as the hub's name.
        begun: in UTC.
        seconds: how long it took.
        steps: what was done, and how many seconds after the beginning.
        outcome: how it ended, in a sentence.
        good: whether it ended well.
        counts: how many devices, by what became of them.
        done: what `Sample.done` counts, in words.
    """

    title: str
    begun: datetime
    facts: tuple[str, ...] = ()
    seconds: float = 0.0
    samples: tuple[Sample, ...] = ()
    steps: tuple[tuple[float, str], ...] = ()
    outcome: str = ""
    good: bool = True
    counts: tuple[tuple[str, int], ...] = ()
    reasons: tuple[Reason, ...] = ()
    done: str = "running it"


@dataclass
class Recorder:
    """Follows a rollout; `story` tells it.

    Attributes:
        clock: seconds that only go forward.
        now: the time in UTC.
        done: see `Story`.
    """

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    done: str = "running it"
    _story: Story = field(init=False)
    _samples: list[Sample] = field(init=False, default_factory=list)
    _start: float = field(init=False)
    _last: Progress | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Begin."""
        self._start = self.clock()
        self._story = Story("rollout", self.now(), done=self.done)

    def of_deployment(self, observer: Observer[Proposal, Progress]) -> Observer[Proposal, Progress]:
        """The same observer, which also records."""

        def progress(stage: str, seen: Progress) -> None:
            self._last = seen
            self._add(Sample(self._passed(), stage, seen.due, seen.healthy, seen.failing))
            observer.progress(stage, seen)

        def step(text: str) -> None:
            self.step(text)
            observer.step(text)

        return replace(observer, progress=progress, step=step)

    def of_rows(self, observer: Observer[Rows, RowsProgress]) -> Observer[Rows, RowsProgress]:
        """The same for a manifest for each of many devices."""

        def permit(proposal: Rows) -> None:
            observer.permit(proposal)
            self._count(proposal.count, proposal.done)

        def progress(stage: str, seen: RowsProgress) -> None:
            self._add(Sample(self._passed(), stage, seen.count, seen.settled))
            observer.progress(stage, seen)

        return replace(observer, permit=permit, progress=progress)

    def step(self, text: str) -> None:
        """Record something that was done."""
        self._story = replace(self._story, steps=(*self._story.steps, (self._passed(), text)))

    def about(self, title: str, *facts: str) -> None:
        """Say what is rolled out, with short remarks."""
        self._story = replace(self._story, title=title, facts=facts)

    def about_deployment(self, proposal: Proposal) -> None:
        """Say which automatic deployment is rolled out."""
        wanted = proposal.wanted
        matched = f"{counted(proposal.matched, 'device')} match"
        self.about(f"deployment {wanted.name}", f"on {proposal.hub}", f"{matched} {wanted.condition}", wanted.id)

    def _count(self, due: int, done: int) -> None:
        """Record how many rows there are, and how many of them are settled."""
        self._add(Sample(self._passed(), "rows", due, done))

    @property
    def began(self) -> bool:
        """Whether anything was done or read."""
        return bool(self._samples or self._story.steps)

    def story(self, error: ManifestgenError | None = None) -> Story:
        """The events of a deployment's rollout.

        Args:
            error: that ended it; None if it ended well.
        """
        reasons: tuple[Reason, ...] = ()
        last = self._last
        if isinstance(error, RolloutError):
            pairs = ((each.reason, each.fix, each.device) for each in error.troubles)
            reasons = by_reason(pairs)
            last = error.progress
        words = error.what if error is not None else ""
        if error is None and last is not None:
            words = f"{last.healthy:,} of {last.due:,} devices run it"
        counts: tuple[tuple[str, int], ...] = ()
        if last is not None:
            counts = (
                ("targeted", last.targeted),
                ("applied", last.applied),
                ("reporting success", last.succeeded),
                ("reporting failure", last.failed),
                ("failing", last.failing),
            )
        return self._ended(words, good=error is None, counts=counts, reasons=reasons)

    def story_of_rows(self, outcomes: Iterable[RowOutcome], error: ManifestgenError | None = None) -> Story:
        """The same of rows.

        Args:
            outcomes: of all rows; they are counted, and of the bad ones the first of each reason are named.
            error: that ended it; None if it came to its end.
        """
        counts: dict[str, int] = {}

        def bad() -> Iterable[tuple[str, str, str]]:
            for one in outcomes:
                counts[one.outcome] = counts.get(one.outcome, 0) + 1
                if one.outcome in ("refused", "failed"):
                    yield one.why, one.fix, one.device or f"line {one.line}"

        reasons = by_reason(bad())
        rows = sum(counts.values())
        if rows:
            self._count(rows, rows - counts.get("not tried", 0))
        good = error is None and not reasons and not counts.get("not tried")
        words = error.what if error is not None else ""
        return self._ended(words, good=good, counts=tuple(counts.items()), reasons=reasons)

    def _ended(
        self, outcome: str, *, good: bool, counts: tuple[tuple[str, int], ...], reasons: tuple[Reason, ...]
    ) -> Story:
        samples = tuple(self._samples)
        return replace(
            self._story,
            samples=samples,
            seconds=self._passed(),
            outcome=outcome,
            good=good,
            counts=counts,
            reasons=reasons,
        )

    def _add(self, sample: Sample) -> None:
        samples = self._samples
        if len(samples) >= _MOST_SAMPLES:
            del samples[1::2]
        if len(samples) > 1 and _alike(samples[-2], samples[-1]) and _alike(samples[-1], sample):
            samples.pop()
        samples.append(sample)

    def _passed(self) -> float:
        return self.clock() - self._start


# So many devices of each reason are named.
_NAMED: Final = 200


def by_reason(pairs: Iterable[tuple[str, str, str]]) -> tuple[Reason, ...]:
    """Failing devices by their reasons, the most frequent first.

    Args:
        pairs: reason, fix and device.
    """
    found: dict[str, tuple[str, list[str], list[int]]] = {}
    for text, fix, device in pairs:
        _, devices, more = found.setdefault(text, (fix, [], [0]))
        if len(devices) < _NAMED:
            devices.append(device)
        else:
            more[0] += 1
    reasons = [Reason(text, fix, tuple(devices), more[0]) for text, (fix, devices, more) in found.items()]
    return tuple(sorted(reasons, key=lambda reason: -reason.count))


def _alike(one: Sample, other: Sample) -> bool:
    return replace(one, seconds=0.0) == replace(other, seconds=0.0)
