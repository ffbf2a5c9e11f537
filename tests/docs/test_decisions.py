"""Every decision has a date and a status, and is listed."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
LIST = (FOLDER / "README.md").read_text(encoding="utf-8")
DECISIONS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
_HEAD = re.compile(
    r"# [^\n]+\n\nDate: (?P<date>\d{4}-\d\d-\d\d)\. "
    r"Status: (?:accepted|superseded by \[[^\]]+\]\((?P<by>[a-z-]+\.md)\))\.\n\n"
)


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_a_date_and_a_status(path: Path) -> None:
    head = _HEAD.match(path.read_text(encoding="utf-8"))
    assert head, "the lines after the title are: empty, 'Date: YYYY-MM-DD. Status: accepted.', empty"
    datetime.date.fromisoformat(head["date"])
    assert head["by"] is None or (FOLDER / head["by"]).is_file()


def test_the_list_names_each_decision_once() -> None:
    assert sorted(re.findall(r"\]\(([a-z-]+\.md)\)", LIST)) == [path.name for path in DECISIONS]
