"""The action's program with GitHub's documented variables, against the sandbox and a stand-in for GitHub's API."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.github import TOKEN, GitHub, github

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "pipelines" / "github" / "action.py"
SUBJECT = "repo:contoso/edge:environment:production"


@pytest.fixture
def comments(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ACTION.parent))
    return importlib.import_module("comments")


@pytest.fixture
def action(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ACTION.parent))
    return importlib.import_module("action")


@dataclass
class Step:
    """A step of a job that runs the action's program."""

    folder: Path
    variables: dict[str, str]
    said: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    def __call__(self, expect: int = 0, **inputs: str) -> Step:
        for name in ("output", "summary"):
            (self.folder / name).write_text("")
        given = {f"INPUT_{name.upper()}": value for name, value in {"project": ".", "token": TOKEN, **inputs}.items()}
        done = subprocess.run(
            [sys.executable, str(ACTION)],
            cwd=self.folder / "checkout",
            env={**os.environ, **self.variables, **given},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.said = done.stdout + done.stderr
        assert done.returncode == expect, self.said
        written = (self.folder / "output").read_text()
        self.outputs = {
            name: value for name, _, value in re.findall(r"^([\w-]+)<<(end-\w+)\n(.*?)\n\2$", written, re.M | re.S)
        }
        self.summary = (self.folder / "summary").read_text()
        return self


@pytest.fixture
def api() -> Iterator[GitHub]:
    with github() as running:
        yield running


@pytest.fixture
def step(tmp_path: Path, api: GitHub) -> Step:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "contoso/edge",
        "GITHUB_API_URL": api.api,
        "GITHUB_WORKSPACE": str(checkout),
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "NO_PROXY": "127.0.0.1,localhost",
    }
    return Step(tmp_path, variables)


@pytest.fixture
def logged_in(step: Step, quick: Any, ready_made: Any) -> Step:
    """A job that may deploy, without a secret in its environment: it has its own token of GitHub only."""
    quick.admin(
        "PUT", "/federation/production", {"issuer": "https://token.actions.githubusercontent.com", "subject": SUBJECT}
    )
    job: dict[str, str] = quick.admin("GET", f"/pipelines/github?subject={SUBJECT}")
    step.variables |= {**job, "AZURE_CLIENT_SECRET": "", "IOTHUB_CONNECTION_STRING": ""}
    (step.folder / "checkout").rmdir()
    (step.folder / "checkout").symlink_to(ready_made.root)
    return step


def test_check_annotates_the_lines_and_writes_sarif(step: Step) -> None:
    (step.folder / "checkout" / "deployment.json").write_text('{"modulesContent": {"$edgeAgent": 1}}')
    done = step(1, mode="check", files="deployment.json")
    assert re.search(r"^::error file=deployment\.json,line=1,", done.said, re.M)
    sarif = json.loads(Path(done.outputs["sarif"]).read_text())
    assert sarif["runs"][0]["results"]
    assert "### manifestgen check" in done.summary and "| rule | findings |" in done.summary


def test_what_an_input_holds_is_never_run(step: Step, tmp_path: Path) -> None:
    for evil in ('"; touch ran; "', "$(touch ran)", "`touch ran`", "a\n::error::forged\nran=1"):
        done = step(2, mode="check", files=evil, fail_on="error")
        assert not list(tmp_path.rglob("ran"))
        assert "ran" not in done.outputs
        assert "\n::error::forged" not in done.said
    done = step(2, mode="plan\n::error::forged", device="x")
    assert done.said.count("\n") == 1 and done.said.startswith("::error title=manifestgen::mode: ")
    assert "mode plan needs the device" in step(2, mode="plan").said


def test_a_plan_is_commented_once_and_then_updated(logged_in: Step, api: GitHub, ready_made: Any) -> None:
    step = logged_in
    api.add("<!-- manifestgen plan: _" + ready_made.device + " --> a person quotes it")
    done = step(mode="plan", device=ready_made.device, comment="true")
    assert done.outputs["changed"] == "true"
    assert "created the comment on pull request 7" in done.said
    assert "error:" not in done.said
    first = api.comments[-1]["body"]
    assert f"**Plan for device `{ready_made.device}`" in first
    assert "```diff" in first and "```mermaid\nflowchart LR" in first
    assert Path(done.outputs["plan"]).is_file() and Path(done.outputs["manifest"]).is_file()
    assert "```mermaid" in done.summary
    assert "updated the comment" in step(mode="plan", device=ready_made.device, comment="true").said
    assert len(api.comments) == 2
    assert api.comments[0]["body"].endswith("a person quotes it")
    # No token of the job: each begins so.
    assert "eyJ" not in done.said + first + done.summary


def test_a_token_that_may_not_write_leaves_the_plan_in_the_summary(
    logged_in: Step, api: GitHub, ready_made: Any
) -> None:
    api.reads_only = True
    done = logged_in(mode="plan", device=ready_made.device, comment="true")
    assert "::warning title=manifestgen::the comment was not written" in done.said
    assert "pull-requests: write" in done.said
    assert "**Plan for device" in done.summary
    assert api.comments == []


def test_deploy_logs_in_with_the_jobs_own_token(logged_in: Step, ready_made: Any, desired: Any) -> None:
    done = logged_in(mode="deploy", state="../state")
    assert done.outputs["changed"] == "true"
    assert done.outputs["image"].endswith("/scorer:1") or "@sha256:" in done.outputs["image"]
    assert done.outputs["digest"].startswith("sha256:")
    assert desired(ready_made.device)["modules"]
    assert "### manifestgen deploy" in done.summary
    again = logged_in(mode="deploy", state="../state")
    assert again.outputs["changed"] == "false"


