"""Fixtures of the runner's tests: a broker, and runners that are ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from runner.broker import Mosquitto, mosquitto
from runner.process import RunnerProcess

ECHO = """\
import json

def init():
    pass

def run(data):
    return {"echo": json.loads(data)}
"""

Run = Callable[..., RunnerProcess]

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave coverage out where the runner is a process of its own, which is not measured."""
    for item in items:
        if item.path.parent == _HERE and "run" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture
def edge_hub(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of the test's own."""
    if Mosquitto.program is None:
        pytest.skip("mosquitto is not installed")
    folder = tmp_path / "broker"
    folder.mkdir()
    with mosquitto(folder) as broker:
        yield broker


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """Starts a runner; whatever still runs at the end of the test is killed."""
    with ExitStack() as stack:
        request.node.runners = []

        def start(environment: dict[str, str], script: Any = ECHO, *arguments: str, **named: Any) -> RunnerProcess:
            process = RunnerProcess(environment, script, *arguments, folder=tmp_path, **named)
            stack.callback(process.kill)
            request.node.runners.append(process)
            return process

        yield start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """With `-s`, show what tests have recorded as a fault: a row of a table each."""
    if terminalreporter.config.getoption("capture") != "no":
        return
    reports = terminalreporter.getreports("passed")
    rows = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if rows:
        terminalreporter.section("faults")
        for cells in (["fault", "log", "reported", "message on errors", "exit code"], ["---"] * 5, *rows):
            terminalreporter.write_line("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show the runners' logs with a failure."""
    report = yield
    if report.when == "call" and report.failed:
        for number, process in enumerate(getattr(item, "runners", [])):
            report.sections.append((f"log of runner {number + 1}", process.log))
    return report
