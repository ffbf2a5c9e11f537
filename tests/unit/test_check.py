from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from manifestgen.check import Effect, Finding, Kind, Severity, check, check_data, check_source, read, summarize
from manifestgen.errors import InputError
from manifestgen.manifest.document import of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.rules import KNOWN_ON

CASES = Path(__file__).parent.parent / "rules"
PLAIN = json.loads((CASES / "route-syntax/pass/plain.json").read_text("utf-8"))


def with_route(text: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(PLAIN))
    data["modulesContent"]["$edgeHub"]["properties.desired"]["routes"]["up"] = text
    return data


def only(findings: list[Finding], rule: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.rule == rule]
    return finding


def test_finding_has_its_place_in_the_text() -> None:
    text = json.dumps(with_route("FROM /messages/* INTO upstream"), indent=2)
    finding = only(check(read(text)), "route-syntax")

    assert finding.pointer == "/modulesContent/$edgeHub/properties.desired/routes/up"
    assert text[finding.offset :].startswith('upstream"')
    assert text.split("\n")[finding.line - 1][finding.column - 1 :].startswith('upstream"')
    assert finding.length == len("upstream")
    assert finding.effect is Effect.REFUSED
    assert finding.severity is Severity.ERROR
    assert (finding.side, finding.status) == ("edgeHub", 400)


def test_place_inside_a_text_is_found_through_its_escapes() -> None:
    text = json.dumps(with_route('FROM /messages/* WHERE "é" = \'"\' INTO upstream'))
    finding = only(check(read(text)), "route-syntax")

    assert text[finding.offset :].startswith('upstream"')


def test_places_with_windows_line_ends_and_a_mark_are_those_of_the_editor() -> None:
    text = json.dumps(with_route("FROM /messages/* INTO upstream"), indent=2)
    plain = only(check(read(text)), "route-syntax")
    windows = only(check(read(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())), "route-syntax")

    assert (windows.line, windows.column) == (plain.line, plain.column)


@pytest.mark.parametrize(
    "wrap", [lambda data: {"content": data}, lambda data: {"moduleContent": data["modulesContent"]}]
)
def test_pointers_are_into_the_file_as_given(wrap: Any) -> None:
    data = wrap(with_route("x"))
    finding = only(check(read(json.dumps(data))), "route-syntax")

    value = data
    for key in finding.pointer.split("/")[1:]:
        value = value[key]
    assert value == "x"


def test_all_findings_are_reported_in_the_order_of_the_text() -> None:
    data = with_route("x")
    data["modulesContent"]["$edgeAgent"]["properties.desired"]["schemaVersion"] = "2.0"
    findings = check(read(json.dumps(data)))

    assert [finding.rule for finding in findings if finding.severity is Severity.ERROR] == [
        "agent-schema-version",
        "route-syntax",
    ]
    assert [finding.offset for finding in findings] == sorted(finding.offset for finding in findings)


def test_rules_are_selected_and_ignored() -> None:
    document = read(json.dumps(with_route("FROM /messages/* INTO upstream WHERE x")))

    assert {finding.rule for finding in check(document, select=["route-syntax"])} == {"route-syntax"}
    assert "route-syntax" not in {finding.rule for finding in check(document, ignore={"route-syntax": "known"})}


@pytest.mark.parametrize("keyword", ["select", "ignore"])
def test_unknown_rule_names_the_nearest(keyword: str) -> None:
    unknown: dict[str, Any] = {keyword: ["route-sintax"]}
    with pytest.raises(InputError) as caught:
        check(read("{}"), **unknown)

    assert "route-syntax" in caught.value.fix


def test_support_dates_are_compared_with_the_date_given() -> None:
    document = read((CASES / "support-ended/fail/old.json").read_bytes())

    assert "support-ended" in {finding.rule for finding in check(document)}
    assert "support-ended" not in {finding.rule for finding in check(document, as_of=date(2024, 1, 1))}
    assert date(2027, 1, 1) > KNOWN_ON


def test_what_depends_on_placeholders_is_not_judged() -> None:
    data = json.loads(json.dumps(PLAIN))
    agent = data["modulesContent"]["$edgeAgent"]["properties.desired"]
    agent["modules"]["scorer"]["settings"]["image"] = "${MODULES.scorer}"
    agent["modules"]["scorer"]["status"] = "started"
    data["$schema-template"] = "4.0.0"
    document = read(json.dumps(data))

    assert document.kind is Kind.TEMPLATE
    assert {finding.rule for finding in check(document)} == {"placeholder", "module-status"}


