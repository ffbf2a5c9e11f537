"""Tests a project's model: init() and run() of its entry script, in a separate process and environment."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from manifestgen.cloud import Services
from manifestgen.compare.json_data import difference
from manifestgen.context.uv import NoUvError
from manifestgen.errors import CloudError, FoundError, InputError
from manifestgen.files import read_text
from manifestgen.images.ingredients import model_files
from manifestgen.project.load import Project
from manifestgen.project.score import check_inputs
from manifestgen.trial.layout import SAMPLE, lay_out
from manifestgen.trial.process import Asked, carry_out
from manifestgen.trial.setting import Setting, UntestableError, setting, this_python
from manifestgen.trial.verdict import Answer, Verdict, judge


@dataclass(frozen=True)
class Sample:
    """A message to score.

    Attributes:
        name: its file, for messages; `-` for stdin.
        body: what run() gets.
    """

    name: str
    body: bytes


@dataclass(frozen=True)
class Trial:
    """A model that was tried, and works.

    Attributes:
        sample: the message; None if run() was not called.
        expected: whether the answer is the expected one; None if none was given.
    """

    verdict: Verdict
    setting: Setting
    sample: Sample | None
    expected: bool | None = None

    @property
    def answer(self) -> Any:
        """The answer as JSON data; a text if its body is something else."""
        return _data(self.verdict.answer) if self.verdict.answer is not None else None

    @property
    def words(self) -> str:
        """The result, in one line."""
        times, verdict = self.verdict.times, self.verdict
        if verdict.answer is None or times.first is None or times.median is None:
            return f"init() works, {times.init:.1f} s; run() was not called: there is no {SAMPLE}"
        what = shown(verdict.answer) if verdict.answer.sent else "nothing (run() returned None)"
        return f"answer {what}; init {times.init:.1f} s, run {times.median * 1000:.1f} ms"


def try_out(
    project: Project,
    services: Services,
    *,
    sample: Sample | None = None,
    asked: Asked | None = None,
    here: bool = False,
    expected: Any = None,
    report: Callable[[str], None] = lambda text: None,
) -> Trial:
    """Try a project's model as its image would run it.

    Args:
        project: that builds an image from an entry script.
        services: asked for a registered model.
        sample: the message; None for the project's `sample.json`, without which run() is not called.
        asked: how often and how long; its message is the sample's.
        here: use this process's own Python and its packages, not an environment of the image's.
        expected: JSON data that the answer must be equal to; numbers up to a millionth. None for any.
        report: is called with what takes a while.

    Raises:
        FoundError: the module would fail on a device, does not score this message, or has another answer.
        InputError: an input of the image is missing or invalid; packages are not there or do not fit together.
        UntestableError: it cannot be tested on this machine.
        CloudError: the package index, or the registry of models, could not be reached.
    """
    image, spec = project.image, project.model
    if image is None or not image.builds or image.entry_script is None:
        made = "its Dockerfile makes the image" if image is not None and image.own else "the image is built elsewhere"
        what = f"there is no entry script to test: {made}"
        raise InputError(what, where=str(project.path), fix="add 'entry_script: score.py' and a builder under 'image'")
    check_inputs(project)
    sample = sample or sample_of(project)
    model = spec.path if spec is not None else None
    if model is None and spec is not None:
        found = services.models.find(spec.name, spec.wanted)
        report(f"getting model {found.id} to test it")
        model = model_files(project, found, services.models)
    place = this_python() if here else setting(project, image.entry_script, model, services, report)
    with tempfile.TemporaryDirectory(prefix="manifestgen-test-") as name:
        layout = lay_out(Path(name), project, image.entry_script, model)
        given = replace(asked or Asked(None), message=sample.body if sample is not None else None)
        left = carry_out(place.python, layout, given)
        try:
            verdict = judge(left, layout, place, given, sample.name if sample is not None else SAMPLE)
        except FoundError as error:
            for line in error.detail:
                report(f"  | {line}")
            raise
    trial = Trial(verdict, place, sample)
    _require_answer(trial, image.entry_script, expected is not None)
    if expected is None:
        return trial
    _require_expected(trial, expected)
    return replace(trial, expected=True)


def sample_of(project: Project) -> Sample | None:
    """The project's own sample message; None if there is none.

    It is `sample.json` beside the project file; with several modules `MODULE.sample.json` there, or `sample.json`
    beside the module's entry script.
    """
    places = [project.root / SAMPLE]
    if project.modular:
        places = [project.root / f"{project.module.name}.{SAMPLE}"]
        if project.image is not None and project.image.entry_script is not None:
            places.append(project.image.entry_script.parent / SAMPLE)
    path = next((place for place in places if place.is_file()), None)
    return Sample(str(path), read_text(path, "sample message").encode()) if path is not None else None


def shown(answer: Answer) -> str:
    """An answer in at most 120 characters."""
    text = " ".join(answer.body.decode("utf-8", "replace").split())
    return text if len(text) <= 120 else f"{text[:119]}…"


def _require_answer(trial: Trial, script: Path, expected: bool) -> None:
    """Raise FoundError for an answer that only says that the message was not understood."""
    answer = trial.answer
    if expected or not isinstance(answer, dict) or set(answer) != {"error"} or not isinstance(answer["error"], str):
        return
    name = trial.sample.name if trial.sample is not None else SAMPLE
    raise FoundError(
        f"{script.name} answers with an error: {answer['error']}",
        where=name,
        fix="correct the message or run(); if the error is what you expect, give it with 'manifestgen test --expect'",
    )


def _require_expected(trial: Trial, expected: Any) -> None:
    if trial.verdict.answer is None:
        raise InputError("there is no message to compare the answer of", fix=f"write {SAMPLE}, or give --input FILE")
    place = difference(trial.answer, expected, "")
    if place is not None:
        name = trial.sample.name if trial.sample is not None else SAMPLE
        raise FoundError(
            f"the answer differs from the expected one{f' at {place[0]}' if place[0] else ''}: {place[1]}",
            where=name,
            fix="correct the model or the entry script, or the expected answer",
        )


def _data(answer: Answer) -> Any:
    if not answer.sent:
        return None
    text = answer.body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def try_before_build(project: Project, services: Services, report: Callable[[str], None]) -> str:
    """Test a project's model before its image is built, and return what came of it in one line.

    A model that cannot be tested here can still be built: the line says so.

    Raises:
        FoundError, InputError: see `try_out`.
    """
    try:
        trial = try_out(project, services, report=report)
    except UntestableError as error:
        return f"not tested: {error.reason}"
    except (NoUvError, CloudError) as error:
        return f"not tested: {error.what}"
    notes = "".join(f"; {note}" for note in (*trial.setting.notes, *trial.verdict.warnings))
    return f"{trial.words}{notes}"
