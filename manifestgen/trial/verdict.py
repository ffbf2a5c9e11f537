"""Judges the records of a process: the answer and its times, or the mistake with file, line and cause."""

from __future__ import annotations

import ast
import base64
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from manifestgen.errors import FoundError
from manifestgen.project.pickled import not_a_pickle, pickled_version
from manifestgen.project.starters import PACKAGES
from manifestgen.secret import redact
from manifestgen.trial.layout import Layout
from manifestgen.trial.process import Asked, Left
from manifestgen.trial.setting import Setting

_LINES: Final = 12
_KILLED: Final = 9  # SIGKILL, which not every system has by name
#: For commands that test before they build.
ANYWAY: Final = "build it untested with --no-test"


@dataclass(frozen=True)
class Times:
    """How long it took, in seconds.

    Attributes:
        init: importing the entry script, and init().
        first: the first call of run(); None if there was none.
        median: of all calls of run().
        repeat: how many there were.
    """

    init: float
    first: float | None
    median: float | None
    repeat: int


@dataclass(frozen=True)
class Answer:
    """The answer of run().

    Attributes:
        sent: whether it becomes a message; not so for None.
        body: of that message.
        content_type: of the body.
    """

    sent: bool
    body: bytes = b""
    content_type: str = ""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a process.

    Attributes:
        answer: None if run() was not called.
        memory: the most that the process has used, in bytes; 0 if that is unknown.
        python: full version of its Python.
        printed: what the entry script has printed, at its end.
        warnings: of packages.
    """

    answer: Answer | None
    times: Times
    memory: int
    python: str
    printed: str = ""
    warnings: tuple[str, ...] = ()


def judge(left: Left, layout: Layout, setting: Setting, asked: Asked, sample: str) -> Verdict:
    """The verdict about a process.

    Args:
        left: what it left behind.
        sample: the file of the message, for errors; `-` for stdin.

    Raises:
        FoundError: the module would fail on a device, or does not score this message.
    """
    return _Judge(left, layout, setting, asked, sample).verdict()


@dataclass(frozen=True)
class _Judge:
    left: Left
    layout: Layout
    setting: Setting
    asked: Asked
    sample: str

    def verdict(self) -> Verdict:
        left = self.left
        if (failed := left.first("failed")) is not None:
            raise self._failure(failed)
        if (version := left.first("version")) is not None:
            raise self._other_version(self._model_file(version), version["package"], version["made"], version)
        if (rejected := left.first("rejected")) is not None:
            fix = f"correct the message, or what {self.layout.script.name} declares as its input"
            raise self._found(f"run() cannot be called with this message: {rejected['reason']}", self.sample, fix)
        if (unsendable := left.first("unsendable")) is not None:
            raise self._unsendable(unsendable)
        if left.first("done") is None:
            raise self._ended_early()
        imported, init = left.first("imported") or {}, left.first("init") or {}
        runs = [float(event["seconds"]) for event in left.all("run")]
        times = Times(
            float(imported.get("seconds", 0)) + float(init.get("seconds", 0)),
            runs[0] if runs else None,
            median(runs) if runs else None,
            len(runs),
        )
        warnings = tuple(dict.fromkeys(str(event["text"]) for event in left.all("warning")))
        python = str((left.first("started") or {}).get("python", ""))
        return Verdict(self._answer(), times, left.memory, python, redact(left.output), warnings)

    def _answer(self) -> Answer | None:
        event = self.left.first("answer")
        if event is None:
            return None
        body = base64.b64decode(event.get("body") or "")
        return Answer(bool(event["sent"]), body, str(event.get("contentType", "")))

    # The failed phase.

    def _failure(self, event: Mapping[str, Any]) -> FoundError:
        phase, kind, reason = str(event["phase"]), str(event["kind"]), self.layout.in_words(str(event["reason"]))
        where = self._where(event)
        if phase == "contract":
            what = reason.split(": ", 1)[-1]
            fix = "define 'def init():' and 'def run(input_data):' at the top level of the entry script"
            return self._found(what, str(self.layout.script), fix)
        if event["importing"] or kind in ("ModuleNotFoundError", "ImportError"):
            return self._import(str(event["importing"]), reason, where, phase, event)
        if kind == "MemoryError":
            return self._out_of_memory(phase, where)
        file = self._model_file(event)
        if phase != "run" and file is not None and kind != "FileNotFoundError":
            if trouble := not_a_pickle(file):
                return self._found(trouble.what, str(file), trouble.fix)
            if (made := pickled_version(file)) and made != (installed := self.setting.version_of("scikit-learn")):
                return self._other_version(
                    file, "scikit-learn", made, {**event, "installed": installed or "another version"}
                )
        if event["missing"]:
            return self._missing(str(event["missing"]), where)
        if (pickled := re.search(r"Can't get attribute '(\w+)' on <module", reason)) and file is not None:
            what = (
                f"{file.name} needs the class {pickled[1]!r} of the script that saved it, which the image does not have"
            )
            fix = f"define the class in a module beside {self.layout.script.name}, and save the model again from there"
            return self._found(what, where, fix)
        what = f"{self._named(phase)} raised {reason}"
        fix = "correct the entry script" if phase != "run" else f"correct run(), or the message in {self.sample}"
        return self._found(what, where, fix)

    def _import(self, module: str, reason: str, where: str, phase: str, event: Mapping[str, Any]) -> FoundError:
        top = module.partition(".")[0]
        file = self.setting.file
        package = PACKAGES.get(top, "it")
        wanted = f"add {package} to {file.name}" if file is not None else f"install {package} in this Python"
        beside = self.layout.script.parent / f"{top}.py"
        if not top:
            wanted = "correct the import, or name another version of the package"
        elif top not in PACKAGES:
            wanted = f"{wanted} if it is a package, or correct the name"
        what = f"there is no module {module!r} in the image" if top and "No module named" in reason else reason
        pickled = self._model_file(event)
        if phase != "import" and pickled is not None and not beside.is_file():
            what = f"{what}, and {pickled.name} needs it"
        return self._found(what, where, wanted)

    def _missing(self, path: str, where: str) -> FoundError:
        own, script = self.layout.own(path), self.layout.script
        file = Path(path)
        absolute = file if file.is_absolute() else self.layout.app / file
        models = sorted(one.name for one in self.layout.model.iterdir())
        holds = f"; the model is {', '.join(models)}" if models else ""
        if absolute.is_relative_to(self.layout.model):
            name = str(absolute.relative_to(self.layout.model))
            return self._found(
                f"{script.name} opens {name!r} in the model's folder, which does not have it{holds}",
                where,
                f"open {models[0]!r}, or correct model.path" if models else "correct model.path",
            )
        if absolute.is_relative_to(self.layout.app):
            name = str(absolute.relative_to(self.layout.app))
            there = (script.parent / name).exists()
            what = f"{script.name} opens {name!r}, which " + (
                "lies beside it here but is not part of the image" if there else f"does not exist{holds}"
            )
            fix = "put it into the model's folder, and open it below AZUREML_MODEL_DIR"
            return self._found(what, where, fix)
        fix = "put the file into the model's folder, and open it below AZUREML_MODEL_DIR"
        return self._found(f"{script.name} opens {own}, which the image does not have", where, fix)

    def _other_version(self, file: Path | None, package: str, made: str, event: Mapping[str, Any]) -> FoundError:
        listed = self.setting.file
        where = str(file or self.layout.script)
        name = listed.name if listed is not None else "this Python"
        return self._found(
            f"the model was saved with {package} {made}, and the image has {event['installed']}",
            where,
            f"write {package}=={made} in {name}, or train the model again with {event['installed']}",
        )

    def _unsendable(self, event: Mapping[str, Any]) -> FoundError:
        where = f"{self.layout.script}{_line_of_run(self.layout.script)}"
        if "JSON" not in event["reason"]:
            return self._found(str(event["reason"]), where, "return less, or return a result in place of a response")
        place = f": result{event['place']}" if event["place"] else ""
        fix = "convert it, such as with float(x), or x.tolist() for an array; NaN and infinity have no form in JSON"
        return self._found(f"{event['reason']}{place}", where, fix)

    def _out_of_memory(self, phase: str, where: str) -> FoundError:
        limit = f", of which it may have {self.asked.memory} MiB" if self.asked.memory else ""
        what = f"{self._named(phase)} ran out of memory{limit}; it used {_size(self.left.memory)} before"
        return self._found(what, where, "use a smaller model, or give the module more memory")

    def _ended_early(self) -> FoundError:
        left, named = self.left, self._named(self.left.phase)
        where = self._traced() or str(self.layout.script)
        if left.overdue or "Timeout" in left.trace:
            what = f"{named} did not return within {self.asked.timeout:g} s"
            return self._found(what, where, "correct the loop or the wait at this line, or give it more time")
        if left.phase == "start":
            return self._found("Python could not be started", where, "run the command again with -v")
        if left.code == -_KILLED:
            what = (
                f"the process was killed in {named}, most likely because memory ran out; it used {_size(left.memory)}"
            )
            return self._found(what, where, "use a smaller model, or test on a machine with more memory")
        if left.code < 0:
            name = signal.Signals(-left.code).name
            what = f"the process crashed in {named}: {name}"
            return self._found(what, where, "look for native code at this line: packages that do not fit together")
        what = f"{self.layout.script.name} ended the process in {named}, with exit code {left.code}"
        return self._found(what, where, "raise an exception instead of ending the process")

    # Where.

    def _found(self, what: str, where: str, fix: str) -> FoundError:
        lines = tuple(line for line in redact(self.left.output).splitlines() if line.strip())
        return FoundError(redact(what), where=where, fix=fix, options=(ANYWAY,), detail=lines[-_LINES:])

    def _where(self, event: Mapping[str, Any]) -> str:
        """The last line of the user's own files that an exception came by."""
        for file, line, _ in reversed(event["frames"]):
            own = self.layout.own(str(file))
            if own != file:
                return f"{own}:{line}"
        return str(self.layout.script)

    def _traced(self) -> str:
        """As `_where`, of a trace of faulthandler; its innermost call comes first."""
        for file, line in re.findall(r'File "([^"]+)", line (\d+)', self.left.trace):
            own = self.layout.own(file)
            if own != file:
                return f"{own}:{line}"
        return ""

    def _model_file(self, event: Mapping[str, Any]) -> Path | None:
        """The model's file that was opened last."""
        opened = str(event.get("opened") or "")
        return Path(self.layout.own(opened)) if opened and Path(opened).is_file() else None

    def _named(self, phase: str) -> str:
        return {"import": "importing it", "init": "init()", "run": "run()"}.get(phase, phase)


def _line_of_run(script: Path) -> str:
    """`:LINE` of run() in the entry script; empty if it comes from elsewhere."""
    tree = ast.parse(script.read_text("utf-8-sig"))
    found = [node.lineno for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run"]
    return f":{found[-1]}" if found else ""


def _size(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"