def test_a_placeholder_is_not_judged_unless_it_is_asked_what_a_device_would_say() -> None:
    data = json.loads(json.dumps(PLAIN))
    agent = data["modulesContent"]["$edgeAgent"]["properties.desired"]
    agent["modules"]["scorer"]["settings"]["image"] = "${MODULES.scorer}"
    document = read(json.dumps(data))

    assert {finding.rule for finding in check(document)} == {"placeholder"}
    assert {"placeholder", "image-format"} <= {finding.rule for finding in check(document, literal=True)}


def test_a_manifest_that_only_sets_twins_is_layered() -> None:
    source = b'{"modulesContent": {"$edgeAgent": {}, "a1": {"properties.desired": {"b": 1}}}}'

    assert check_source(source, "x.json").findings == ()
    assert check_source(source, "x.json").kind is Kind.LAYERED


def test_layered_manifest_need_not_set_anything() -> None:
    source = b'{"modulesContent": {"$edgeAgent": {}}}'

    assert check_source(source, "x.json", layered=True).findings == ()
    assert check_source(source, "x.json").kind is Kind.MANIFEST
    assert "agent-empty" in {finding.rule for finding in check_source(source, "x.json").findings}


def test_lines_of_findings_are_kept_without_secrets() -> None:
    text = json.dumps(with_route("x"))
    checked = check_source(text.encode(), "x.json")

    assert "example-password" in text
    assert "example-password" not in checked.lines[1]
    assert len(checked.lines[1]) == len(text)


def test_rendered_data_can_be_checked_without_a_file() -> None:
    assert check_data(PLAIN) == []
    finding = only(check_data(with_route("x")), "route-syntax")
    assert finding.place == finding.pointer == "/modulesContent/$edgeHub/properties.desired/routes/up"
    assert (finding.line, finding.column) == (0, 0)


def test_a_manifest_is_checked_as_it_is() -> None:
    manifest = Manifest.of(with_route("x"))
    assert [finding.rule for finding in check(manifest, select=["route-syntax"])] == ["route-syntax"]
    assert check(manifest) == check_data(manifest.data)
    assert [finding.rule for finding in check_data([])] == ["not-a-manifest"]


@pytest.mark.parametrize("name", ["deployment.template.json", "device 'template-1'"])
def test_the_name_of_a_manifest_without_a_text_tells_no_template(name: str) -> None:
    data = json.loads(json.dumps(PLAIN))
    data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["scorer"]["settings"]["image"] = "${X}"

    assert of_manifest(Manifest.of(data), name).kind is Kind.TEMPLATE
    assert of_manifest(Manifest.of(PLAIN), name).kind is Kind.MANIFEST


def test_findings_are_counted_by_severity() -> None:
    summary = summarize(check(read("{}")))

    assert (summary.errors, summary.warnings, summary.infos) == (1, 0, 0)
    assert summary.reaches("error")
    assert summary.reaches("info")
    assert not summary.reaches("never")
    assert not summarize([]).reaches("info")


