"""A rollout as an HTML page: counts over time, stages, what was done, failing devices by reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from manifestgen.report.amount import clock, counted
from manifestgen.report.page import badge, esc, facts, page, table
from manifestgen.report.printable import printable
from manifestgen.report.rollout_record import Reason, Sample, Story
from manifestgen.secret import redact

_WIDTH: Final = 860.0
_HEIGHT: Final = 240.0
_LEFT: Final = 60.0
_BOTTOM: Final = 28.0
_MOST_ROWS: Final = 40
_STYLE: Final = """\
.chart{max-width:100%;height:auto;font-size:12px}
.chart text{fill:var(--quiet)}
.chart .axis{stroke:var(--line);fill:none}
.chart .due{stroke:var(--quiet);stroke-dasharray:4 4;fill:none;stroke-width:1.5}
.chart .done{stroke:var(--good);fill:none;stroke-width:2.5}
.chart .failing{stroke:var(--bad);fill:none;stroke-width:2.5;stroke-dasharray:8 3}
.chart .stage{stroke:var(--line);stroke-dasharray:2 3}
"""


def rollout_page(story: Story) -> str:
    """The page."""
    return page(f"{_safe(story.title)} – manifestgen rollout", _body(story), style=_STYLE)


def _safe(text: str) -> str:
    return printable(redact(text))


def _said(text: str) -> str:
    return esc(_safe(text))


def _body(story: Story) -> Iterator[str]:
    tone, word = ("good", "complete") if story.good else ("bad", "not complete")
    yield f"<header><h1>{_said(story.title)} {badge(word, tone)}</h1>"
    remarks = (*story.facts, f"begun {story.begun:%Y-%m-%d %H:%M:%S} UTC", f"took {duration(story.seconds)}")
    yield facts(map(_safe, remarks))
    if story.outcome:
        yield f'<p class="banner {tone}">{_said(story.outcome)}</p>'
    yield "</header><main>"
    if story.counts:
        rows = (f'<tr><th scope="row">{_said(name)}</th><td>{count:,}</td></tr>' for name, count in story.counts)
        yield "<h2>Devices</h2>" + table("How many devices, as last read", ("Devices", "Count"), rows)
    yield "<h2>Counts over time</h2>"
    yield from _over_time(story)
    yield from _stages(story)
    yield from _reasons(story.reasons)
    if story.steps:
        yield "<h2>What was done</h2>"
        rows = (f'<tr><th scope="row">{clock(at)}</th><td>{_said(text)}</td></tr>' for at, text in story.steps)
        yield table("Steps", ("After", "Step"), rows)
    yield "</main>"


def _over_time(story: Story) -> Iterator[str]:
    if not story.samples:
        yield "<p>Nothing was waited for.</p>"
        return
    yield from _chart(story)
    yield (
        f'<p class="quiet">Green, solid: {_said(story.done)}. Red, long dashes: failing. Gray, short dashes: all that '
        "should run it. Thin vertical lines: a stage begins.</p>"
    )
    step = max(1, -(-len(story.samples) // _MOST_ROWS))
    shown = [*story.samples[:-1:step], story.samples[-1]]
    head = ("After", "Stage", "Due", story.done.capitalize(), "Failing")
    yield table(f"{len(shown)} of {len(story.samples)} readings", head, map(_reading, shown))


def _reading(sample: Sample) -> str:
    cells = (_said(sample.stage), f"{sample.due:,}", f"{sample.done:,}", f"{sample.failing:,}")
    return f'<tr><th scope="row">{clock(sample.seconds)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _chart(story: Story) -> Iterator[str]:
    samples = story.samples
    end = max(samples[-1].seconds, 1.0)
    most = max(max(sample.due, sample.done, sample.failing) for sample in samples) or 1

    def x(sample: Sample) -> float:
        return _LEFT + (_WIDTH - _LEFT - 10) * sample.seconds / end

    def y(count: int) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - 12) * count / most

    last = samples[-1]
    words = f"After {clock(last.seconds)}, {last.done:,} of {last.due:,} {story.done}, {last.failing:,} failing."
    yield (
        f'<svg class="chart" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}" '
        'role="img" aria-labelledby="chart-title chart-desc">'
    )
    yield f'<title id="chart-title">Devices over time</title><desc id="chart-desc">{_said(words)}</desc>'
    yield f'<path class="axis" d="M{_LEFT:.0f} 12V{y(0):.1f}H{_WIDTH - 10:.0f}"/>'
    for count in sorted({0, most // 2, most}):
        yield f'<text x="{_LEFT - 8:.0f}" y="{y(count) + 4:.1f}" text-anchor="end">{count:,}</text>'
    for share in (0.0, 0.5, 1.0):
        at = _LEFT + (_WIDTH - _LEFT - 10) * share
        anchor = "end" if share == 1 else "middle"
        yield f'<text x="{at:.0f}" y="{_HEIGHT - 8:.0f}" text-anchor="{anchor}">{clock(end * share)}</text>'
    for before, sample in pairwise(samples):
        if before.stage != sample.stage:
            yield f'<line class="stage" x1="{x(sample):.1f}" x2="{x(sample):.1f}" y1="12" y2="{y(0):.1f}"/>'
    for name, of in _CURVES:
        # In steps: between two readings nothing is known.
        first, *rest = samples
        steps = "".join(f"H{x(sample):.1f}V{y(of(sample)):.1f}" for sample in rest)
        yield f'<path class="{name}" d="M{x(first):.1f} {y(of(first)):.1f}{steps}"/>'
    yield "</svg>"


_CURVES: Final[Sequence[tuple[str, Callable[[Sample], int]]]] = (
    ("due", lambda sample: sample.due),
    ("done", lambda sample: sample.done),
    ("failing", lambda sample: sample.failing),
)


def _stages(story: Story) -> Iterator[str]:
    """The stages in their order, with their last readings."""
    last: dict[str, tuple[Sample, Sample]] = {}
    for sample in story.samples:
        first, _ = last.get(sample.stage, (sample, sample))
        last[sample.stage] = first, sample
    if len(last) < 2:
        return
    yield "<h2>Stages</h2>"
    rows = (
        f'<tr><th scope="row">{_said(stage)}</th><td>{clock(first.seconds)}</td>'
        f"<td>{duration(end.seconds - first.seconds)}</td><td>{end.due:,}</td><td>{end.done:,}</td>"
        f"<td>{end.failing:,}</td></tr>"
        for stage, (first, end) in last.items()
    )
    yield table(
        "Stages, as last read", ("Stage", "Begun after", "Took", "Due", story.done.capitalize(), "Failing"), rows
    )


def _reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    yield "<h2>Failing devices</h2>"
    if not reasons:
        yield "<p>No failing device is known.</p>"
        return
    yield '<ol class="notes">'
    for reason in reasons:
        names = ", ".join(_safe(device) for device in reason.devices)
        more = f" and {reason.more:,} more" if reason.more else ""
        fix = f'<p class="quiet">fix: {_said(reason.fix)}</p>' if reason.fix else ""
        yield (
            f'<li class="bad"><p>{badge(counted(reason.count, "device"), "bad")} {_said(reason.text)}</p>{fix}'
            f'<p class="code">{esc(names)}{more}</p></li>'
        )
    yield "</ol>"


def duration(seconds: float) -> str:
    """`12 s`, `5 min 3 s`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
