from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from manifestgen.cli._console import Console
from manifestgen.cli._rollout_report import reported
from manifestgen.deployments.counts import Progress, Trouble
from manifestgen.deployments.failure import RolloutError
from manifestgen.errors import CloudError, InputError, ManifestgenError
from manifestgen.report.amount import clock
from manifestgen.report.rollout_page import duration, rollout_page
from manifestgen.report.rollout_record import Recorder, by_reason
from manifestgen.rows.account import RowOutcome
from manifestgen.rows.run import Progress as RowsProgress
from manifestgen.rows.run import Proposal
from manifestgen.secret import Secret
from manifestgen.target import Observer

BEGUN = datetime(2026, 11, 30, 8, 0, tzinfo=timezone.utc)


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Clock:
    return Clock()


@pytest.fixture
def recorder(seconds: Clock) -> Recorder:
    return Recorder(clock=seconds, now=lambda: BEGUN)


def progress(succeeded: int, *, due: int = 10, failing: int = 0) -> Progress:
    return Progress("d-1", "*", due, 0, due, due, succeeded, 0, failing)


def test_readings_and_steps_are_kept_with_their_times_and_passed_on(recorder: Recorder, seconds: Clock) -> None:
    seen: list[str] = []
    observer = recorder.of_deployment(
        Observer(step=seen.append, progress=lambda stage, read: seen.append(f"{stage} {read.succeeded}"))
    )
    observer.step("created 'd-1'")
    for at, succeeded in ((1.0, 0), (30.0, 4), (60.0, 10)):
        seconds.now = 100.0 + at
        observer.progress("rollout", progress(succeeded))
    story = recorder.story()
    assert seen == ["created 'd-1'", "rollout 0", "rollout 4", "rollout 10"]
    assert story.steps == ((0.0, "created 'd-1'"),)
    assert [(sample.seconds, sample.done, sample.due) for sample in story.samples] == [
        (1, 0, 10),
        (30, 4, 10),
        (60, 10, 10),
    ]
    assert (story.good, story.outcome, story.seconds) == (True, "10 of 10 devices run it", 60.0)
    assert story.counts[0] == ("targeted", 10)


def test_readings_that_say_the_same_are_kept_at_both_ends_only(recorder: Recorder, seconds: Clock) -> None:
    observer = recorder.of_deployment(Observer())
    for number in range(50):
        seconds.now += 1
        observer.progress("rollout", progress(0 if number < 40 else 5))
    assert [(sample.seconds, sample.done) for sample in recorder.story().samples] == [(1, 0), (40, 0), (41, 5), (50, 5)]


def test_a_long_rollout_takes_no_more_than_so_much_room(recorder: Recorder) -> None:
    observer = recorder.of_rows(Observer())
    for number in range(20_000):
        observer.progress("rows", RowsProgress(number, 20_000, 0.0))
    samples = recorder.story_of_rows(()).samples
    assert len(samples) <= 2000
    assert samples[-1].done == 19_999


def test_failing_devices_are_reported_by_reason_the_most_frequent_first(recorder: Recorder) -> None:
    troubles = [
        Trouble("edge-1", "crash"),
        Trouble("edge-2", "pull", "check it"),
        Trouble("edge-3", "pull", "check it"),
    ]
    error = RolloutError("2 of 3 fail", fix="x", name="d", stage="rollout", progress=progress(0), troubles=troubles)
    story = recorder.story(error)
    assert [(reason.text, reason.fix, reason.devices) for reason in story.reasons] == [
        ("pull", "check it", ("edge-2", "edge-3")),
        ("crash", "", ("edge-1",)),
    ]
    page = rollout_page(story)
    assert "not complete" in page
    assert "2 of 3 fail" in page
    assert "edge-2, edge-3" in page


def test_of_thousands_of_devices_the_first_are_named_and_the_rest_counted() -> None:
    (reason,) = by_reason(("pull", "", f"edge-{number}") for number in range(1000))
    assert (len(reason.devices), reason.more, reason.count) == (200, 800, 1000)


