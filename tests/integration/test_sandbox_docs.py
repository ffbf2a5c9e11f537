"""Every command of docs/sandbox.md works as printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
_BLOCKS = re.findall(r"^```sh\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def test_the_page_has_commands() -> None:
    assert len(_BLOCKS) >= 5


@pytest.mark.parametrize("block", _BLOCKS)
def test_a_block_works(block: str) -> None:
    shell = ["bash", "-euo", "pipefail", "-c", block.replace("curl -s", "curl -sSf")]
    inside = [] if "manifestgen sandbox" in block else [sys.executable, "-m", "manifestgen", "sandbox", "run", "--"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outcome = subprocess.run(
        [*inside, *shell], capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": path}
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout
