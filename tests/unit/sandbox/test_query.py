from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen.sandbox.hub.query import QueryError, parse, parse_condition
from manifestgen.sandbox.hub.query_groups import Groups

DEVICE: dict[str, Any] = {
    "deviceId": "edge-01",
    "connectionState": "Connected",
    "status": "enabled",
    "capabilities": {"iotEdge": True},
    "tags": {
        "site": "lab",
        "Group": "A",
        "floor": 3,
        "load": 0.5,
        "empty": None,
        "on": True,
        "location": {"building": "20"},
        "names": ["a"],
        "odd name": "x",
    },
    "properties": {"desired": {"$version": 4}, "reported": {"lastDesiredVersion": 4, "state": {"code": 200}}},
    "configurations": {"base-1": {"status": "Applied"}},
}

MET = [
    "*",
    "tags.site = 'lab'",
    'tags.site = "lab"',
    "tags.site='lab'",
    "tags.site <> 'plant' AND tags.floor >= 3",
    "tags.site != 'plant' and not tags.floor < 3",
    "NOT NOT tags.on",
    "tags.on = true",
    "tags.on",
    "tags.empty = null",
    "IS_NULL(tags.empty)",
    "is_defined(tags.site) AND NOT is_defined(tags.disabled)",
    "tags.site IN ['plant', 'lab']",
    "tags.floor IN [1, 2, 3]",
    "tags.site NIN ['plant']",
    "tags.site NOT IN ['plant']",
    "STARTSWITH(deviceId, 'edge-')",
    "starts_with(deviceId, 'edge') and ends_with(deviceId, '01') and contains(deviceId, 'e-0')",
    "tags.location.building = '20' AND (tags.site = 'plant' OR tags.floor = 3)",
    "tags.site = 'plant' OR tags.site = 'x' OR deviceId = 'edge-01'",
    "tags.nothing = 1 OR tags.floor = 3",
    "capabilities.iotEdge = true",
    "configurations.[[base-1]].status = 'Applied'",
    "configurations[[base-1]].status = 'Applied'",
    "tags['odd name'] = 'x'",
    "tags.Group = 'A'",
    "properties.desired.$version = properties.reported.lastDesiredVersion",
    "tags.floor + 1 = 4 AND tags.floor * 2 = 6 AND tags.floor - 5 = -2 AND tags.floor / 2 = 1.5 AND tags.floor % 2 = 1",
    "tags.load < 1e0 and tags.load >= .5",
    "is_number(tags.floor) and is_string(tags.site) and is_bool(tags.on) and is_object(tags.location)",
    "is_array(tags.names) and is_primitive(tags.site)",
    "tags.site > 'k' and tags.site <= 'lab'",
    "'it''s' = 'it''s'",
]

NOT_MET = [
    "",
    "   ",
    "tags.site = 'LAB'",
    "tags.Site = 'lab'",
    "tags.nothing = 'x'",
    "tags.nothing != 'x'",
    "NOT tags.nothing = 'x'",
    "tags.floor > '1'",
    "tags.on = 1",
    "tags.site",
    "tags.floor / 0 = 1",
    "tags.site.deeper = 1",
    "STARTSWITH(tags.floor, '3')",
    "tags.nothing IN [1]",
    "NOT tags.nothing IN [1]",
    "tags.nothing = 1 AND tags.floor = 3",
    "IS_DEFINED(tags.disabled)",
]

WRONG = {
    "tags.site = ": "expected a value but found the end",
    "tags.site == 'lab'": "expected a value but found '='",
    "tags.site = 'lab": "unexpected character",
    "tags.site = 'lab' AND": "expected a value",
    "tags.site IN ('a')": "expected [",
    "tags.site LIKE 'a%'": "expected the end but found 'LIKE'",
    "(tags.site = 'a'": "expected )",
    "tags.site = 'a')": "expected the end",
    "nothing(1)": "unknown function 'NOTHING'",
    "is_defined()": "does not take 0 arguments",
    "startswith(deviceId)": "does not take 1 arguments",
    "tags. = 1": "expected a name",
    "&": "unexpected character '&'",
    "(" * 200 + "1" + ")" * 200: "levels of nesting",
}


@pytest.mark.parametrize("text", MET)
def test_conditions_that_the_device_meets(text: str) -> None:
    assert parse_condition(text)(DEVICE) is True


@pytest.mark.parametrize("text", NOT_MET)
def test_conditions_that_the_device_does_not_meet(text: str) -> None:
    assert parse_condition(text)(DEVICE) is False


@pytest.mark.parametrize(("text", "words"), WRONG.items())
def test_what_is_not_a_condition_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_condition(text)
    assert words in str(caught.value)


def test_a_query_has_columns() -> None:
    query = parse("SELECT deviceId, tags.site AS place, tags.nothing, properties.reported.state.code FROM devices")
    assert query.source == "devices"
    assert query.matches(DEVICE)
    assert query.project(DEVICE) == {"deviceId": "edge-01", "place": "lab", "code": 200}


def test_a_query_for_all_gives_the_document() -> None:
    query = parse("select * from devices.modules where moduleId = '$edgeAgent'")
    assert query.source == "devices.modules"
    assert query.project({"moduleId": "$edgeAgent"}) == {"moduleId": "$edgeAgent"}
    assert query.matches({"moduleId": "$edgeAgent"})
    assert not query.matches({"moduleId": "scorer"})