def test_rows_are_counted_and_the_bad_ones_named(recorder: Recorder) -> None:
    recorder.of_rows(Observer()).permit(Proposal("h", 3, 1, 0, 2, 40.0))
    outcomes = [
        RowOutcome(2, "a", "applied"),
        RowOutcome(3, "", "refused", "no device"),
        RowOutcome(4, "c", "not tried"),
    ]
    story = recorder.story_of_rows(outcomes, CloudError("the hub is away", fix="x"))
    assert story.counts == (("applied", 1), ("refused", 1), ("not tried", 1))
    assert (story.good, story.outcome) == (False, "the hub is away")
    assert story.reasons[0].devices == ("line 3",)
    assert [(sample.done, sample.due) for sample in story.samples] == [(1, 3), (2, 3)]


def test_all_rows_done_is_a_good_end(recorder: Recorder) -> None:
    assert recorder.story_of_rows([RowOutcome(2, "a", "applied"), RowOutcome(3, "b", "unchanged")]).good


def test_stages_have_their_times_and_last_counts(recorder: Recorder, seconds: Clock) -> None:
    observer = recorder.of_deployment(Observer())
    for stage, succeeded in (("stage 1", 0), ("stage 1", 2), ("stage 2", 2), ("stage 2", 10)):
        observer.progress(stage, progress(succeeded))
        seconds.now += 60
    page = rollout_page(recorder.story())
    assert '<th scope="row">stage 1</th><td>0:00</td><td>1 min 0 s</td><td>10</td><td>2</td><td>0</td>' in page
    assert '<th scope="row">stage 2</th><td>2:00</td>' in page
    assert page.count('class="stage"') == 1


def test_the_chart_says_in_words_how_it_ends(recorder: Recorder) -> None:
    recorder.of_deployment(Observer()).progress("rollout", progress(3, failing=1))
    assert "After 0:00, 3 of 10 running it, 1 failing." in rollout_page(recorder.story())


def test_secrets_and_markup_are_not_in_a_page(recorder: Recorder) -> None:
    Secret("canary-password")
    recorder.about("deployment <b>x</b>", "on canary-password")
    recorder.step("sent canary-password <script>")
    page = rollout_page(recorder.story(CloudError("it said canary-password\x1b[31m", fix="x")))
    assert "canary" not in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "\x1b" not in page


def test_nothing_waited_for_is_said(recorder: Recorder) -> None:
    assert "Nothing was waited for." in rollout_page(recorder.story())


@pytest.fixture
def telling(recorder: Recorder, tmp_path: Path) -> Callable[[BaseException | None, Path], Path]:
    """Ends a block, with an error or none, and gives the page that is to be written."""

    def end(error: BaseException | None, path: Path) -> Path:
        with reported(path, recorder, recorder.story, Console()):
            if error is not None:
                raise error
        return path

    return end


def test_the_page_is_written_if_it_ends_well_or_badly(
    recorder: Recorder, telling: Callable[..., Path], tmp_path: Path
) -> None:
    assert "complete" in telling(None, tmp_path / "good.html").read_text(encoding="utf-8")
    recorder.step("created it")
    with pytest.raises(CloudError):
        telling(CloudError("away", fix="x"), tmp_path / "bad.html")
    assert "away" in (tmp_path / "bad.html").read_text(encoding="utf-8")


def test_nothing_is_written_about_what_did_not_begin(telling: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        telling(InputError("not confirmed", fix="x"), tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_does_not_hide_what_went_wrong(
    recorder: Recorder, telling: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.step("created it")
    with pytest.raises(CloudError, match="away"):
        telling(CloudError("away", fix="x"), tmp_path / "missing" / "page.html")
    assert "the report was not written" in capsys.readouterr().err
    with pytest.raises(ManifestgenError, match="folder not found"):
        telling(None, tmp_path / "missing" / "page.html")


@pytest.mark.parametrize(
    ("seconds_", "short", "long"), [(0, "0:00", "0 s"), (65.4, "1:05", "1 min 5 s"), (3723, "1:02:03", "62 min 3 s")]
)
def test_times_are_short(seconds_: float, short: str, long: str) -> None:
    assert (clock(seconds_), duration(seconds_)) == (short, long)
