"""Seeing: pictures, differences and reports as users ask for them, with a hub where it takes one."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.pictures import FAULTY, manifest, module
from integration.command_line import Completed, complaint, in_a_new_process, in_this_process

from manifestgen.deployments import replace
from manifestgen.target import Patience

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "bring-your-own-image"
IMAGE = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor"
UP = {"up": "FROM /messages/modules/sensor/* INTO $upstream"}
OLD = manifest({"sensor": module(f"{IMAGE}:1.5", env={"A": {"value": "1"}, "LOG_LEVEL": {"value": "debug"}})}, UP)
NEW = manifest(
    {
        "sensor": module(
            f"{IMAGE}:1.5", env={"A": {"value": "2"}, "B": {"value": "x"}, "TOKEN_SECRET": {"value": "canary"}}
        )
    },
    {**UP, "alerts": "FROM /messages/modules/sensor/outputs/alerts INTO $upstream"},
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with two manifests and a faulty one."""
    root = tmp_path / "here"
    root.mkdir()
    monkeypatch.chdir(root)
    for name, data in (("old.json", OLD), ("new.json", NEW), ("faulty.json", FAULTY)):
        (root / name).write_text(json.dumps(data))
    return root


def test_a_project_is_drawn_without_a_network_and_without_its_image(folder: Path) -> None:
    ended = in_a_new_process("view", SAMPLE, "-o", "page.html", cwd=folder)
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == f"wrote page.html: {SAMPLE / 'manifestgen.yaml'}: 1 module, 2 routes\n"
    assert "vibration-scorer" in (folder / "page.html").read_text(encoding="utf-8")
    building = in_this_process("view", ROOT / "samples" / "anomaly-detection", "--format", "mermaid")
    assert building.code == 0, building
    assert "not-built-yet" in building.stdout
    assert "tempSensor" in building.stdout


def test_a_file_is_drawn_without_what_only_a_hub_or_a_project_needs(folder: Path) -> None:
    script = (
        "import sys; from manifestgen.cli import run; code = run(['view', 'old.json', '-o', 'x.html'])\n"
        "heavy = ('azure', 'requests', 'yaml', 'jinja2', 'manifestgen.cloud')\n"
        "print(code, [name for name in heavy if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines()[-1] == "0 []"


def test_the_form_is_what_the_files_name_says(folder: Path) -> None:
    for name, begin in (("a.svg", "<svg"), ("a.mmd", "flowchart LR"), ("a.html", "<!DOCTYPE html>")):
        assert in_this_process("view", "old.json", "-o", name).code == 0
        assert (folder / name).read_text(encoding="utf-8").startswith(begin)
    told = in_this_process("view", "old.json", "-o", "x", "--format", "svg", "--output", "json").json
    assert told.pop("schema") == "manifestgen/view/1"
    assert told == {"path": "x", "format": "svg", "title": "old.json", "summary": "1 module, 1 route"}


def test_what_is_drawn_of_a_faulty_manifest_is_a_page_and_no_error(folder: Path) -> None:
    ended = in_this_process("view", "faulty.json")
    assert ended.code == 0
    assert ended.stdout.startswith("<!DOCTYPE html>")
    assert "canary" not in ended.output


def test_a_page_is_not_written_to_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from manifestgen.cli import view

    terminal = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(view, "sys", terminal)
    told = complaint(in_this_process("view", "old.json"), 2)
    assert "html is not for a terminal" in told
    assert "add -o page.html" in told
    assert in_this_process("view", "old.json", "--format", "mermaid").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no device is named"),
        (("a.json", "b.json", "c.json"), "more than two manifests"),
        (("missing.json",), "missing.json: no such file"),
        (("old.json", "--device", "edge-01"), "manifestgen view device:edge-01 old.json"),
        (("old.json", "-o", "old.json"), "the output is also an input"),
        (("old.json", "-o", "no/page.html"), "output folder not found"),
        (("empty.json",), "it is not a deployment manifest"),
        (("text.json",), "it is not JSON: "),
    ],
)
def test_a_mistake_is_said_in_two_lines(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    (folder / "empty.json").write_text("{}")
    (folder / "text.json").write_text("hello")
    assert words in complaint(in_this_process("view", *arguments), 2)
    assert (folder / "old.json").read_text() == json.dumps(OLD)


def test_two_files_are_compared_as_a_plan_compares(folder: Path) -> None:
    ended = in_this_process("diff", "old.json", "new.json", "--exit-code")
    assert ended.code == 1
    assert ended.stdout.splitlines() == [
        "old.json -> new.json",
        "  ~ module sensor  # container is recreated",
        "      ~ env A",
        "      + env B",
        "      - env LOG_LEVEL",
        "      + env TOKEN_SECRET",
        "  + route alerts",
        "1 to add, 1 to change (1 container recreated), 0 to remove",
    ]
    same = in_this_process("diff", "old.json", "old.json", "--exit-code")
    assert (same.code, same.stdout) == (0, "old.json -> old.json\nno differences\n")
    shown = in_this_process("diff", "old.json", "new.json", "--show-env").stdout
    assert "      ~ env A: 1 -> 2\n      + env B: x\n      - env LOG_LEVEL: debug\n      + env TOKEN_SECRET\n" in shown
    data = in_this_process("diff", "old.json", "new.json", "--output", "json").json
    assert data["changes"][0]["fields"][1] == {"kind": "added", "field": "env B", "before": None, "after": None}
    page = in_this_process("diff", "old.json", "new.json", "--output", "html").stdout
    assert page.startswith("<!DOCTYPE html>")
    assert "old.json → new.json" in page
    comment = in_this_process("diff", "old.json", "new.json", "--output", "markdown").stdout
    assert comment.startswith("**From `old.json` to `new.json`**\n\n```diff\n! module sensor")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-", "-"), "stdin can only be one of the two"),
        (("history:edge-01", "old.json"), "write it as history:ID@N"),
        (("history:edge-01@0", "old.json"), "write it as history:ID@N"),
        (("deployment:none", "old.json"), "no such deployment"),
        (("device:none", "old.json"), "none"),
    ],
)
def test_what_is_not_there_cannot_be_compared(folder: Path, quick: Any, arguments: tuple[str, ...], words: str) -> None:
    for command in (("diff",), ("view", "-o", "change.html")):
        ended = in_this_process(*command, *arguments)
        assert words in complaint(ended, ended.code)
        assert ended.code in (2, 3)