def test_a_fork_without_a_token_says_why(logged_in: Step, ready_made: Any) -> None:
    for name in ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        logged_in.variables[name] = ""
    logged_in.variables |= {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}
    done = logged_in(3, mode="plan", device=ready_made.device, comment="true")
    assert "a pull request from a fork gets no token, so run only 'check' there" in done.said


def test_a_comment_longer_than_github_takes_is_cut_with_its_block_closed(comments: Any) -> None:
    plan = "**Plan**\n\n````diff\n" + "+ module `x`\n" * 10_000 + "````\n\n10000 to add"
    body = comments.body_of(plan, "flowchart LR\n" * 10)
    assert len(body) < comments.MOST_CHARACTERS
    assert body.endswith("the whole of it is in the job's summary.\n")
    assert body.count("````") == 2 and "mermaid" not in body
    large = comments.body_of("**Plan**", "x" * 70_000)
    assert "The picture is too large for a comment" in large and len(large) < 1000
    assert comments.body_of(plan, "flowchart LR", most=None).count("mermaid") == 1


@pytest.mark.parametrize("author", [{"type": "User"}, None, {}])
def test_only_a_bots_comment_is_ours(comments: Any, author: Any) -> None:
    mark = "<!-- manifestgen plan: x -->"
    assert not comments._is_ours({"user": author, "body": mark}, mark)
    assert not comments._is_ours({"user": {"type": "Bot"}, "body": f"see {mark}"}, mark)
    assert comments._is_ours({"user": {"type": "Bot"}, "body": f"{mark}\n"}, mark)


def test_the_comment_is_found_on_a_later_page(comments: Any, api: GitHub) -> None:
    request = comments.PullRequest(api.api, "contoso/edge", 7)
    for number in range(150):
        api.add(f"comment {number}")
    assert request.put("x", "plan", TOKEN) == "created"
    assert request.put("x", "plan 2", TOKEN) == "updated"
    assert len(api.comments) == 151
    with pytest.raises(comments.Refused, match="status 401"):
        request.put("x", "plan", "another")
    with pytest.raises(comments.Refused, match="a pull request from a fork"):
        request.put("x", "plan", "")
    with pytest.raises(comments.Refused, match="could not be asked"):
        comments.PullRequest("http://127.0.0.1:9", "contoso/edge", 7).put("x", "plan", TOKEN)


def test_sarif_larger_than_github_takes_loses_the_least_severe(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "MOST_RESULTS", 3)
    levels = ["note", "error", "warning", "note", "error"]
    sarif = {"runs": [{"results": [{"level": level, "n": n} for n, level in enumerate(levels)]}]}
    assert action.fit(sarif) == 2
    assert [result["level"] for result in sarif["runs"][0]["results"]] == ["error", "warning", "error"]
    monkeypatch.setattr(action, "MOST_SARIF_BYTES", 80)
    assert action.fit(sarif) > 0
    assert len(gzip.compress(json.dumps(sarif).encode())) <= 80


def test_other_events_are_no_pull_requests(comments: Any, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"ref": "refs/heads/main"}))
    environ = {"GITHUB_EVENT_PATH": str(event), "GITHUB_REPOSITORY": "contoso/edge"}
    assert comments.of_pull_request(environ) is None
    assert comments.of_pull_request({**environ, "GITHUB_REPOSITORY": "../../x y"}) is None
    assert comments.of_pull_request({}) is None


def _steps() -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    return steps


def test_every_input_reaches_the_program_through_the_environment() -> None:
    definition = yaml.safe_load((ROOT / "action.yml").read_text())
    assert not any("${{" in step.get("run", "") for step in _steps())
    passed = " ".join(
        str(value)
        for step in _steps()
        for value in (*step.get("env", {}).values(), *step.get("with", {}).values(), step.get("if", ""))
    )
    assert {name for name in definition["inputs"] if f"inputs.{name}" not in passed} == set()
    read = set(re.findall(r'(?:input|lines|path)\("([A-Z_]+)"\)|option\("[^"]+", "([A-Z_]+)"\)', ACTION.read_text()))
    names = {one or other for one, other in read}
    run = next(step for step in _steps() if step.get("id") == "run")
    assert {f"INPUT_{name}" for name in names} == set(run["env"]) - {"PYTHON"}


def test_other_actions_are_pinned_to_commits() -> None:
    used = [step["uses"] for step in _steps() if "uses" in step]
    assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Python is a script of a shell")
@pytest.mark.parametrize(
    ("version", "extras", "wanted"),
    [
        ("", "build", "/the/action[build]"),
        ("", "", "/the/action"),
        ("0.3.0", "build,keyvault", "manifestgen[build,keyvault]==0.3.0"),
    ],
)
def test_what_is_installed_has_what_a_deployment_needs(tmp_path: Path, version: str, extras: str, wanted: str) -> None:
    given = yaml.safe_load((ROOT / "action.yml").read_text())
    assert given["inputs"]["extras"]["default"] == "build"  # the builder of a new project needs it
    (script,) = [each["run"] for each in given["runs"]["steps"] if each.get("id") == "install"]
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\nif [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; else echo "$@"; fi\n'
    )
    python.chmod(0o755)
    variables = {"PYTHON": str(python), "RUNNER_TEMP": str(tmp_path), "GITHUB_ACTION_PATH": "/the/action"}
    variables |= {"GITHUB_OUTPUT": str(tmp_path / "output"), "VERSION": version, "EXTRAS": extras}
    done = subprocess.run(
        ["bash", "-e", "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith(f"-- {wanted}\n")
