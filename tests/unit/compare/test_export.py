from __future__ import annotations

import json
from typing import Any

from manifestgen.compare.export import export as export_manifest


def export(twins: dict[str, Any]) -> dict[str, Any]:
    return dict(export_manifest(twins).content)


def desired(content: dict[str, Any], name: str = "$edgeAgent") -> Any:
    return content["modulesContent"][name]["properties.desired"]


def settings(given: dict[str, Any]) -> Any:
    return desired(export({"$edgeAgent": {"modules": {"a": {"settings": given}}}}))["modules"]["a"]["settings"]


def test_what_the_hub_adds_is_taken_away_and_unknown_fields_stay() -> None:
    twins = {
        "$edgeAgent": {
            "$metadata": {"modules": {}},
            "$version": 4,
            "newer": {"x": 1},
            "modules": {"a": {"newer": 1, "configuration": {"id": "fleet"}, "env": None, "type": "docker"}},
            "schemaVersion": "1.1",
        }
    }
    assert export(twins) == {
        "modulesContent": {
            "$edgeAgent": {
                "properties.desired": {
                    "schemaVersion": "1.1",
                    "modules": {"a": {"type": "docker", "newer": 1}},
                    "newer": {"x": 1},
                }
            }
        }
    }


def test_keys_come_in_the_order_in_which_people_write_them() -> None:
    module = {"env": {}, "settings": {"createOptions": "{}", "image": "x:1"}, "status": "running", "type": "docker"}
    twins: dict[str, dict[str, Any]] = {
        "b": {"y": 1, "x": 1},
        "$edgeHub": {"storeAndForwardConfiguration": {}, "routes": {"z": "", "y": ""}, "schemaVersion": "1.1"},
        "a": {"status": 1, "alpha": 1},
        "$edgeAgent": {"modules": {"a": module}, "runtime": {}, "schemaVersion": "1.1"},
    }
    content = export(twins)
    assert list(content["modulesContent"]) == ["$edgeAgent", "$edgeHub", "a", "b"]
    assert list(desired(content)) == ["schemaVersion", "runtime", "modules"]
    assert list(desired(content)["modules"]["a"]) == ["type", "status", "settings", "env"]
    assert list(desired(content)["modules"]["a"]["settings"]) == ["image", "createOptions"]
    assert list(desired(content, "$edgeHub")) == ["schemaVersion", "routes", "storeAndForwardConfiguration"]
    assert list(desired(content, "a")) == ["alpha", "status"]


def test_chunks_become_one_text_and_an_object_its_text() -> None:
    assert settings({"createOptions": '{"a":', "createOptions01": "1}", "image": "x"}) == {
        "image": "x",
        "createOptions": '{"a":1}',
    }
    assert settings({"createOptions": {"a": 1}}) == {"createOptions": '{"a":1}'}


def test_only_long_create_options_are_in_chunks() -> None:
    text = json.dumps({"Labels": {"l": "x" * 5000}})
    found = settings({"createOptions": text[:512], "createOptions01": text[512:]})
    assert [len(chunk) for chunk in found.values()] == [4096, len(text) - 4096]
    assert "".join(found.values()) == text


def test_chunks_that_are_no_sequence_stay_as_they_are() -> None:
    for broken in ({"createOptions02": "{}"}, {"createOptions": "x" * 4096 * 101}):
        assert settings(broken) == broken
    many = {"createOptions": "{}", **{f"createOptions{number:02d}": "" for number in range(1, 101)}}
    assert settings(many) == many


def test_twins_without_properties_are_left_out() -> None:
    assert export({"$edgeAgent": {}, "a": {"$version": 1}}) == {"modulesContent": {}}


def test_what_is_not_a_module_is_kept() -> None:
    assert desired(export({"$edgeAgent": {"modules": {"a": "text", "b": {"settings": 1}}, "systemModules": []}})) == {
        "systemModules": [],
        "modules": {"a": "text", "b": {"settings": 1}},
    }
