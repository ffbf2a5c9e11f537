"""How long `view` takes for 50 modules and 100 routes over the start-up of a command, and how large the page is.

    python tests/bench/view.py [ROUNDS]

Goals: less than a second over `manifestgen --version`, at most 300 KB. Counted is the time of the processor; that of
the wall says how busy the machine is. The parts are measured in one process: reading and checking, working out what is
shown, laying it out and drawing it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from fakes.pictures import of_size, subject  # noqa: E402

from manifestgen.view.mermaid import mermaid  # noqa: E402
from manifestgen.view.page import html_page  # noqa: E402
from manifestgen.view.read import view_of  # noqa: E402
from manifestgen.view.svg import svg  # noqa: E402


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder:
        file, page = Path(folder) / "deployment.json", Path(folder) / "page.html"
        file.write_text(json.dumps(of_size(50, 100)))
        python = [sys.executable, "-m", "manifestgen"]
        commands = {
            "--version": [*python, "--version"],
            "view": [*python, "view", str(file), "-o", str(page)],
            "view, mermaid": [*python, "view", str(file), "--format", "mermaid"],
        }
        took: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                seconds = _seconds(command)
                if number:  # the first run fills the caches
                    took[name].append(seconds)
        medians = {name: statistics.median(times) for name, times in took.items()}
        for name, seconds in medians.items():
            print(f"{name:<14} {seconds * 1000:7.1f} ms")
        over = medians["view"] - medians["--version"]
        print(f"view of 50 modules and 100 routes: {over:.2f} s over start-up (goal 1.00)")
        print(f"page: {page.stat().st_size / 1000:.0f} KB (goal 300)")
    for modules, routes in ((50, 100), (50, 500)):
        _parts(modules, routes)


def _seconds(command: list[str]) -> float:
    """Processor seconds of a process."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return usage.ru_utime + usage.ru_stime


def _parts(modules: int, routes: int) -> None:
    data = of_size(modules, routes)
    found = view_of(subject(data))
    parts: dict[str, Callable[[], Any]] = {
        "read and check": lambda: subject(data).findings,
        "what is shown": lambda: view_of(subject(data)),
        "svg": lambda: svg(found),
        "page": lambda: html_page(found),
        "mermaid": lambda: mermaid(found),
    }
    print(f"{modules} modules, {routes} routes, in one process:")
    for name, part in parts.items():
        begun = time.process_time()
        part()
        print(f"  {name:<14} {(time.process_time() - begun) * 1000:7.1f} ms")


if __name__ == "__main__":
    main()