def test_a_device_is_drawn_with_what_it_reports_and_compared_with_what_it_had(
    folder: Path, new_device: Callable[[], str]
) -> None:
    device = new_device()
    empty = in_this_process("view", "--device", device)
    assert "nothing is set on it yet" in complaint(empty, 2)
    assert in_this_process("apply", "old.json", "--device", device, "--yes").code == 0
    drawn = in_this_process("view", "--device", device, "-o", "device.html", "--output", "json")
    assert drawn.json["title"] == f"device {device}"
    page = (folder / "device.html").read_text(encoding="utf-8")
    assert page.count('<span class="badge good">running</span>') == 3
    assert "healthy" in page
    assert in_this_process("apply", "new.json", "--device", device, "--yes").code == 0
    again = in_this_process("diff", f"history:{device}@1", f"device:{device}")
    assert again.stdout.splitlines()[:2] == [
        f"snapshot 1 of device {device} -> device {device}",
        "  ~ module sensor  # container is recreated",
    ]
    assert in_this_process("diff", f"device:{device}", "new.json", "--exit-code").code == 0
    page = in_this_process("view", f"history:{device}@1", f"device:{device}").stdout
    assert "+ route alerts" in page
    assert "canary" not in page


def test_a_plan_says_of_each_variable_what_happens_to_it(folder: Path, new_device: Callable[[], str]) -> None:
    device = new_device()
    assert in_this_process("apply", "old.json", "--device", device, "--yes").code == 0
    plan = ("plan", "new.json", "--device", device)
    lines = in_this_process(*plan).stdout.splitlines()
    assert lines[2:6] == ["      ~ env A", "      + env B", "      - env LOG_LEVEL", "      + env TOKEN_SECRET"]
    shown = in_this_process(*plan, "--show-env", "--out", "saved.plan")
    assert "      ~ env A: 1 -> 2\n      + env B: x\n      - env LOG_LEVEL: debug\n" in shown.stdout
    # The saved plan is for others, too.
    fields = json.loads((folder / "saved.plan").read_text())["changes"][0]["fields"]
    assert {(field["before"], field["after"]) for field in fields} == {(None, None)}
    data = in_this_process(*plan, "--output", "json").json
    assert [field["kind"] for field in data["changes"][0]["fields"]] == ["changed", "added", "removed", "added"]
    comment = in_this_process(*plan, "--output", "markdown")
    assert comment.stdout.splitlines()[2:9] == [
        "```diff",
        "! module sensor  # container is recreated",
        "!     env A",
        "+     env B",
        "-     env LOG_LEVEL",
        "+     env TOKEN_SECRET",
        "+ route alerts",
    ]
    assert "canary" not in comment.output + shown.output
    assert in_this_process("apply", "saved.plan").code == 0


