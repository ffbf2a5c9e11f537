"""`python -m manifestgen_runner.trial EVENTS`: load score.py and score one message as the runner does, with no edgeHub.

The request is a JSON object on stdin: `input` (the message's body in Base64), `repeat` (how often to score it),
`timeout` (seconds that init, and each call of run, may take) and `memory` (MiB of data the process may have, 0 for no
limit). Events are written to the file EVENTS as they happen, one JSON object per line: a process that is killed, or
that never ends, leaves behind how far it got. If the time is up, EVENTS.trace says where it was.
"""

from __future__ import annotations

import base64
import contextlib
import faulthandler
import json
import os
import platform
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from .errors import ScorerError
from .memory import settle
from .message import Message
from .outcome import outcome_of
from .request import BadInput, Request
from .routing import JSON, Sender, Unsendable, encode, is_response, results
from .script import Script, describe
from .settings import Settings
from .topics import ModuleTopics

# Repeating ends after this many seconds, whatever was asked for.
_LONGEST = 10.0
# Of a module with names of a usual length: a result must fit into a message together with them.
_SENDER = Sender("machinelearningmodule", "model", "1", ModuleTopics("edge-01", "machinelearningmodule"))


class Trial:
    """One run of score.py.

    Args:
        events: where to write what happens.
        asked: what is asked, see above.
        environ: the variables of an image.
    """

    def __init__(self, events: TextIO, trace: TextIO, asked: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._events, self._trace = events, trace
        self._asked = asked
        self._path = Path(environ.get("AML_APP_ROOT") or ".", environ.get("AZUREML_ENTRY_SCRIPT") or "score.py")
        self._model = os.path.realpath(environ.get("AZUREML_MODEL_DIR") or ".")
        self._laid_out = environ.get("AZUREML_MODEL_DIR") or "."
        self._opened = ""

    def run(self) -> None:
        """Do everything, and write each step."""
        self._event("started", python=platform.python_version())
        with self._limited("import"):
            script = self._import()
        if script is None:
            return
        with self._limited("init"):
            started = time.perf_counter()
            try:
                script.init()
            except ScorerError as error:
                self._failed("init", error.__cause__ or error)
                return
            self._event("init", seconds=time.perf_counter() - started)
        settle()
        if self._asked.get("input") is not None:
            self._score(script, base64.b64decode(self._asked["input"]))

    def _import(self) -> Script | None:
        started = time.perf_counter()
        try:
            script = Script(self._path.absolute())
        except ScorerError as error:
            self._failed("import" if error.__cause__ is not None else "contract", error.__cause__ or error)
            return None
        self._event("imported", seconds=time.perf_counter() - started)
        return script

    def _score(self, script: Script, body: bytes) -> None:
        begun = time.perf_counter()
        for number in range(max(1, int(self._asked.get("repeat") or 1))):
            request = Request(body, {"Content-Type": JSON})
            with self._limited("run"):
                started = time.perf_counter()
                try:
                    result = script.run(request)
                except BadInput as error:
                    self._event("rejected", reason=str(error))
                    return
                except (Exception, SystemExit) as error:
                    self._failed("run", error)
                    return
                self._event("run", seconds=time.perf_counter() - started)
            if number == 0 and not self._answer(result):
                return
            if time.perf_counter() - begun > _LONGEST:
                return

    def _answer(self, result: Any) -> bool:
        if result is None:
            self._event("answer", sent=False)
            return True
        try:
            results(Message("amlInput", b"", {}), result, Settings(), _SENDER)
            body = encode(result)
        except Unsendable as error:
            reason = str(error)
            if is_response(result):
                reason = f"{reason}: {outcome_of(result, None, 0).body[:200].decode('utf-8', 'replace')}"
            self._event(
                "unsendable", reason=reason, type=_name(result), place=_place(result) if "JSON" in reason else ""
            )
            return False
        self._event("answer", sent=True, contentType=body.content_type, body=base64.b64encode(body.content).decode())
        return True

    @contextlib.contextmanager
    def _limited(self, phase: str) -> Iterator[None]:
        """End the process if this takes longer than it may."""
        self._event("begins", phase=phase)
        seconds = float(self._asked.get("timeout") or 0)
        if seconds:
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._trace)
        try:
            yield
        finally:
            if seconds:
                faulthandler.cancel_dump_traceback_later()

    def _failed(self, phase: str, error: BaseException) -> None:
        frames = [
            [frame.filename, frame.lineno or 0, frame.name] for frame in traceback.extract_tb(error.__traceback__)
        ]
        if isinstance(error, SyntaxError) and error.filename:
            frames.append([error.filename, error.lineno or 0, "<module>"])
        self._event(
            "failed",
            phase=phase,
            kind=type(error).__name__,
            module=type(error).__module__,
            reason=describe(error),
            frames=frames[-50:],
            missing=str(error.filename or "") if isinstance(error, FileNotFoundError) else "",
            importing=(error.name or "") if isinstance(error, ImportError) else "",
            opened=self._opened,
        )

    def watch(self) -> None:
        """From now on, see which files are opened, and what is warned of. It lasts as long as the process."""
        faulthandler.enable(self._trace)
        sys.addaudithook(self._audit)
        warnings.showwarning = self._warned
        # It is said once for each class, unless the script filters warnings.
        warnings.filterwarnings("default", message="Trying to unpickle estimator")

    def end(self) -> None:
        """Write that everything was done."""
        self._event("done")

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Remember the last of the model's files that was opened."""
        if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            path = os.fspath(arguments[0])
            if isinstance(path, str) and path.startswith((self._laid_out, self._model)):
                self._opened = path

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        made = getattr(message, "original_sklearn_version", None)
        if made is not None:
            self._event(
                "version",
                package="scikit-learn",
                made=str(made),
                installed=str(getattr(message, "current_sklearn_version", "")),
                opened=self._opened,
            )
            return
        self._event("warning", text=" ".join(f"{category.__name__}: {message}".split())[:300])

    def _event(self, name: str, **more: Any) -> None:
        self._events.write(json.dumps({"event": name, "memory": peak(), **more}) + "\n")
        self._events.flush()


def peak() -> int:
    """The most memory that this process has used so far, in bytes; 0 where the system does not say."""
    try:
        text = Path("/proc/self/status").read_text("ascii", "replace")
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _place(result: Any) -> str:
    """Where in a result the first value is that JSON cannot represent, such as `['scores'][0]`; empty if unknown."""
    items: list[tuple[str, Any]] = []
    if isinstance(result, dict):
        items = [(f"[{key!r}]", value) for key, value in result.items()]
    elif isinstance(result, (list, tuple)):
        items = [(f"[{number}]", value) for number, value in enumerate(result)]
    for step, value in items:
        try:
            encode(value)
        except Unsendable:
            return step + (_place(value) or f", of type {_name(value)}")
    return ""


def _limit_memory(mebibytes: int) -> None:
    with contextlib.suppress(OSError):
        # If memory runs out, this process is the one to end, not another of the user's.
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    if mebibytes:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (mebibytes * 1024 * 1024, mebibytes * 1024 * 1024))


def main() -> None:
    """Run the trial, and end the process whatever threads score.py has started."""
    asked = json.loads(sys.stdin.buffer.read())
    path = Path(sys.argv[1])
    with path.open("a", encoding="utf-8") as events, path.with_suffix(".trace").open("w", encoding="utf-8") as trace:
        _limit_memory(int(asked.get("memory") or 0))
        trial = Trial(events, trace, asked, os.environ)
        trial.watch()
        trial.run()
        trial.end()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
