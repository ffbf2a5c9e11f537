from __future__ import annotations

import copy
from typing import Any

import pytest

from manifestgen import diff_manifests
from manifestgen.compare.diff import Change, Effect, patch
from manifestgen.compare.normal import normal
from manifestgen.manifest.manifest import Manifest

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


def diff(before: dict[str, Any], after: dict[str, Any]) -> tuple[Change, ...]:
    return diff_manifests(Manifest.of(before), Manifest.of(after))


def changed() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    content = copy.deepcopy(CONTENT)
    agent = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    return content, agent, content["modulesContent"]["$edgeHub"]["properties.desired"]


def test_a_manifest_and_itself_have_no_changes() -> None:
    manifest = Manifest.of(CONTENT)
    assert diff_manifests(manifest, manifest) == ()
    assert diff(CONTENT, copy.deepcopy(CONTENT)) == ()


def test_the_form_in_which_a_file_wraps_a_manifest_is_not_a_change() -> None:
    exported = Manifest.of({"id": "fleet", "content": copy.deepcopy(CONTENT)})
    assert diff_manifests(exported, Manifest.of(CONTENT)) == ()


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


def test_env_and_twins_may_hold_secrets_so_only_their_names_are_reported() -> None:
    content, agent, _ = changed()
    agent["modules"]["b"]["env"] = {"KEY": {"value": "canary-env"}}
    content["modulesContent"]["a"]["properties.desired"]["threshold"] = "canary-twin"
    text = " ".join(f"{change} {field}" for change in diff(CONTENT, content) for field in change.fields)
    assert text == "module b env KEY module twin a /threshold"


def test_of_each_variable_it_is_reported_whether_it_is_new_gone_or_another() -> None:
    before = {**RUNNING, "env": {"KEPT": {"value": "1"}, "GONE": {"value": "2"}, "OTHER": {"value": "3"}}}
    after = {**RUNNING, "env": {"KEPT": {"value": "1"}, "NEW": {"value": "4"}, "OTHER": {"value": "5"}}}
    change = of_module(before, after)
    told = [(field.kind, field.field, field.before, field.after) for field in change.fields]
    assert told == [
        ("removed", "env GONE", None, None),
        ("added", "env NEW", None, None),
        ("changed", "env OTHER", None, None),
    ]


@pytest.mark.parametrize(
    ("before", "after", "kind"), [({}, {"version": "1"}, "added"), ({"version": "1"}, {}, "removed")]
)
def test_the_kind_of_a_field_is_reported_where_its_values_are_shown_too(before: Any, after: Any, kind: str) -> None:
    (field,) = of_module({**RUNNING, **before}, {**RUNNING, **after}).fields
    assert (field.kind, str(field)) == (kind, "version: 1")


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


RUNNING: dict[str, Any] = {"type": "docker", "status": "running", "settings": {"image": "x/a:1"}}


def of_module(before: dict[str, Any], after: dict[str, Any], *, system: str = "") -> Any:
    """The one change between two manifests that differ in one module."""
    section, name = ("systemModules", system) if system else ("modules", "m")
    old, new = (
        {"modulesContent": {"$edgeAgent": {"properties.desired": {section: {name: module}}}}}
        for module in (before, after)
    )
    changes = diff(old, new)
    return changes[0] if changes else None


@pytest.mark.parametrize(
    ("more", "effect"),
    [
        ({"status": "stopped"}, Effect.STOPPED),
        ({"status": "failed"}, Effect.NOTED),
        ({"restartPolicy": "never"}, Effect.RECREATED),
        ({"startupOrder": 1}, Effect.RECREATED),
        ({"imagePullPolicy": "never"}, Effect.RECREATED),
        ({"version": "2"}, Effect.RECREATED),
        ({"env": {"A": {"value": "1"}}}, Effect.RECREATED),
        ({"settings": {"image": "x/a:2"}}, Effect.RECREATED),
        ({"settings": {"image": "x/a:1", "digest": "sha256:0"}}, Effect.RECREATED),
        ({"status": "stopped", "startupOrder": 1}, Effect.RECREATED),
        ({"newer": 1}, Effect.NOTED),
        ({"settings": {"image": "x/a:1", "newer": 1}}, Effect.NOTED),
    ],
)
def test_a_change_says_what_becomes_of_the_container(more: dict[str, Any], effect: Effect) -> None:
    assert of_module(RUNNING, {**RUNNING, **more}).effect is effect
    assert of_module(RUNNING, {**RUNNING, **more}, system="edgeHub").effect is effect


