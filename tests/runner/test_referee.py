"""The same score.py, asked the same: Azure ML's own server is the referee of the entry-script contract."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from runner import referee
from runner.broker import free_port
from runner.conftest import Run

KEPT = json.loads((Path(__file__).parent / "referee.json").read_text())

# Where the runner answers otherwise, and why. Everything else must be the same.
DIFFERENT = {
    ("not_a_number", 0): "NaN is not JSON: edgeHub could not read the result's body, so the runner says 500",
}


def compared(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer's status, headers, and body: JSON by its value, an error only by being one."""
    body: Any = base64.b64decode(answer["body"])
    if answer["headers"].get("content-type") == "application/json":
        body = json.loads(body)
        if answer["status"] >= 400 and isinstance(body, dict) and list(body) == ["message"]:
            body = "an error's words"
    return {**answer, "body": body, "headers": {k: v for k, v in answer["headers"].items() if answer["status"] != 405}}


@pytest.mark.parametrize("name", referee.QUESTIONS)
def test_the_answers_are_those_of_azure_mls_server(run: Run, name: str) -> None:
    port = free_port()
    runner = run({"RUNNER_HTTP": str(port)}, referee.SCRIPTS / f"{name}.py")
    runner.wait_for("listening at", 30)
    kept = KEPT["answers"][name]
    assert len(kept) == len(referee.QUESTIONS[name])
    for number, question in enumerate(referee.QUESTIONS[name]):
        ours, theirs = compared(referee.ask(port, question)), compared(kept[number])
        if (name, number) in DIFFERENT:
            assert ours != theirs, "no longer different"
        else:
            assert ours == theirs, question


@pytest.mark.parametrize("name", referee.REFUSED)
def test_the_scripts_that_azure_mls_server_refuses_are_refused(run: Run, name: str) -> None:
    runner = run({"RUNNER_HTTP": str(free_port())}, referee.SCRIPTS / "refused" / f"{name}.py")
    assert runner.wait() == KEPT["refused"][name] == 3
    assert runner.lines[-1].startswith("<2>") or "Traceback" in runner.log


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_kept_answers_are_what_the_server_answers_now(tmp_path: Path) -> None:
    try:
        python = referee.install(tmp_path / "venv")
    except subprocess.CalledProcessError:
        try:
            urllib.request.urlopen("https://pypi.org/simple/pip/", timeout=10).close()
        except (OSError, urllib.error.URLError):
            pytest.skip("PyPI is not reachable")
        raise
    made = referee.record(python)
    assert made["refused"] == KEPT["refused"]
    for name, answers in made["answers"].items():
        assert [compared(answer) for answer in answers] == [compared(answer) for answer in KEPT["answers"][name]], name
