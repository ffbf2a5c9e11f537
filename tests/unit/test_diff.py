from __future__ import annotations

import copy
from typing import Any

import pytest

from manifestgen.diff import diff

CONTENT: dict[str, Any] = {
    "modulesContent": {
        "$edgeAgent": {
            "properties.desired": {
                "schemaVersion": "1.1",
                "runtime": {
                    "type": "docker",
                    "settings": {
                        "registryCredentials": {
                            "acme": {"address": "acme.azurecr.io", "username": "u", "password": "p"}
                        }
                    },
                },
                "systemModules": {"edgeHub": {"type": "docker", "settings": {"image": "hub:1.6"}}},
                "modules": {
                    "a": {"status": "running", "settings": {"image": "x/a:1", "createOptions": '{"Env": ["A=1"]}'}},
                    "b": {"status": "running", "settings": {"image": "x/b:1"}},
                },
            }
        },
        "$edgeHub": {
            "properties.desired": {
                "routes": {"up": "FROM /messages/* INTO $upstream"},
                "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
            }
        },
        "a": {"properties.desired": {"threshold": 3}},
    }
}


def changed() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    content = copy.deepcopy(CONTENT)
    agent = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    return content, agent, content["modulesContent"]["$edgeHub"]["properties.desired"]


def test_a_manifest_and_itself_have_no_changes() -> None:
    assert diff(CONTENT, copy.deepcopy(CONTENT)) == ()


@pytest.mark.parametrize(
    "settings",
    [
        {"image": "x/a:1", "createOptions": {"Env": ["A=1"]}},
        {"image": "x/a:1", "createOptions": '{"Env":["A=1"]}'},
        {"image": "x/a:1", "createOptions": '{"Env":', "createOptions01": ' ["A=1"]}'},
    ],
)
def test_create_options_in_other_clothes_are_equal(settings: dict[str, Any]) -> None:
    content, agent, _ = changed()
    agent["modules"]["a"]["settings"] = settings
    assert diff(CONTENT, content) == ()


def test_modules_are_added_removed_and_changed_by_name() -> None:
    content, agent, _ = changed()
    del agent["modules"]["b"]
    agent["modules"]["c"] = {"status": "running", "settings": {"image": "x/c:1"}}
    agent["modules"]["a"]["settings"]["image"] = "x/a:2"
    changes = diff(CONTENT, content)
    assert [(change.kind, change.subject, change.name) for change in changes] == [
        ("changed", "module", "a"),
        ("removed", "module", "b"),
        ("added", "module", "c"),
    ]
    assert str(changes[0].fields[0]) == "image: x/a:1 -> x/a:2"


def test_a_changed_credential_is_said_and_its_values_are_not() -> None:
    content, agent, _ = changed()
    agent["runtime"]["settings"]["registryCredentials"]["acme"]["password"] = "canary-password"
    (change,) = diff(CONTENT, content)
    assert (change.kind, change.subject, change.name, change.fields) == ("changed", "registry credential", "acme", ())
    assert "canary-password" not in repr(change)


def test_env_and_twins_may_hold_secrets_so_only_their_names_are_told() -> None:
    content, agent, _ = changed()
    agent["modules"]["b"]["env"] = {"KEY": {"value": "canary-env"}}
    content["modulesContent"]["a"]["properties.desired"]["threshold"] = "canary-twin"
    text = " ".join(f"{change} {field}" for change in diff(CONTENT, content) for field in change.fields)
    assert text == "module b env KEY module twin a /threshold"


def test_a_twin_that_the_new_manifest_leaves_out_is_left_alone() -> None:
    content, _, _ = changed()
    del content["modulesContent"]["a"]
    assert diff(CONTENT, content) == ()


def test_routes_and_store_and_forward_are_subjects_of_their_own() -> None:
    content, _, hub = changed()
    hub["routes"] = {"up": {"route": "FROM /messages/* INTO $upstream", "priority": 1}, "new": "FROM /* INTO $upstream"}
    hub["storeAndForwardConfiguration"] = {"timeToLiveSecs": 60}
    changes = diff(CONTENT, content)
    assert [(change.kind, str(change)) for change in changes] == [
        ("added", "route new"),
        ("changed", "route up"),
        ("changed", "store and forward configuration"),
    ]


def test_malformed_parts_are_compared_as_they_are() -> None:
    content, agent, _ = changed()
    agent["modules"]["a"] = "not a module"
    assert [str(change) for change in diff(CONTENT, content)] == ["module a"]
    agent["modules"] = "not modules"
    assert {change.kind for change in diff(CONTENT, content)} == {"removed"}