def test_a_stopped_module_that_shall_run_is_started() -> None:
    assert of_module({**RUNNING, "status": "stopped"}, RUNNING).effect is Effect.STARTED


@pytest.mark.parametrize(
    ("more", "effect"),
    [
        ({"settings": {"image": "x/a:2"}}, Effect.RECREATED),
        ({"env": {"A": {"value": "1"}}}, Effect.RECREATED),
        ({"version": "2"}, Effect.NOTED),
        ({"imagePullPolicy": "never"}, Effect.NOTED),
    ],
)
def test_edge_agent_replaces_itself_for_image_env_and_create_options_only(more: dict[str, Any], effect: Effect) -> None:
    assert of_module(RUNNING, {**RUNNING, **more}, system="edgeAgent").effect is effect


def test_what_no_container_restarts_for_says_so() -> None:
    content, agent, hub = changed()
    agent["runtime"]["settings"]["registryCredentials"]["acme"]["password"] = "new"
    agent["runtime"]["settings"]["minDockerVersion"] = "v1.25"
    hub["routes"]["new"] = "FROM /* INTO $upstream"
    content["modulesContent"]["a"]["properties.desired"]["threshold"] = 4
    assert {change.subject: change.effect.value for change in diff(CONTENT, content)} == {
        "route": "none",
        "registry credential": "noted",
        "module twin": "none",
        "runtime": "noted",
    }


@pytest.mark.parametrize(
    "more",
    [
        {"Status": "Running", "status": None},
        {"restartPolicy": "on-unhealthy"},
        {"restartPolicy": "OnUnhealthy"},
        {"imagePullPolicy": "On-Create", "startupOrder": "4294967295", "version": "", "env": {}},
        {"env": None, "configuration": {"id": "fleet-1"}},
        {"settings": {"IMAGE": " x/a:1 ", "createOptions": "null"}},
        {"settings": {"image": "x/a:1", "createOptions": {"HostConfig": None}}},
    ],
)
def test_defaults_and_cases_are_clothes(more: dict[str, Any]) -> None:
    module = {key: value for key, value in {**RUNNING, **more}.items() if value is not None}
    assert of_module(RUNNING, module) is None


def test_edge_hub_is_always_restarted_unless_it_says_otherwise() -> None:
    always = {**RUNNING, "restartPolicy": "always"}
    assert of_module(RUNNING, always, system="edgeHub") is None
    assert of_module(RUNNING, always) is not None


def test_true_is_not_one() -> None:
    assert of_module({**RUNNING, "newer": 1}, {**RUNNING, "newer": True}) is not None


def test_an_image_without_a_tag_is_the_latest() -> None:
    latest = {**RUNNING, "settings": {"image": "x/a:latest"}}
    assert of_module({**RUNNING, "settings": {"image": "x/a"}}, latest) is None


def test_create_options_are_compared_inside_and_their_env_by_name() -> None:
    before = {"Env": ["A=1", "B=canary"], "HostConfig": {"PortBindings": {"443/tcp": [{"HostPort": "443"}]}}}
    after = {
        "Env": ["A=1", "B=canary-2", "C=canary"],
        "HostConfig": {"PortBindings": {"443/tcp": [{"HostPort": "8443"}]}, "Privileged": True},
        "Labels": {"l": "canary"},
    }
    old, new = ({**RUNNING, "settings": {"image": "x/a:1", "createOptions": options}} for options in (before, after))
    assert [str(field) for field in of_module(old, new).fields] == [
        "createOptions /Env B",
        "createOptions /Env C",
        'createOptions /HostConfig/PortBindings/443~1tcp: [{"HostPort":"443"}] -> [{"HostPort":"8443"}]',
        "createOptions /HostConfig/Privileged: true",
        "createOptions /Labels/l",
    ]