@pytest.mark.parametrize(
    ("text", "name"),
    [("SELECT COUNT() AS number FROM devices", "number"), ("SELECT count(*) FROM devices WHERE tags.a = 1", "$1")],
)
def test_a_query_counts(text: str, name: str) -> None:
    assert parse(text).count == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT * FROM",
        "SELECT * FROM jobs",
        "SELECT * FROM devices.jobs",
        "SELECT * devices",
        "SELECT COUNT(), deviceId FROM devices",
        "SELECT deviceId, COUNT() FROM devices GROUP BY tags.site",
        "SELECT TOP FROM devices",
        "SELECT TOP 0 * FROM devices",
        "SELECT TOP 1.5 * FROM devices",
        "SELECT SUM() FROM devices",
        "SELECT tags.site FROM devices GROUP tags.site",
        "SELECT deviceId, FROM devices",
        "SELECT * FROM devices WHERE",
        "SELECT * FROM devices GROUP BY tags.site",
        "DELETE FROM devices",
    ],
)
def test_what_is_not_a_query_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except QueryError:
        return
    assert condition(DEVICE) in (True, False)


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("deviceId = 'a'", {"a"}),
        ("'a' = deviceId", {"a"}),
        ("deviceId IN ['a', 'b']", {"a", "b"}),
        ("tags.site = 'lab' AND deviceId IN ['a', 'b'] AND deviceId = 'b'", {"b"}),
        ("(deviceId = 'a' OR deviceId = 'b') AND tags.x = 1", {"a", "b"}),
        ("deviceId = 'a' OR tags.x = 1", None),
        ("NOT deviceId = 'a'", None),
        ("deviceId NIN ['a']", None),
        ("deviceId NOT IN ['a']", None),
        ("deviceId != 'a'", None),
        ("deviceId IN ['a', tags.x]", None),
        ("tags.deviceId = 'a'", None),
        ("deviceId = tags.x", None),
    ],
)
def test_a_query_knows_the_only_devices_that_can_match(condition: str, ids: set[str] | None) -> None:
    assert parse("SELECT * FROM devices WHERE CONDITION".replace("CONDITION", condition)).only.get("deviceId") == ids


def test_a_query_knows_the_only_modules_that_can_match() -> None:
    text = "SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent' AND tags.x = 1 AND deviceId IN ['a', 'b']"
    assert parse(text).only == {"moduleId": {"$edgeAgent"}, "deviceId": {"a", "b"}}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("ARRAY_CONTAINS(tags.roles, 'a')", True),
        ("array_contains(tags.roles, 'c')", False),
        ("NOT ARRAY_CONTAINS(tags.roles, 'c')", True),
        ("ARRAY_CONTAINS(tags.mixed, 1)", True),
        ("ARRAY_CONTAINS(tags.mixed, true)", False),
        ("ARRAY_CONTAINS(tags.site, 'lab')", False),
        ("NOT ARRAY_CONTAINS(tags.site, 'lab')", False),
        ("ARRAY_CONTAINS(tags.missing, 'a')", False),
    ],
)
def test_array_contains_looks_at_the_elements_of_an_array_only(text: str, met: bool) -> None:
    assert parse_condition(text)({"tags": {"site": "lab", "roles": ["a", "b"], "mixed": [1, None]}}) is met


def test_array_contains_takes_an_array_and_a_value() -> None:
    with pytest.raises(QueryError, match="ARRAY_CONTAINS does not take 1 arguments"):
        parse_condition("ARRAY_CONTAINS(tags.roles)")


_FLEET = [
    {"deviceId": "a", "tags": {"site": "lab", "size": 1}},
    {"deviceId": "b", "tags": {"site": "lab", "size": 4}},
    {"deviceId": "c", "tags": {"site": "plant", "size": "big"}},
    {"deviceId": "d", "tags": {}},
    {"deviceId": "e", "tags": {"site": None}},
]


def _grouped(text: str) -> list[dict[str, object]]:
    query = parse(text)
    assert query.grouped
    groups = Groups(query.group or (), query.project, query.aggregates)
    for document in _FLEET:
        if query.matches(document):
            groups.add(document)
    return groups.rows()


def test_documents_are_grouped_by_a_value_and_by_its_absence() -> None:
    assert _grouped("SELECT tags.site AS place, COUNT() AS number FROM devices GROUP BY tags.site") == [
        {"place": "lab", "number": 2},
        {"place": "plant", "number": 1},
        {"number": 1},
        {"place": None, "number": 1},
    ]


def test_aggregates_leave_out_what_is_not_a_number() -> None:
    text = "SELECT tags.site, SUM(tags.size), AVG(tags.size) AS mean, MIN(tags.size) AS low, MAX(tags.size) AS high"
    assert _grouped(f"{text} FROM devices WHERE IS_STRING(tags.site) GROUP BY tags.site") == [
        {"site": "lab", "$2": 5, "mean": 2.5, "low": 1, "high": 4},
        {"site": "plant", "$2": 0},
    ]


def test_without_group_by_all_documents_are_one_group() -> None:
    assert _grouped("SELECT MAX(tags.size) AS high, COUNT() AS number FROM devices") == [{"high": 4, "number": 5}]
    assert _grouped("SELECT COUNT() AS number, MAX(tags.size) AS high FROM devices WHERE deviceId = 'z'") == [
        {"number": 0}
    ]


def test_top_limits_the_rows() -> None:
    assert parse("SELECT TOP 3 * FROM devices WHERE deviceId != 'a'").top == 3
    assert parse("SELECT * FROM devices").top is None