HOSTILE = {
    "ten megabytes of brackets": "[" * 10_000_000,
    "half a million objects": '{"a":' * 500_000,
    "a route of a megabyte": json.dumps(
        with_route("FROM /messages/* WHERE " + "NOT " * 250_000 + "true INTO $upstream")
    ),
    "parentheses in a route": json.dumps(with_route("FROM /messages/* WHERE " + "(" * 500_000 + " INTO $upstream")),
    "a number of a million digits": json.dumps(PLAIN).replace("7200", "9" * 1_000_000),
    "a name of a megabyte": json.dumps(PLAIN).replace('"sensor"', json.dumps("s" * 1_000_000)),
    "lone surrogates": json.dumps(PLAIN).replace("scorer", "\\ud800").replace("30", "\\udfff"),
    "nul": json.dumps(PLAIN).replace("scorer", "\\u0000"),
    "deep create options": json.dumps(PLAIN).replace('"{}"', json.dumps("[" * 100_000)),
    "deep create options object": json.dumps(PLAIN).replace('"{}"', '{"a":' * 400 + "1" + "}" * 400),
    "many doubled keys": '{"modulesContent": {' + ",".join(['"a": {}'] * 50_000) + "}}",
    "many placeholders": '{"modulesContent": {' + ",".join(f'"<a{i}>": {{}}' for i in range(50_000)) + "}}",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.slow
def test_no_input_crashes_or_hangs(name: str) -> None:
    start = time.process_time()  # of this process alone: how busy the machine is does not count

    checked = check_source(HOSTILE[name].encode("utf-8", "surrogatepass"), "x.json")

    assert checked.findings
    assert time.process_time() - start < 30  # a step for each pair of fifty thousand would take longer


@pytest.mark.slow
def test_manifest_of_twenty_five_thousand_modules_is_answered() -> None:
    start = time.process_time()
    module = PLAIN["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["scorer"]
    data = json.loads(json.dumps(PLAIN))
    data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"] = {f"m{i}": module for i in range(25_000)}

    assert {finding.rule for finding in check_data(data)} >= {"twin-limits", "many-modules"}
    assert time.process_time() - start < 15


def template(*, hub: Any = None, **module: Any) -> list[str]:
    """The errors in a template of VS Code whose module has these properties, and its `$edgeHub` these."""
    data = json.loads(json.dumps(PLAIN))
    entries = data["modulesContent"]
    settings = {"image": "${MODULES.scorer}", **module.pop("settings", {})}
    entries["$edgeAgent"]["properties.desired"]["modules"] = {
        "scorer": {"type": "docker", "status": "running", "settings": settings, **module}
    }
    entries["$edgeHub"]["properties.desired"] |= {"routes": {}, **(hub or {})}
    text = json.dumps({"$schema-template": "4.0.0", **data})
    return [finding.rule for finding in check(read(text)) if finding.severity is Severity.ERROR]


def test_what_a_template_fills_into_a_variable_is_not_judged() -> None:
    data = json.loads(json.dumps(PLAIN))
    agent = data["modulesContent"]["$edgeAgent"]["properties.desired"]
    agent["systemModules"]["edgeAgent"]["env"] = {"UpstreamProtocol": {"value": "<UpstreamProtocol>"}}
    agent["systemModules"]["edgeHub"]["env"] = {"OptimizeForPerformance": {"value": "$OPTIMIZE"}}
    agent["modules"]["scorer"]["settings"]["image"] = "<registry>/scorer:1"
    agent["modules"]["scorer"]["env"] = {"KEY": {"value": "${SharedAccessKey}"}}
    data["$schema-template"] = "4.0.0"

    found = {finding.rule for finding in check(read(json.dumps(data)))}

    assert not found & {"upstream-protocol", "small-device", "clear-secret"}


@pytest.mark.parametrize(
    "parts",
    [
        {"startupOrder": "$ORDER", "imagePullPolicy": "${POLICY}", "env": "$ENV"},
        {"env": {"LEVEL": "$LEVEL"}},
        {"hub": {"schemaVersion": "$VERSION", "storeAndForwardConfiguration": {"timeToLiveSecs": "$SECONDS"}}},
        {"hub": {"routes": {"a": "$ROUTE", "b": {"route": "${ROUTE}", "priority": "$PRIORITY"}}}},
        {"settings": {"createOptions": {"HostConfig": {"Privileged": "$PRIVILEGED", "Memory": "${MEMORY}"}}}},
        {"settings": {"createOptions": {"Labels": {"com.example.owner": "a"}, "ExposedPorts": {"$PORT/tcp": {}}}}},
        {"settings": {"createOptions": "$OPTIONS"}},
    ],
)
def test_what_a_template_fills_in_is_not_an_error(parts: dict[str, Any]) -> None:
    assert template(**parts) == []


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        ({"startupOrder": "first"}, "startup-order"),
        ({"settings": {"createOptions": {"Env": {}, "HostConfig": {"Binds": ["$DIR:/data"]}}}}, "create-options-types"),
        ({"hub": {"routes": {"a": "FROM /messages/* INTO $cloud"}}}, "route-syntax"),
        ({"env": {"a.b": {"value": "$X"}}}, "twin-limits"),
    ],
)
def test_what_is_wrong_in_a_template_whatever_is_filled_in_is_an_error(parts: dict[str, Any], rule: str) -> None:
    assert template(**parts) == [rule]


@pytest.mark.parametrize("comparison", ["a = 1", 'a = 1 OR b = "x"'])
def test_a_route_with_thousands_of_mistakes_takes_no_more_than_its_length(comparison: str) -> None:
    def seconds(count: int) -> float:
        condition = " AND ".join([comparison] * count)
        text = json.dumps(with_route(f"FROM /messages/* WHERE {condition} INTO $upstream")).encode()
        times = []
        for _ in range(3):
            start = time.process_time()
            checked = check_source(text, "x.json")
            times.append(time.process_time() - start)
            assert [finding.rule for finding in checked.findings].count("route-type") == count
        return min(times)

    # Quadratic growth would be sixteen times as much.
    assert seconds(4000) < 10 * seconds(1000)
