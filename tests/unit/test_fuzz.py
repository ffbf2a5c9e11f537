from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "fuzz" / "fuzz_check.py"


def test_fuzzer_runs_as_long_as_requested_and_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--mutate", "3"], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert "no crash" in done.stdout
