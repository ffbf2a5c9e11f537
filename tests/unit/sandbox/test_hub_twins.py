from __future__ import annotations

from typing import Any

import pytest
from fakes.hub_service import HubService, content, module, with_hub
from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen.sandbox.hub.twins import difference, new_section, patch, patch_section, section_view, without_nulls

APPLY = "/devices/edge-01/applyConfigurationContent"

_keys = st.text(st.characters(exclude_characters=".$ "), max_size=2)
_values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(_keys, _values, max_size=3)


@settings(deadline=None)  # other work on the machine is not this test's business
@given(_objects, _objects)
def test_the_difference_of_two_reports_makes_the_second_of_the_first(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert patch(old, difference(old, new)) == new
    assert difference(new, new) == {}


@settings(deadline=None)
@given(_objects, _objects)
def test_metadata_mirrors_the_properties(old: dict[str, Any], change: dict[str, Any]) -> None:
    section = patch_section(patch_section(new_section("t0"), old, "t1"), change, "t2")

    def mirrors(value: Any, metadata: dict[str, Any]) -> bool:
        inner = {key for key in metadata if key not in ("$lastUpdated", "$lastUpdatedVersion")}
        if not isinstance(value, dict):
            return not inner
        return inner == set(value) and all(mirrors(value[key], metadata[key]) for key in value)

    assert mirrors(section["value"], section_view(section)["$metadata"])


def test_only_what_was_written_gets_a_new_time() -> None:
    section = patch_section(new_section("t0"), {"a": {"b": 1, "c": 2}, "d": 3}, "t1")
    section = patch_section(section, {"a": {"b": 9}}, "t2")
    metadata = section_view(section, versions=True)["$metadata"]
    assert metadata["a"]["b"] == {"$lastUpdated": "t2", "$lastUpdatedVersion": 3}
    assert metadata["a"]["c"]["$lastUpdated"] == "t1"
    assert metadata["a"]["$lastUpdated"] == "t2"
    assert metadata["d"]["$lastUpdated"] == "t1"


def test_a_null_deletes() -> None:
    assert patch({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": None}, "e": {"f": None}}) == {
        "b": {"d": 3},
        "e": {},
    }
    assert without_nulls({"a": None, "b": [None]}) == {"b": [None]}


def test_a_twin_is_patched_and_replaced() -> None:
    async def work(hub: HubService) -> None:
        first = await hub.get("/twins/edge-01")
        change = {"tags": {"site": "lab", "floor": 1}, "properties": {"desired": {"a": 1, "b": 2}}}
        patched = await hub.call("PATCH", "/twins/edge-01", change, If_Match=f'"{first["etag"]}"')
        assert patched.status == 200
        assert patched.json["tags"] == {"site": "lab", "floor": 1}
        assert patched.json["version"] > first["version"]
        assert patched.json["properties"]["desired"]["$version"] == first["properties"]["desired"]["$version"] + 1
        again = await hub.call("PATCH", "/twins/edge-01", {"tags": {"floor": None}}, If_Match=f'"{first["etag"]}"')
        assert (again.status, again.code) == (412, "PreconditionFailed")
        again = await hub.call("PATCH", "/twins/edge-01", {"tags": {"floor": None}}, If_Match='"*"')
        assert again.json["tags"] == {"site": "lab"}
        replaced = await hub.call("PUT", "/twins/edge-01", {"tags": {"only": 1}}, If_Match='"*"')
        assert replaced.json["tags"] == {"only": 1}
        assert set(replaced.json["properties"]["desired"]) == {"$metadata", "$version"}

    with_hub(work)


def test_a_twin_can_be_sent_back_as_it_was_read() -> None:
    async def work(hub: HubService) -> None:
        await hub.call("PATCH", "/twins/edge-01", {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}})
        twin = await hub.get("/twins/edge-01")
        answer = await hub.call("PATCH", "/twins/edge-01", twin, If_Match=f'"{twin["etag"]}"')
        assert answer.status == 200
        assert answer.json["tags"] == {"a": 1}
        assert answer.json["properties"]["desired"]["b"] == 2

    with_hub(work)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"tags": []}, 400, "ArgumentInvalid"),
        ({"properties": []}, 400, "ArgumentInvalid"),
        ({"properties": {"desired": "x"}}, 400, "ArgumentInvalid"),
        ({"properties": {"desired": {"a.b": 1}}}, 400, "ArgumentInvalid"),
        ({"properties": {"desired": {"a": {"$b": 1}}}}, 400, "ArgumentInvalid"),
        ({"properties": {"desired": {"a": "x" * 4097}}}, 400, "ArgumentInvalid"),
        ({"properties": {"desired": {"a": 2**53}}}, 400, "ArgumentInvalid"),
        ({"properties": {"desired": {str(n): "x" * 4000 for n in range(9)}}}, 403, "DeviceModelMaxPropertiesExceeded"),
        ({"tags": {str(n): "x" * 4000 for n in range(3)}}, 403, "DeviceModelMaxPropertiesExceeded"),
    ],
)
def test_the_limits_of_a_twin_hold(change: Any, status: int, code: str) -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.call("PATCH", "/twins/edge-01", change)
        assert (answer.status, answer.code) == (status, code)
        answer = await hub.call("PATCH", "/twins/edge-01/modules/$edgeHub", change)
        assert (answer.status, answer.code) == (status, code)

    with_hub(work)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_an_object_is_refused(raw: bytes) -> None:
    async def work(hub: HubService) -> None:
        for method, path in (("PATCH", "/twins/edge-01"), ("POST", APPLY), ("PUT", "/configurations/c1")):
            answer = await hub.call(method, path, raw=raw)
            assert (answer.status, answer.code) == (400, "ArgumentInvalid")

    with_hub(work)


