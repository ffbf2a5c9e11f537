"""Every command of docs/see.md works as printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import in_this_process

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs" / "see.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"^```console\n(.*?)^```$", _PAGE, re.DOTALL | re.MULTILINE)


def test_each_command_prints_what_is_shown(
    ready_made: Any, quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "samples").symlink_to(ROOT / "samples")
    applied = in_this_process("deploy", ready_made, "--yes", "--force")
    assert applied.code == 0, applied
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ACR_USERNAME_ACME", "robot")
    monkeypatch.setenv("ACR_PASSWORD_ACME", "secret-of-a-robot")
    ran = 0
    for block in _BLOCKS:
        for part in block.split("$ manifestgen ")[1:]:
            line, _, shown = part.partition("\n")
            ended = in_this_process(*shlex.split(line.replace("edge-01", ready_made.device)))
            assert ended.code == ("--exit-code" in line), ended
            if shown:
                assert ended.stdout == shown
            ran += 1
    assert ran >= 9
    assert {path.name for path in folder.glob("*.html")} == {"scorer.html", f"{ready_made.device}.html", "change.html"}
