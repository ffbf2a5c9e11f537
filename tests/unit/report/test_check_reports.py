from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from manifestgen.check import Checked, check_source, summarize
from manifestgen.report.check_github import workflow_commands
from manifestgen.report.check_json import findings_data
from manifestgen.report.check_sarif import sarif
from manifestgen.report.check_text import findings_text, summary_text, total_of
from manifestgen.report.rules import rule_list, rule_text
from manifestgen.rules import BY_ID, RULES

TESTS = Path(__file__).parent.parent.parent
CASES = sorted(TESTS.glob("rules/*/fail/*.json"))
PLAIN = json.loads((TESTS / "rules/route-syntax/pass/plain.json").read_text("utf-8"))
ROUTES = {
    "unknown-sink": "FROM /messages/* INTO upstream",
    "two-equals": "FROM /messages/modules/sensor/* WHERE level == 'high' INTO $upstream",
    "placeholder": "FROM /messages/modules/<NAME>/outputs/* INTO $upstream",
    "and-signs": "FROM /messages/modules/sensor/* WHERE a = '1' && b = '2' INTO $upstream",
    "text-and-number": "FROM /messages/modules/sensor/* WHERE temperature > 30 INTO $upstream",
    "unknown-function": "FROM /messages/modules/sensor/* WHERE startswith(name, 'a') INTO $upstream",
    "short-address": 'FROM /messages/modules/sensor/* INTO BrokeredEndpoint("/modules/scorer")',
    "numeric-module": "FROM /messages/modules/123/outputs/* INTO $upstream",
    "condition-behind": "FROM /messages/modules/sensor/* INTO $upstream WHERE level = 'high'",
    "no-from": "/messages/* INTO $upstream",
    "unclosed-quote": "FROM /messages/modules/sensor/* WHERE level = 'high INTO $upstream",
    "misspelt-module": 'FROM /messages/modules/sensor/* INTO BrokeredEndpoint("/modules/scroer/inputs/in1")',
}


def checked(path: Path) -> Checked:
    return check_source(path.read_bytes(), path.relative_to(TESTS).as_posix())


def with_route(text: str) -> bytes:
    data = json.loads(json.dumps(PLAIN))
    data["modulesContent"]["$edgeHub"]["properties.desired"]["routes"] = {"up": text}
    return json.dumps(data, indent=2, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", ROUTES)
def test_mistake_in_a_route_is_shown_with_a_caret_and_a_fix(name: str, golden: Callable[[Path, str], None]) -> None:
    result = check_source(with_route(ROUTES[name]), "deployment.json")

    golden(TESTS / "golden/check/routes" / f"{name}.txt", findings_text(result) + "\n")


@pytest.mark.parametrize("path", CASES, ids=lambda path: "/".join(path.parts[-3:]))
def test_caret_stands_under_the_place(path: Path) -> None:
    result = checked(path)
    blocks = findings_text(result).split("\n\n")

    assert len(blocks) == len(result.findings)
    for block, finding in zip(blocks, result.findings, strict=True):
        lines = block.split("\n")
        assert lines[0].endswith(f"[{finding.rule}]")
        assert lines[-1] == f"  fix: {finding.fix}"
        if len(lines) == 4:
            shown, carets = lines[1], lines[2]
            start = carets.index("^")
            number, _, text = shown.partition(" | ")
            line = result.lines[finding.line]
            assert number.strip() == str(finding.line)
            assert text and text.strip() in line.replace("\t", " ").replace("\ufeff", "")
            assert shown[start : start + 1] in (line[finding.column - 1 : finding.column], "", " ")


def test_colors_are_there_only_if_asked_for() -> None:
    result = checked(CASES[0])

    assert "\x1b[" in findings_text(result, color=True)
    assert "\x1b[" not in findings_text(result)


def test_control_characters_do_not_reach_the_terminal() -> None:
    source = with_route("FROM /messages/* INTO $upstream").replace(b"/messages/*", b"/messages/*\\u001b[31m")
    text = findings_text(check_source(source + b"\x1b]0;x", "a\x1b.json"))

    assert "\x1b" not in text


def test_summary_counts_in_words() -> None:
    result = check_source(b"{}", "x.json")

    assert summary_text([result], total_of([result])) == "1 error, 0 warnings and 0 infos in 1 file"
    assert summary_text([], total_of([]), skipped=2) == "no findings in 0 files, 2 other JSON files skipped"


def test_json_has_exactly_the_agreed_keys() -> None:
    results = [checked(path) for path in CASES[:20]]
    data = json.loads(json.dumps(findings_data(results, total_of(results))))

    assert data.keys() == {"files", "summary"}
    assert data["summary"].keys() == {"errors", "warnings", "infos"}
    for file in data["files"]:
        assert list(file) == ["path", "kind", "findings"]
        for finding in file["findings"]:
            assert list(finding) == [
                "rule",
                "severity",
                "effect",
                "pointer",
                "line",
                "column",
                "message",
                "fix",
            ]
            assert finding["severity"] in ("error", "warning", "info")


def test_sarif_is_valid_against_its_schema() -> None:
    schema = json.loads((TESTS / "data/sarif-schema-2.1.0.json").read_text("utf-8"))
    document = json.loads(json.dumps(sarif([checked(path) for path in CASES])))

    jsonschema.Draft7Validator(schema).validate(document)


def test_sarif_has_what_github_code_scanning_asks_for() -> None:
    (run,) = sarif([checked(path) for path in CASES])["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert len(rules) == len({rule["id"] for rule in rules}) == len(RULES)
    assert all(rule["shortDescription"]["text"] and rule["help"]["markdown"] for rule in rules)
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert place["region"]["startLine"] >= 1
        assert place["region"]["endColumn"] > place["region"]["startColumn"] >= 1
        assert result["partialFingerprints"]


def test_sarif_paths_are_uris() -> None:
    result = check_source(b"{}", "my folder/ä.json")
    place = sarif([result])["runs"][0]["results"][0]["locations"][0]["physicalLocation"]

    assert place["artifactLocation"]["uri"] == "my%20folder/%C3%A4.json"


def test_github_annotations_escape_what_would_end_them() -> None:
    result = check_source(b'{"a": "b\nc"}', "a,b:c%.json")

    assert workflow_commands([result]) == (
        "::error file=a%2Cb%3Ac%25.json,line=1,col=9,endColumn=10,title=not-json::"
        r"a line break is inside a string; write \n or \t for it, or close the string"
    )


def test_github_annotations_have_the_level_of_the_finding() -> None:
    results = [checked(path) for path in CASES]
    lines = workflow_commands(results).split("\n")
    summary = summarize(finding for result in results for finding in result.findings)

    assert sum(line.startswith("::error ") for line in lines) == summary.errors
    assert sum(line.startswith("::warning ") for line in lines) == summary.warnings
    assert sum(line.startswith("::notice ") for line in lines) == summary.infos


def test_rule_is_explained() -> None:
    text = rule_text(BY_ID["agent-schema-version"])

    assert "refused (error) by edgeAgent, which reports 412" in text
    assert rule_list(RULES).count("\n") == len(RULES) - 1