def entry(desired: Any) -> dict[str, Any]:
    return {"properties.desired": desired}


MALFORMED = [
    {},
    {"modulesContent": {}},
    {"modulesContent": []},
    {"content": content()},
    {"moduleContent": {"properties.desired": {}}},
    {"deviceContent": {"properties.desired.a": 1}},
    {**content(), "comment": "x"},
    {"modulesContent": {"scorer": []}},
    {"modulesContent": {"scorer": entry([])}},
    {"modulesContent": {"scorer": entry(None)}},
    {"modulesContent": {"scorer": {"properties.reported": {}}}},
    {"modulesContent": {"scorer": {"properties.desired.limit": 1}}},
    {"modulesContent": {"sc orer": entry({})}},
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_malformed_content_is_refused_and_changes_nothing(sent: Any) -> None:
    async def work(hub: HubService) -> None:
        before = await hub.get("/devices/edge-01/modules")
        answer = await hub.call("POST", APPLY, sent)
        assert (answer.status, answer.code) == (400, "InvalidConfigurationContent")
        assert [each["moduleId"] for each in await hub.get("/devices/edge-01/modules")] == [
            each["moduleId"] for each in before
        ]

    with_hub(work)


def test_one_module_beyond_a_limit_refuses_the_whole_manifest() -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.apply(content({"scorer": module()}, twins={"scorer": {"a": "x" * 5000}}))
        assert (answer.status, answer.code) == (400, "ArgumentInvalid")
        assert "Property or Tag value should be maximum 4096 bytes" in answer.json["Message"]
        assert (await hub.get("/twins/edge-01/modules/$edgeAgent"))["properties"]["desired"]["$version"] == 1

    with_hub(work)


def test_only_edge_devices_take_manifests() -> None:
    async def work(hub: HubService) -> None:
        await hub.add("leaf", edge=False)
        answer = await hub.apply(content(), device="leaf")
        assert (answer.status, answer.code) == (400, "ArgumentInvalid")
        answer = await hub.apply(content(), device="nobody")
        assert (answer.status, answer.code) == (404, "DeviceNotFound")

    with_hub(work)


def test_what_the_content_leaves_out_stays() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module()}, twins={"scorer": {"limit": 5}}))
        only_hub = {"modulesContent": {"$edgeHub": content()["modulesContent"]["$edgeHub"], "$edgeAgent": {}}}
        assert (await hub.apply(only_hub)).status == 204
        assert [each["moduleId"] for each in await hub.get("/devices/edge-01/modules")] == [
            "$edgeAgent",
            "$edgeHub",
            "scorer",
        ]
        assert (await hub.get("/twins/edge-01/modules/scorer"))["properties"]["desired"]["limit"] == 5
        assert (await hub.get("/twins/edge-01/modules/$edgeHub"))["properties"]["desired"]["$version"] == 3

    with_hub(work)


def test_a_null_in_a_manifest_is_dropped() -> None:
    async def work(hub: HubService) -> None:
        await hub.apply(content({"scorer": module()}, twins={"scorer": {"a": None, "b": {"c": None}}}))
        desired = (await hub.get("/twins/edge-01/modules/scorer"))["properties"]["desired"]
        assert {key: value for key, value in desired.items() if not key.startswith("$")} == {"b": {}}

    with_hub(work)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_python_alone_takes_for_a_number_is_not_json(word: str) -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.call("PATCH", "/twins/edge-01", raw=f'{{"tags": {{"a": {word}}}}}'.encode())
        assert (answer.status, answer.code) == (400, "ArgumentInvalid")

    with_hub(work)


def test_a_text_that_is_not_unicode_is_kept_as_it_came() -> None:
    async def work(hub: HubService) -> None:
        answer = await hub.call("PATCH", "/twins/edge-01", raw=b'{"tags": {"half": "\\ud83d"}}')
        assert answer.status == 200
        assert (await hub.get("/twins/edge-01"))["tags"] == {"half": "\ud83d"}

    with_hub(work)
