"""How long the command takes to start, against what any Python program takes: `python tests/bench/startup.py`.

Prints medians of several runs, side by side because machines are noisy, and the ratios that count. Yardsticks: an
interpreter that does nothing; and, for rendering, a process that only imports Jinja2 and renders the same manifest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SAMPLE = _ROOT / "samples" / "bring-your-own-image"

# The least that gives the same manifest: a template on disk, its values, an environment as it comes.
_BARE = """\
import json, sys
from jinja2 import Environment, FileSystemLoader, StrictUndefined

env = Environment(loader=FileSystemLoader(sys.argv[1]), undefined=StrictUndefined)
values = json.load(open(sys.argv[1] + "/values.json"))
text = env.get_template("deployment.json.j2").render(values)
json.dump(json.loads(text), sys.stdout, indent=2)
"""
_VALUES = {
    "image": "acme.azurecr.io/vibration-scorer:1.4.2",
    "module": "scorer",
    "hub": "mcr.microsoft.com/azureiotedge-hub:1.6",
    "agent": "mcr.microsoft.com/azureiotedge-agent:1.6",
    "ttl": 86400,
    "threshold": 0.8,
}

_Command = Sequence[str]


def main() -> None:
    """Print one line a command: milliseconds, and the ratio to its yardstick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs: int = parser.parse_args().runs
    python = [sys.executable, "-I"]
    ours = [*python, "-m", "manifestgen"]
    with tempfile.TemporaryDirectory() as folder:
        _write_bare(Path(folder), [*ours, "render", str(_SAMPLE), "-o", "-"])
        _compare(python, ours, folder, runs)


def _write_bare(folder: Path, render: _Command) -> None:
    """A plain template of the manifest that we render, with a place for each value."""
    text = subprocess.run(render, capture_output=True, text=True, check=True).stdout
    (folder / "deployment.json").write_text(text)
    for name, value in _VALUES.items():
        assert json.dumps(value) in text, f"the sample's manifest has no {value!r} any more"
        text = text.replace(json.dumps(value), f"{{{{ {name} | tojson }}}}")
    (folder / "deployment.json.j2").write_text(text)
    (folder / "values.json").write_text(json.dumps(_VALUES))


def _compare(python: _Command, ours: _Command, folder: str, runs: int) -> None:
    commands: dict[str, _Command] = {
        "python -I -c pass": [*python, "-c", "pass"],
        "manifestgen --version": [*ours, "--version"],
        "manifestgen --help": [*ours, "--help"],
        "manifestgen check": [*ours, "check", str(Path(folder) / "deployment.json")],
        "Jinja2 alone, one file": [*python, "-c", _BARE, folder],
        "manifestgen render": [*ours, "render", str(_SAMPLE), "-o", "-"],
    }
    seconds = _medians(commands, runs)
    memory = {name: _peak(command) for name, command in commands.items()}
    bare = ("manifestgen --version", "manifestgen --help", "manifestgen check")
    yardsticks = dict.fromkeys(bare, "python -I -c pass")
    yardsticks["manifestgen render"] = "Jinja2 alone, one file"
    for name, took in seconds.items():
        line = f"{name:24} {took * 1000:6.1f} ms  {memory[name]:5.1f} MiB"
        if name in yardsticks:
            line += f"   {took / seconds[yardsticks[name]]:4.2f} x {yardsticks[name]}"
        print(line)


def _medians(commands: dict[str, _Command], runs: int) -> dict[str, float]:
    """Median wall time of each command; one run of each in turn, so that all of them meet the same noise."""
    took: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            if number:  # the first run fills the caches
                took[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in took.items()}


def _peak(command: _Command) -> float:
    """Peak resident memory in MiB; 0 where the system does not tell."""
    if not hasattr(os, "wait4"):
        return 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
