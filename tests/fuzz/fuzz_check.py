"""Coverage-guided fuzzing of everything that `check` does with a file.

    pip install atheris
    python tests/fuzz/fuzz_check.py -max_total_time=600 CORPUS tests/fuzz/seeds

CORPUS is an empty folder for what the fuzzer finds; all other options are libFuzzer's. It stops at the first exception,
and at an input that takes longer than ten seconds. Without atheris, `python tests/fuzz/fuzz_check.py --mutate SECONDS`
breaks the seeds at random instead, with a fixed seed.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from manifestgen.check import check_source, summarize
from manifestgen.report.check_github import workflow_commands
from manifestgen.report.check_json import findings_data
from manifestgen.report.check_sarif import sarif
from manifestgen.report.check_text import findings_text, total_of

HERE = Path(__file__).parent
SLOWEST = 10.0


def one_input(data: bytes) -> None:
    """Check one file and write all reports; whatever it is, there is an answer, soon, and it can be printed."""
    start = time.monotonic()
    for layered in (False, True):
        checked = check_source(data, "fuzz.json", layered=layered)
        for finding in checked.findings:
            assert finding.line >= 1
            assert finding.column >= 1
        texts = (
            findings_text(checked),
            workflow_commands([checked]),
            str(findings_data([checked], total_of([checked]))),
            str(sarif([checked])),
        )
        for text in texts:
            text.encode("utf-8")
        summarize(checked.findings)
    if time.monotonic() - start > SLOWEST:
        raise TimeoutError(f"took {time.monotonic() - start:.1f} s")


def mutate(seconds: float) -> None:
    """Break the seeds at random for a while; prints how many inputs were tried."""
    chance = random.Random(1)  # noqa: S311 - not for secrets
    seeds = [path.read_bytes() for path in sorted((HERE / "seeds").iterdir())]
    pieces = [
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"\\u0000",
        b"\\ud800",
        b"${X}",
        b"{{",
        b"<x>",
        b"-1",
        b"\xff",
    ]
    count, slowest, end = 0, 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at, kind = chance.randrange(len(data) + 1), chance.randrange(4)
            if kind == 0:
                data[at : at + chance.randint(1, 40)] = b""
            elif kind == 1:
                data[at:at] = chance.choice(pieces) * chance.choice((1, 1, 1, 50))
            elif kind == 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            else:
                start = chance.randrange(len(data) + 1)
                data[at:at] = data[start : start + chance.randint(1, 200)]
        began = time.monotonic()
        try:
            one_input(bytes(data))
        except Exception:
            (HERE / "crash.json").write_bytes(data)
            raise
        slowest = max(slowest, time.monotonic() - began)
        count += 1
    print(f"{count} inputs in {seconds:.0f} s, no crash, the slowest took {slowest * 1000:.0f} ms")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--mutate"]:
        mutate(float(sys.argv[2]))
    else:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()
