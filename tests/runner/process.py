"""The runner as a process of its own, as a device starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG_LINE = re.compile(
    # LogMessageParser.cs in Azure/iotedge, edge-agent; its named groups in Python's spelling.
    r"^(<(?P<logLevel>\d)>)?\s*((?P<timestamp>\d{4}-\d{2}-\d{2}\s\d{2}:\d{2}:\d{2}.\d{3}\s[+-]\d{2}:\d{2})\s)?\s*(?P<logtext>.*)"
)


class RunnerProcess:
    """A running runner.

    Attributes:
        lines: what it has printed so far.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        script: str | Path | None,
        *arguments: str,
        folder: Path,
        python: str = sys.executable,
        package: str = "manifestgen.runner",
        prefix: Sequence[str] = (),
    ) -> None:
        """Start it.

        Args:
            environment: the variables; of this process's only PATH and PYTHONPATH are passed on.
            script: the text of score.py, or where it lies.
            arguments: of the command line.
            folder: where score.py is written to.
            python: the interpreter.
            package: what is run.
            prefix: a command that starts the interpreter.
        """
        variables = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
        variables.update(environment)
        if isinstance(script, str):
            path = folder / "app" / "score.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(script)
            script = path
        if script is not None:
            variables.setdefault("AML_APP_ROOT", str(script.parent))
            variables.setdefault("AZUREML_ENTRY_SCRIPT", script.name)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*prefix, python, "-m", package, *arguments],
            env=variables,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self.lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, timeout: float = 15, *, times: int = 1) -> str:
        """The line of the log that the pattern is found in, as soon as it is there that often."""
        deadline = time.monotonic() + timeout
        while True:
            found = [line for line in list(self.lines) if re.search(pattern, line)]
            if len(found) >= times:
                return found[times - 1]
            assert time.monotonic() < deadline, f"{pattern!r} is not in the log:\n{self.log}"
            assert self._process.poll() is None or self._reader.is_alive(), f"ended without {pattern!r}:\n{self.log}"
            time.sleep(0.01)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()
        self.wait()

    def wait(self, timeout: float = 15) -> int:
        """Its exit code."""
        code = self._process.wait(timeout)
        self._reader.join(5)
        return code

    def stop(self) -> int:
        """Stop it as edgeAgent does; its exit code."""
        if self._process.poll() is None:
            self.terminate()
        return self.wait()
