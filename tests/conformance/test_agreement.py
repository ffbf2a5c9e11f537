"""The script that compares manifestgen with verdicts of the runtime that somebody else has collected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).with_name("agreement.py")
_CASES: list[dict[str, Any]] = [
    {"id": "good", "kind": "route", "input": "FROM /* INTO $upstream", "runtime_accepts": True},
    {"id": "bad", "kind": "route", "input": "FROM /* TO $upstream", "runtime_accepts": False},
    {
        "id": "type",
        "kind": "fragment",
        "fragment_type": "route-condition",
        "input": "1 + 'a'",
        "runtime_accepts": False,
    },
    {
        "id": "match",
        "kind": "fragment",
        "fragment_type": "registry-match",
        "input": {"image": "docker.io/user/a:1", "address": "docker.io"},
        "runtime_accepts": True,
    },
]


def _run(tmp_path: Path, cases: list[dict[str, Any]]) -> tuple[int, list[str]]:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(cases))
    done = subprocess.run([sys.executable, _SCRIPT, file], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_agreement_is_counted_by_kind(tmp_path: Path) -> None:
    assert _run(tmp_path, _CASES) == (
        0,
        [
            "registry-match            1 of    1 agree",
            "route                     2 of    2 agree",
            "route-condition           1 of    1 agree",
        ],
    )


def test_a_disagreement_is_shown_and_ends_with_one(tmp_path: Path) -> None:
    code, lines = _run(tmp_path, [*_CASES, {**_CASES[0], "id": "wrong", "runtime_accepts": False}])
    assert code == 1
    assert lines[0] == "wrong: the runtime does not accept it, manifestgen accepts it"
    assert "route                     2 of    3 agree" in lines


def test_a_kind_that_has_no_answer_is_not_counted_as_agreed(tmp_path: Path) -> None:
    code, lines = _run(tmp_path, [{"id": "new", "kind": "dream", "input": 1, "runtime_accepts": True}])
    assert (code, lines) == (1, ["dream                     1 cases that this cannot answer"])


def test_no_condition_ends_the_comparison_however_it_is_broken(tmp_path: Path) -> None:
    cases = [
        {"id": text, "kind": "fragment", "fragment_type": "route-condition", "input": text, "runtime_accepts": accepts}
        for text, accepts in (("'a", False), ('"', False), ("a = ", False), ("  ", True), ("a = 'b'", True))
    ]
    assert _run(tmp_path, cases) == (0, ["route-condition           5 of    5 agree"])
