"""The files of a trial, laid out as in the image: entry script, runner and model, without other files beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from manifestgen.errors import InputError, os_reason
from manifestgen.project.app import app_files, runner_files
from manifestgen.project.load import Project

#: A project's default message to score.
SAMPLE: Final = "sample.json"
# Variables passed on from this process, without the user's logins, which an image does not have.
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Layout:
    """The paths of a trial's files.

    Attributes:
        app, model, runner: folders as in the image.
        script: the user's own entry script.
        model_source: the user's own model; None for a script without one.
        environ: variables of the process.
    """

    app: Path
    model: Path
    runner: Path
    script: Path
    model_source: Path | None
    environ: Mapping[str, str]

    def own(self, path: str) -> str:
        """The user's own path for a path in the layout; other paths are unchanged."""
        for folder, own in ((self.app, self.script.parent), (self.model, self._model_folder)):
            for form in {str(folder), os.path.realpath(folder)}:
                if path == form or path.startswith(form + os.sep):
                    return str(own) + path[len(form) :]
        return path

    @property
    def _model_folder(self) -> Path:
        return self.model_source.parent if self.model_source is not None else self.model

    def in_words(self, text: str) -> str:
        """A text with the user's own paths in place of paths in the layout."""
        for folder, own in ((self.app, self.script.parent), (self.model, self._model_folder)):
            for form in {str(folder), os.path.realpath(folder)}:
                text = text.replace(form + os.sep, str(own) + os.sep)
        return text


def put_files(folder: Path, script: Path, model: Path | None) -> tuple[Path, Path, Path]:
    """Lay out all files as in the image; the folders `app`, `model` and `runner`, as in `context.dockerfile`.

    Args:
        folder: empty.
        script: the entry script.
        model: the model's file or folder; it is linked if possible, else copied.

    Raises:
        InputError: a file is missing or not readable, or the disk is full.
    """
    app, models, runner = folder / "app", folder / "model", folder / "runner"
    try:
        models.mkdir()
        for place, files in ((app, app_files(script)), (runner, runner_files())):
            for name, path in files.items():
                target = place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        if model is not None:
            _link(model.resolve(), models / model.name)
    except OSError as error:
        fix = "free disk space, or set TMPDIR to another folder"
        what = f"could not lay out the files of the image: {os_reason(error)}"
        raise InputError(what, where=str(error.filename or folder), fix=fix) from error
    return app, models, runner


def lay_out(folder: Path, project: Project, script: Path, model: Path | None) -> Layout:
    """The inputs of a trial; see `put_files` for its errors."""
    app, models, runner = put_files(folder, script, model)
    spec = project.model
    environ = {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        **_of_module(project),
        "HOME": str(folder),
        "AML_APP_ROOT": str(app),
        "AZUREML_MODEL_DIR": str(models),
        "AZUREML_ENTRY_SCRIPT": script.name,
        "PYTHONPATH": str(runner),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        **({"RUNNER_MODEL_NAME": spec.name} if spec is not None else {}),
    }
    return Layout(app, models, runner, script, model, environ)


def _of_module(project: Project) -> dict[str, str]:
    """The module's variables, as the built-in templates write them."""
    values = project.manifest.values.get("env") if project.manifest is not None else None
    common = values if isinstance(values, dict) else {}
    return {str(name): str(value) for name, value in {**common, **project.module.env}.items()}


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
