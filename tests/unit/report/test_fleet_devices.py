from __future__ import annotations

import csv
import io
import json

from manifestgen.report import fleet_devices as report
from manifestgen.rows import report_file
from manifestgen.rows.account import Account, RowOutcome
from manifestgen.rows.run import Summary
from manifestgen.secret import Secret

ACCOUNT = Account(applied=1_000, unchanged=2, refused=5, failed=4, not_tried=3)
BAD = (
    RowOutcome(5, "edge-5", "failed", "the hub returned 404", "check the id", "ab12"),
    RowOutcome(9, "", "refused", 'line 9 names no device, "really"', "write it"),
)
SUMMARY = Summary(ACCOUNT, BAD)


def test_the_text_has_the_bad_rows_and_the_counts() -> None:
    assert report.text(SUMMARY).splitlines() == [
        "edge-5: failed: the hub returned 404",
        '(line 9): refused: line 9 names no device, "really"',
        "… and 7 more",
        "1,014 rows: 1,000 applied, 2 unchanged, 5 refused, 4 failed, 3 not tried",
    ]
    assert report.text(Summary(Account(applied=1))).startswith("1 row: 1 applied")


def test_the_document_says_the_same() -> None:
    data = report.data(SUMMARY)
    assert data["rows"] == sum(data["counts"].values()) == 1_014
    assert data["devices"][0] == {
        "line": 5, "device": "edge-5", "outcome": "failed", "why": "the hub returned 404", "fix": "check the id",
        "manifest": "ab12",
    }  # fmt: skip
    assert data["more"] == 7


def test_reports_are_whole_documents_however_many_rows_there_are() -> None:
    cases: tuple[tuple[RowOutcome, ...], ...] = ((), BAD[:1], BAD)
    for outcomes in cases:
        document = json.loads("".join(report_file.as_json(outcomes)))
        assert document["rows"] == sum(document["counts"].values()) == len(outcomes)
        assert document["counts"]["not_tried"] == 0
        assert [entry["line"] for entry in document["devices"]] == [outcome.line for outcome in outcomes]
    table = list(csv.DictReader(io.StringIO("".join(report_file.as_csv(BAD)))))
    assert [row["why"] for row in table] == [outcome.why for outcome in BAD]


def test_no_report_shows_a_secret() -> None:
    Secret("canary-of-a-report")
    outcome = RowOutcome(1, "a", "refused", "image 'canary-of-a-report' is none", "")
    texts = ["".join(report_file.as_json([outcome])), "".join(report_file.as_csv([outcome]))]
    assert not any("canary" in text for text in texts)
