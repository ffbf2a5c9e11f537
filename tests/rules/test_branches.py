"""Decisions within a rule that its cases leave open: what it says, of how many, where, and when it says nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from manifestgen.check import Finding, check
from manifestgen.manifest.document import of_data, read
from manifestgen.manifest.pointer import split

PLAIN: Final = json.loads((Path(__file__).parent / "route-syntax/pass/plain.json").read_text("utf-8"))
AGENT: Final = "/modulesContent/$edgeAgent/properties.desired"
HUB: Final = "/modulesContent/$edgeHub/properties.desired"
SCORER: Final = f"{AGENT}/modules/scorer"
CREDENTIALS: Final = f"{AGENT}/runtime/settings/registryCredentials"
GONE: Final = object()


def found(rule: str, changes: Mapping[str, Any]) -> list[Finding]:
    """What a rule finds in the plain manifest after these changes."""
    return check(of_data(changed(changes)), select=[rule])


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(PLAIN)
    for pointer, value in changes.items():
        outer: Any = data
        *path, last = split(pointer)
        for key in path:
            outer = outer[key]
        if value is GONE:
            del outer[last]
        else:
            outer[last] = value
    return data


def module(**more: Any) -> dict[str, Any]:
    return {**PLAIN["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["scorer"], **more}


def with_options(options: dict[str, Any]) -> dict[str, Any]:
    return {f"{SCORER}/settings/createOptions": json.dumps(options)}


def test_each_further_module_on_a_port_is_one_finding() -> None:
    options = json.dumps({"HostConfig": {"PortBindings": {"1/tcp": [{"HostPort": "8080"}]}}})
    settings = {"image": "mcr.microsoft.com/x:1", "createOptions": options}
    modules = {f"{AGENT}/modules/{name}": module(settings=settings) for name in ("one", "two", "three")}
    assert [one.message for one in found("port-conflict", modules)] == [
        "modules 'one' and 'two' both bind host port 8080/tcp",
        "modules 'one' and 'three' both bind host port 8080/tcp",
    ]


def test_keys_of_options_count_unless_a_tool_makes_a_text_of_them() -> None:
    options = {f"{SCORER}/settings/createOptions": {"Labels": {"a.b": "x"}}}
    assert len(found("twin-limits", options)) == 1
    template = {**options, "/$schema-template": "4.0.0"}
    assert found("twin-limits", template) == []
    beside = found("twin-limits", {**template, f"{SCORER}/settings/a.b": "x"})
    assert [one.pointer for one in beside] == [f"{SCORER}/settings/a.b"]


@pytest.mark.parametrize("source", ["/*", "/messages/*", "/messages/modules/*"])
def test_every_source_that_takes_in_all_modules_may_be_a_loop(source: str) -> None:
    route = f'FROM {source} INTO BrokeredEndpoint("/modules/scorer/inputs/in")'
    assert len(found("route-loop", {f"{HUB}/routes": {"all": route}})) == 1


def test_a_route_needs_its_module_if_there_are_any() -> None:
    none = {f"{AGENT}/modules": GONE, "/modulesContent/scorer": GONE}
    assert len(found("route-module", none)) == 3  # two sources and a sink
    assert found("route-module", {**none, f"{AGENT}/systemModules": GONE}) == []


def test_credentials_without_an_address_match_nothing_and_no_other() -> None:
    entries = {"one": {"username": "u"}, "two": {"address": 5}, "three": {"address": 5}}
    assert found("credential-twice", {CREDENTIALS: entries}) == []
    assert found("credential-unused", {CREDENTIALS: entries}) == []
    # The one without an address may be the one that is missing: credential-shape says what is wrong with it.
    assert found("credential-missing", {CREDENTIALS: entries}) == []
    del entries["one"]
    assert len(found("credential-missing", {CREDENTIALS: entries})) == 1


@pytest.mark.parametrize(
    "malformed",
    [
        {f"{AGENT}/modules/other": "none"},
        {f"{AGENT}/modules/other": module(settings={})},
        {f"{AGENT}/modules/other": module(settings={"image": " "})},
        {f"{AGENT}/modules": [1]},
        {f"{AGENT}/systemModules": 5},
    ],
)
def test_a_credential_is_unused_only_if_all_images_can_be_read(malformed: dict[str, Any]) -> None:
    entry = {CREDENTIALS: {"one": {"address": "elsewhere.azurecr.io", "username": "u", "password": "p"}}}
    assert len(found("credential-unused", entry)) == 1
    assert found("credential-unused", entry | malformed) == []


@pytest.mark.parametrize("rule", ["route-module", "twin-module"])
def test_modules_that_are_no_object_have_no_names_to_compare_with(rule: str) -> None:
    routes = {f"{HUB}/routes": {"r": "FROM /messages/modules/gone/* INTO $upstream"}}
    assert found(rule, {**routes, f"{AGENT}/modules": {}})
    assert found(rule, {**routes, f"{AGENT}/modules": [1]}) == []


def test_a_hub_beside_an_agent_that_is_no_object_is_not_a_layer() -> None:
    assert found("layer-replaces-hub", {"/modulesContent/$edgeAgent": {"properties.desired.modules.x": module()}})
    assert found("layer-replaces-hub", {"/modulesContent/$edgeAgent": " "}) == []


@pytest.mark.parametrize(
    ("place", "name", "typo"), [(SCORER, "restartPolicy", "restartPolcy"), (AGENT, "modules", "module")]
)
def test_a_name_that_is_misspelled_is_not_missing_too(place: str, name: str, typo: str) -> None:
    assert len(found("other-tools", {f"{place}/{name}": GONE})) == 1
    (problem,) = found("other-tools", {f"{place}/{name}": GONE, f"{place}/{typo}": "always"})
    assert (problem.pointer, problem.fix) == (f"{place}/{typo}", f"did you mean {name!r}?")


def test_a_key_that_the_hub_refuses_is_one_finding() -> None:
    assert found("module-name", {f"{AGENT}/modules/a\x01b": module()}) == []
    assert len(found("twin-limits", {f"{AGENT}/modules/a\x01b": module()})) == 1


@pytest.mark.parametrize(("entries", "findings"), [(GONE, 1), ({}, 1), ("none", 0), ("${CREDENTIALS}", 0)])
def test_a_credential_is_missing_unless_all_of_them_are_left_open(entries: Any, findings: int) -> None:
    assert len(found("credential-missing", {CREDENTIALS: entries})) == findings


@pytest.mark.parametrize(
    ("image", "address", "fix"),
    [
        ("https://acme.azurecr.io/scorer:1", "acme.azurecr.io", None),
        ("mcr.microsoft.com/x:1", "acme.azurecr.io:443", None),
        ("mcr.microsoft.com/x:1", "https://acme.azurecr.io", None),
        ("mcr.microsoft.com/x:1", " acme.azurecr.io", None),
        ("mcr.microsoft.com/x:1", "", None),
        ("acme/scorer:1", "docker.io", "write 'https://index.docker.io/v1/'"),
        ("acme/scorer:1", "acme.azurecr.io", "write the host as the images name it, or remove the entry"),
        ("mcr.microsoft.com/x:1", "docker.io", "write the host as the images name it, or remove the entry"),
    ],
)
def test_a_credential_is_unused_only_where_no_other_rule_says_why(image: str, address: str, fix: str | None) -> None:
    entry = {"address": address, "username": "u", "password": "example-password"}
    findings = found("credential-unused", {f"{SCORER}/settings/image": image, CREDENTIALS: {"acme": entry}})
    assert [one.fix for one in findings] == ([] if fix is None else [fix])


@pytest.mark.parametrize("store", [GONE, "x", None, {"timeToLiveSecs": 1}])
def test_only_a_time_of_zero_or_less_is_one(store: Any) -> None:
    assert found("store-time", {f"{HUB}/storeAndForwardConfiguration": store}) == []


def test_all_keys_of_a_module_are_known_to_other_tools() -> None:
    keys = {"startupOrder": 5, "imagePullPolicy": "never", "version": "1", "env": {}, "configuration": {"id": "x"}}
    assert found("other-tools", {SCORER: module(**keys)}) == []
    assert [one.message for one in found("other-tools", {f"{AGENT}/modules": GONE})] == [
        "other tools reject '$edgeAgent' without 'modules'"
    ]


def test_only_a_system_module_with_a_folder_needs_its_owner() -> None:
    options = {"Binds": ["/srv/x:/x"]}
    env = {"storageFolder": {"value": "/x"}}
    settings = {"image": "mcr.microsoft.com/x:1", "createOptions": json.dumps({"HostConfig": options})}
    assert found("storage-owner", {SCORER: module(env=env, settings=settings)}) == []
    edge_hub = {f"{AGENT}/systemModules/edgeHub/settings/createOptions": settings["createOptions"]}
    assert found("storage-owner", {**edge_hub, f"{AGENT}/systemModules/edgeHub/env": {}}) == []
    assert len(found("storage-owner", {**edge_hub, f"{AGENT}/systemModules/edgeHub/env": env})) == 1


# CreateOrUpdateCommand.cs sets them.
OVERWRITTEN: Final = (
    "IOTEDGE_APIVERSION", "IOTEDGE_AUTHSCHEME", "IOTEDGE_DEVICEID", "IOTEDGE_GATEWAYHOSTNAME",
    "IOTEDGE_IOTHUBHOSTNAME", "IOTEDGE_MODULEGENERATIONID", "IOTEDGE_MODULEID", "IOTEDGE_WORKLOADURI",
)  # fmt: skip
OF_THE_AGENT: Final = ("IOTEDGE_MANAGEMENTURI", "IOTEDGE_WORKLOADLISTEN_MNTURI")


def test_each_variable_that_edge_agent_sets_is_named() -> None:
    env = {name: {"value": "x"} for name in (*OVERWRITTEN, *OF_THE_AGENT, "IOTEDGE_OTHER")}
    of_a_module = found("overwritten-env", {f"{SCORER}/env": env})
    of_the_agent = found("overwritten-env", {f"{AGENT}/systemModules/edgeAgent/env": env})
    assert [split(one.pointer)[-1] for one in of_a_module] == list(OVERWRITTEN)
    assert [split(one.pointer)[-1] for one in of_the_agent] == [*OVERWRITTEN, *OF_THE_AGENT]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"CapAdd": ["NET_ADMIN"]}, "'CapAdd'"),
        ({"Privileged": True}, "'Privileged'"),
        ({"Binds": ["/var/run/docker.sock:/x"]}, "Docker's socket"),
        ({"CapAdd": []}, None),
        ({"Binds": ["/srv:/x"]}, None),
    ],
)
def test_what_a_module_asks_for_is_named(options: dict[str, Any], asked: str | None) -> None:
    findings = found("elevated", with_options({"HostConfig": options}))
    assert [asked in one.message for one in findings if asked] == ([True] if asked else [])
    assert bool(findings) == bool(asked)


# Newtonsoft.Json converts a number that has no name, too, and here nothing asks for one.
@pytest.mark.parametrize(
    ("direction", "findings"),
    [("in", 0), ("both", 0), (0, 0), (2, 0), (3, 0), ("3", 0), ("up", 1), (True, 1)],
)
def test_a_bridge_has_a_direction_by_name_or_number(direction: Any, findings: int) -> None:
    bridges = [{"endpoint": "$upstream", "settings": [{"direction": direction, "topic": "t"}]}]
    broker = {f"{HUB}/schemaVersion": "1.2", f"{HUB}/mqttBroker": {"bridges": bridges}}
    assert len(found("mqtt-broker", broker)) == findings


def test_credentials_in_the_wrong_section_are_told_where_they_belong() -> None:
    entry = {"acme": {"address": "acme.azurecr.io", "username": "u", "password": "example-password"}}
    (finding,) = found("misplaced-section", {f"{AGENT}/registryCredentials": entry, CREDENTIALS: {}})
    assert finding.fix == "move it to 'runtime.settings' of '$edgeAgent'"


def test_of_two_versions_the_second_image_is_pointed_at() -> None:
    image = f"{AGENT}/systemModules/edgeHub/settings/image"
    data = changed({image: "mcr.microsoft.com/azureiotedge-hub:1.5"})
    document = read(json.dumps(data))
    (finding,) = check(document, select=["version-skew"])
    assert finding.pointer == image
    assert document.text[finding.offset :][: finding.length] == "azureiotedge-hub:1.5"
