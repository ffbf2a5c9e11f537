"""A source of registry credentials is added with one file and one entry of the table; all commands then know it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

_TESTS = Path(__file__).parents[2]
_HOST = "toys.example.com"
# The table is filled before the project file's sections are made from it, as if the entry stood in it.
_RUN = """\
import sys
import toy_source
from manifestgen.credentials.sources import SOURCES
SOURCES[toy_source.Toy.name] = toy_source.Toy()

import manifestgen.cli
import manifestgen.cli.doctor
from fakes.hub import FakeHub
from manifestgen.services import ProjectServices

ProjectServices.hub = FakeHub("edge-01")
manifestgen.services.log_in = lambda: None
manifestgen.cli.main()
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(toys: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "manifestgen.yaml").write_text(
            f"version: 1\nregistry:\n  credentials: env\n  sources: {{{_HOST}: toy}}\n{toys}"
            f"image: {{builder: none, reference: '{_HOST}/scorer:1'}}\ntarget: {{device: edge-01}}\n"
        )
        path = os.pathsep.join((str(_TESTS), str(Path(__file__).parent)))
        environment = {**os.environ, "PYTHONPATH": path, "MANIFESTGEN_STATE": str(tmp_path / "state")}
        return subprocess.run(
            [sys.executable, "-c", _RUN, *arguments],
            cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def test_its_part_of_the_project_file_is_checked(run: Any) -> None:
    missing = run("", "render")
    assert missing.returncode == 2
    assert "registry.toys is missing; source toy needs it" in missing.stderr
    assert "fix: add 'toys: {box: …}'" in missing.stderr
    assert "manifestgen.yaml:2:1" in missing.stderr
    wrong = run("  toys: {box: UP}\n", "render")
    assert wrong.returncode == 2 and "fix: use small letters" in wrong.stderr
    unknown = run("  toys: {box: up, usr: me}\n", "render")
    assert unknown.returncode == 2 and "did you mean 'user'?" in unknown.stderr


def test_the_schema_has_its_name_and_its_keys(run: Any) -> None:
    schema = json.loads(run("  toys: {box: up}\n", "schema").stdout)
    section = schema["$defs"]["Registry"]["properties"]
    assert "toy" in section["credentials"]["enum"] and "toy: a box of toys" in section["credentials"]["description"]
    assert "toy" in section["sources"]["additionalProperties"]["enum"]
    assert schema["$defs"]["Toys"]["properties"]["box"]["description"] == "Name of the box."


def test_its_login_is_in_the_manifest_and_its_expiry_is_warned_of(run: Any, tmp_path: Path) -> None:
    until = (datetime.now(timezone.utc) + timedelta(days=3.5)).date()
    ended = run(f"  toys: {{box: up, user: robot, until: '{until}'}}\n", "render")
    assert ended.returncode == 0, ended.stderr
    assert f"box up, for {_HOST}, expires on {until}" in ended.stderr and "fill the box again" in ended.stderr
    agent = json.loads((tmp_path / "deployment.json").read_text())["modulesContent"]["$edgeAgent"]
    (entry,) = agent["properties.desired"]["runtime"]["settings"]["registryCredentials"].values()
    assert entry == {"address": _HOST, "username": "robot", "password": "canary-of-a-toy"}
    assert "canary" not in ended.stdout + ended.stderr


def test_without_a_login_it_gives_the_advice(run: Any) -> None:
    ended = run("  toys: {box: up}\n", "render")
    assert ended.returncode == 2
    assert f"no credential for registry {_HOST}" in ended.stderr
    assert f"fix: put a login for {_HOST} into box up" in ended.stderr


@pytest.mark.parametrize(
    ("toys", "code", "state", "words"),
    [
        ("user: robot", 0, "ok", "source toy, user robot, password in the box"),
        ("user: robot, until: '2099-01-01'", 0, "ok", "password in the box, expires on 2099-01-01"),
        ("user: ''", 1, "failed", "source toy, no user: no user name and password"),
    ],
)
def test_doctor_and_show_say_how_it_stands(run: Any, toys: str, code: int, state: str, words: str) -> None:
    section = f"  toys: {{box: up, {toys}}}\n"
    shown = run(section, "credentials", "show")
    assert shown.returncode == code
    assert words.partition(":")[0] in shown.stdout
    examined = json.loads(run(section, "doctor", "--output", "json").stdout)
    (row,) = [row for row in examined["rows"] if row["subject"] == f"registry {_HOST}"]
    assert row["state"] == state
    assert words in row["words"]
    if state == "failed":
        assert row["fix"] == f"put a login for {_HOST} into box up" and row["fix"] in shown.stdout
