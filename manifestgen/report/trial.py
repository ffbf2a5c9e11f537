"""A model that was tried, as text and as JSON data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from manifestgen.trial.trial import Trial

_LONGEST: Final = 2000


def lines(trial: Trial) -> Iterator[str]:
    """The result in lines."""
    verdict, times = trial.verdict, trial.verdict.times
    if verdict.answer is None:
        yield "answer    none: there is no message to score"
    elif not verdict.answer.sent:
        yield "answer    none: run() returned None, so no message is sent"
    else:
        answer = trial.answer
        text = json.dumps(answer, ensure_ascii=False) if not isinstance(answer, str) else answer
        yield f"answer    {text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…'}" + (
            ", as expected" if trial.expected else ""
        )
    runs = ""
    if times.first is not None and times.median is not None:
        runs = f", run {_milliseconds(times.first)} first, {_milliseconds(times.median)} median of {times.repeat}"
    yield f"times     init {times.init:.2f} s{runs}"
    if verdict.memory:
        yield f"memory    {verdict.memory / 1_000_000:.0f} MB at most"
    yield f"packages  {_packages(trial)}"


def data(trial: Trial) -> dict[str, Any]:
    """The document of `manifestgen test --output json`."""
    verdict, times, place = trial.verdict, trial.verdict.times, trial.setting
    return {
        "input": trial.sample.name if trial.sample is not None else None,
        "answer": trial.answer,
        "sent": verdict.answer.sent if verdict.answer is not None else False,
        "expected": trial.expected,
        "times": {"init": times.init, "first": times.first, "median": times.median, "repeat": times.repeat},
        "memory": verdict.memory,
        "python": verdict.python,
        "packages": str(place.file) if place.file is not None else None,
        "here": not place.lock,
        "notes": [*place.notes, *verdict.warnings],
    }


def _packages(trial: Trial) -> str:
    place = trial.setting
    if not place.lock:
        return f"of this Python {trial.verdict.python}"
    count = sum(line[:1] not in ("#", " ", "") for line in place.lock.splitlines())
    source = place.file.name if place.file is not None else "the project"
    return f"{count} of {source}, Python {trial.verdict.python}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