@pytest.fixture
def site(quick: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tag that four devices have and no other test's."""
    monkeypatch.setattr(replace, "PATIENCE", Patience(60.0, 0.2, 0.02, 0.2))
    name = f"site-{uuid.uuid4().hex[:6]}"
    for number in range(4):
        ended = in_this_process("device", "register", f"{name}-{number}", "--tag", f"site={name}", "-q")
        assert ended.code == 0, ended
    return name


def deploy(file: str, site: str, *more: str) -> Completed:
    condition = f"tags.site = '{site}'"
    return in_this_process("apply", file, "--deployment", site, "--target-condition", condition, "--yes", *more)


def test_a_rollout_is_reported_however_it_ends(folder: Path, site: str) -> None:
    ended = deploy("old.json", site, "--report", "good.html")
    assert ended.code == 0, ended
    assert "wrote good.html" in ended.stderr
    page = (folder / "good.html").read_text(encoding="utf-8")
    assert '<span class="badge good">complete</span>' in page
    assert "4 of 4 devices run it" in page
    bad = json.loads(json.dumps(NEW).replace(f"{IMAGE}:1.5", "mcr.microsoft.com/acme/missing:1"))
    (folder / "bad.json").write_text(json.dumps(bad))
    failed = deploy("bad.json", site, "--report", "bad.html", "--abort-if-failing", "2%")
    assert failed.code == 1, failed
    page = (folder / "bad.html").read_text(encoding="utf-8")
    assert '<span class="badge bad">not complete</span>' in page
    assert '<span class="badge bad">4 devices</span>' in page
    assert all(f"{site}-{number}" in page for number in range(4))
    assert "canary" not in page


def test_a_report_is_refused_before_anything_is_sent(folder: Path, site: str) -> None:
    assert "ends in .html" in complaint(deploy("old.json", site, "--report", "r.csv"), 2)
    assert "its folder does not exist" in complaint(deploy("old.json", site, "--report", "no/r.html"), 2)
    for more, words in (
        (("--dry-run",), "--dry-run rolls nothing out"),
        ((), "--report is about the rollout of an automatic deployment"),
    ):
        ended = in_this_process("deploy", SAMPLE, "--report", "r.html", *more)
        assert words in complaint(ended, 2)
    rows = ("apply", SAMPLE, "--devices", "rows.csv", "--dry-run", "--report", "r.html")
    assert "ends in .json or .csv" in complaint(in_this_process(*rows), 2)
    assert list(folder.glob("r.*")) == []


def test_a_run_over_rows_is_reported_with_what_failed(
    folder: Path, new_device: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACR_USERNAME_ACME", "robot")
    monkeypatch.setenv("ACR_PASSWORD_ACME", "canary-registry")
    good = new_device()
    (folder / "rows.csv").write_text(f"device,ttl\n{good},60\nnot-there,60\n")
    ended = in_this_process("apply", SAMPLE, "--devices", "rows.csv", "--yes", "--report", "rows.html")
    assert ended.code == 1, ended
    page = (folder / "rows.html").read_text(encoding="utf-8")
    assert '<th scope="row">applied</th><td>1</td>' in page
    assert '<span class="badge bad">1 device</span>' in page
    assert "not-there" in page
    assert "canary" not in page + ended.output