@pytest.mark.parametrize("options", ["{", "[]", '"{}"', "[" * 100 + "]" * 100])
def test_create_options_that_cannot_be_read_are_compared_as_text(options: str) -> None:
    broken = {**RUNNING, "settings": {"image": "x/a:1", "createOptions": options}}
    assert [str(field) for field in of_module(RUNNING, broken).fields] == ["createOptions"]
    assert of_module(broken, copy.deepcopy(broken)) is None


def test_chunks_out_of_sequence_are_compared_as_they_are() -> None:
    broken = {**RUNNING, "settings": {"image": "x/a:1", "createOptions02": "{}"}}
    assert [str(field) for field in of_module(RUNNING, broken).fields] == ["createOptions02"]


def test_the_address_of_a_credential_is_reported_and_its_user_only_named() -> None:
    content, agent, _ = changed()
    entry = agent["runtime"]["settings"]["registryCredentials"]["acme"]
    entry.update(address="other.azurecr.io", username="canary")
    (change,) = diff(CONTENT, content)
    assert [str(field) for field in change.fields] == ["address: acme.azurecr.io -> other.azurecr.io", "username"]
    entry["address"] = "user:canary@other.azurecr.io"
    assert "canary" not in repr(diff(CONTENT, content))


def test_an_object_route_that_says_no_more_than_its_text_is_not_a_change_unless_the_hub_takes_texts_only() -> None:
    content, _, hub = changed()
    hub["routes"]["up"] = {"Route": "FROM /messages/* INTO $upstream", "timeToLiveSecs": 0}
    assert diff(CONTENT, content) == ()
    hub["schemaVersion"] = "1.0"
    assert [str(change) for change in diff(CONTENT, content)] == ["route up", "property $edgeHub schemaVersion"]


def test_a_new_schema_version_is_shown() -> None:
    content, agent, _ = changed()
    agent["schemaVersion"] = "1.0"
    (change,) = diff(CONTENT, content)
    assert [str(field) for field in change.fields] == ["schemaVersion: 1.1 -> 1.0"]


def test_a_twin_is_cleared_only_if_the_manifest_says_so() -> None:
    content, _, _ = changed()
    content["modulesContent"]["a"]["properties.desired"] = {}
    (change,) = diff(CONTENT, content)
    assert (change.kind, change.subject) == ("removed", "module twin")
    del content["modulesContent"]["a"]
    assert diff(content, {"modulesContent": {**content["modulesContent"], "a": {"properties.desired": {}}}}) == ()


@pytest.mark.parametrize("broken", [None, [], "text", 5, {"properties.desired": "text"}, {"other": 1}])
def test_what_is_not_a_manifest_at_all_can_be_compared_and_patched(broken: Any) -> None:
    content = {"modulesContent": {**CONTENT["modulesContent"], "$edgeAgent": broken}}
    for before, after in ((CONTENT, content), (content, CONTENT)):
        changes = diff(before, after)
        assert changes
        assert diff_manifests(patch(Manifest.of(before), changes), Manifest.of(after)) == ()


def test_what_a_route_gains_is_shown_when_it_becomes_an_object() -> None:
    content, _, hub = changed()
    hub["routes"] = {"up": {"route": "FROM /messages/* INTO $upstream", "priority": 3}}
    (change,) = diff(CONTENT, content)
    assert [str(field) for field in change.fields] == ["priority: 3"]
    hub["routes"] = {"up": "FROM /messages/modules/a INTO $upstream"}
    (change,) = diff(CONTENT, content)
    (field,) = change.fields
    assert str(field) == "route: FROM /messages/* INTO $upstream -> FROM /messages/modules/a INTO $upstream"


