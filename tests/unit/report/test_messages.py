"""Messages that reached the hub, as text."""

from __future__ import annotations

from typing import Any

from manifestgen.report.messages import line, summary


def message(module: str, body: Any, **more: Any) -> dict[str, Any]:
    base = {"module": module, "output": "amlOutput", "enqueued": "2026-11-30T08:00:00.000Z", "properties": {}}
    return {**base, "body": body, **more}


def test_a_line_says_when_who_and_what() -> None:
    assert line(message("scorer", {"a": 1})) == '2026-11-30T08:00:00.000Z  scorer/amlOutput  {"a": 1}'
    raw = {**message("m", None, output=""), "text": "hot\x1b[2J"}
    del raw["body"]
    assert line(raw).startswith("2026-11-30T08:00:00.000Z  m  hot")
    assert "\x1b" not in line(raw)


def test_the_summary_counts_results_and_what_is_true_in_them() -> None:
    scored = [message("scorer", {"anomaly": n == 2, "hot": True}, properties={"model": "m"}) for n in range(4)]
    found = list(summary([*scored, message("sensor", 5)]))
    assert found == [
        'messages  4 scored by scorer, 1 anomaly, 4 hots, last {"anomaly": false, "hot": true}',
        "messages  1 from sensor, last 5",
    ]
    (several,) = summary([message("s", {"anomaly": True}, properties={"model": "m"})] * 2)
    assert "2 scored by s, 2 anomalies," in several
    assert list(summary([])) == ["messages  none has reached the hub"]
