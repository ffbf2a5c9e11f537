"""The commands in docs/operate.md, against the sandbox."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import in_this_process

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
COMMANDS = re.findall(r"^\$ manifestgen (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_commands_are_found() -> None:
    assert {shlex.split(line)[0] for line in COMMANDS} == {"ping", "status", "logs", "restart", "score"}
    assert len(COMMANDS) == 11


def test_every_command_of_the_page_does_what_it_says(
    new_device: Callable[[], str], quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakes.hub_service import content, module

    monkeypatch.chdir(tmp_path)
    device = new_device()
    quick.admin("PUT", "/images/mcr.microsoft.com/scorer:1", {})
    Path("deployment.json").write_text(json.dumps(content({"scorer": module("mcr.microsoft.com/scorer:1")})))
    applied = in_this_process("apply", "deployment.json", "--device", device, "--yes", "--force")
    assert applied.code == 0, applied
    Path("devices.csv").write_text(f"device\n{device}\n")
    Path("sample.json").write_text("{}")
    for line in COMMANDS:
        words = [device if word == "edge-01" else word for word in shlex.split(line)]
        words = [f"deviceId = '{device}'" if word.startswith("tags.") else word for word in words]
        ended = in_this_process(*words)
        if words[0] == "score":
            # Nothing runs in this module: what it says is that.
            assert ended.code == 3 and "its module 'scorer' is not" in ended.stderr, ended
        else:
            assert ended.code == 0, ended
    assert Path("logs.txt").read_text()