def test_values_are_shown_in_their_own_letters_and_without_spaces() -> None:
    content, agent, _ = changed()
    agent["modules"]["a"]["settings"]["createOptions"] = '{"Env": ["A=1"], "HostConfig": {"Binds": ["/größe:/x", "b"]}}'
    (change,) = diff(CONTENT, content)
    assert [str(field) for field in change.fields] == ['createOptions /HostConfig/Binds: ["/größe:/x","b"]']


def test_many_brackets_are_not_deep_ones() -> None:
    ports = ", ".join(f'"{number}/tcp": [{{"HostPort": "{number}"}}]' for number in range(1, 60))
    options = f'{{"HostConfig": {{"PortBindings": {{{ports}}}}}}}'
    assert (
        of_module(
            {"settings": {"image": "x/m:1", "createOptions": options}},
            {"settings": {"image": "x/m:1", "createOptions": options.replace(" ", "")}},
        )
        is None
    )


def test_a_runtime_without_credentials_may_say_so() -> None:
    content, agent, _ = changed()
    agent["runtime"]["settings"] = {"registryCredentials": {}}
    other, agent, _ = changed()
    agent["runtime"]["settings"] = {}
    assert diff(content, other) == ()


def test_the_words_for_what_becomes_of_a_container_are_an_interface() -> None:
    words = "created recreated started stopped removed noted none"
    assert [effect.value for effect in Effect] == words.split()


@pytest.mark.parametrize(("section", "effect"), [("$edgeAgent", Effect.NOTED), ("$edgeHub", Effect.NONE)])
def test_a_property_of_the_runtime_that_is_not_known_restarts_nothing(section: str, effect: Effect) -> None:
    content, _, _ = changed()
    content["modulesContent"][section]["properties.desired"]["newer"] = 1
    (change,) = diff(CONTENT, content)
    assert (change.subject, change.effect) == ("property", effect)


@pytest.mark.parametrize("broken", ["a text", ["A=1"], 5])
def test_an_env_that_is_broken_on_one_side_is_named_as_a_whole(broken: Any) -> None:
    for before, after in (({"A": {"value": "1"}}, broken), (broken, {"A": {"value": "1"}})):
        change = of_module({**RUNNING, "env": before}, {**RUNNING, "env": after})
        assert [str(field) for field in change.fields] == ["env"]


def test_a_longer_list_is_another_list_and_a_number_is_its_text() -> None:
    options = [{"settings": {"image": "x/a:1", "createOptions": {"Cmd": cmd}}} for cmd in (["a"], ["a", "b"])]
    assert of_module(*options) is not None and of_module(*reversed(options)) is not None
    assert of_module({"env": {"A": {"value": 5}}}, {"env": {"A": {"value": "5"}}}) is None


def test_the_keys_of_a_credential_are_read_in_any_case() -> None:
    content, agent, _ = changed()
    agent["runtime"]["settings"]["registryCredentials"]["acme"] = {
        "Address": "acme.azurecr.io", "UserName": "u", "PASSWORD": "p"
    }  # fmt: skip
    assert diff(CONTENT, content) == ()


def test_the_normal_form_has_credentials_in_their_own_case_and_no_empty_ones() -> None:
    content, agent, _ = changed()
    settings = agent["runtime"]["settings"]
    settings["registryCredentials"]["acme"] = {"Address": "acme.azurecr.io", "UserName": "u", "PASSWORD": "p"}
    written = normal(Manifest.of(content)).entries["$edgeAgent"]["properties.desired"]["runtime"]["settings"]
    assert set(written["registryCredentials"]["acme"]) == {"address", "username", "password"}
    settings["registryCredentials"] = {}
    written = normal(Manifest.of(content)).entries["$edgeAgent"]["properties.desired"]["runtime"]
    assert "settings" not in written
