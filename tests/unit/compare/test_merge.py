from __future__ import annotations

import copy
from typing import Any

import pytest

from manifestgen.check import check_data
from manifestgen.compare.merge import Merged
from manifestgen.compare.merge import merge as merge_manifests
from manifestgen.manifest.manifest import Manifest


def merge(file: dict[str, Any], device: dict[str, Any]) -> Merged:
    return merge_manifests(Manifest.of(file), Manifest.of(device))


def merged_content(file: dict[str, Any], device: dict[str, Any]) -> dict[str, Any]:
    return dict(merge(file, device).manifest.content)


def module(image: str, **more: Any) -> dict[str, Any]:
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": image}, **more}


def credential(address: str, password: str = "p4ssw0rd") -> dict[str, str]:  # noqa: S107 - a canary
    return {"address": address, "username": "u", "password": password}


def manifest(
    modules: dict[str, Any],
    *,
    routes: dict[str, Any] | None = None,
    credentials: dict[str, Any] | None = None,
    twins: dict[str, Any] | None = None,
    version: str = "1.1",
) -> dict[str, Any]:
    hub = {"type": "docker", "status": "running", "restartPolicy": "always"}
    entries = {
        "$edgeAgent": {
            "schemaVersion": "1.1",
            "runtime": {"type": "docker", "settings": {"registryCredentials": credentials or {}}},
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}},
                "edgeHub": {**hub, "settings": {"image": "mcr.microsoft.com/azureiotedge-hub:1.6"}},
            },
            "modules": modules,
        },
        "$edgeHub": {
            "schemaVersion": version,
            "routes": routes or {},
            "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        },
        **(twins or {}),
    }
    return {"modulesContent": {name: {"properties.desired": desired} for name, desired in entries.items()}}


def agent(content: dict[str, Any]) -> Any:
    return content["modulesContent"]["$edgeAgent"]["properties.desired"]


def hub(content: dict[str, Any]) -> Any:
    return content["modulesContent"]["$edgeHub"]["properties.desired"]


DEVICE = manifest(
    {"a": module("acme.azurecr.io/a:1", newer=1), "b": module("acme.azurecr.io/b:1", env={"OLD": {"value": "1"}})},
    routes={"up": "FROM /messages/* INTO $upstream", "a": "FROM /messages/modules/a/* INTO $upstream"},
    credentials={"acme": credential("acme.azurecr.io"), "theirs": credential("their.azurecr.io")},
    twins={"a": {"threshold": 3}, "b": {"mine": 1, "limits": {"low": 1, "high": 2}}},
)
FILE = manifest(
    {"b": module("acme.azurecr.io/b:2"), "c": module("acme.azurecr.io/c:1")},
    routes={"up": "FROM /* INTO $upstream"},
    credentials={"acme": credential("acme.azurecr.io", "n3w-p4ss")},
    twins={"b": {"limits": {"low": 0}}},
)


def test_what_the_file_does_not_name_is_kept() -> None:
    merged = merged_content(FILE, DEVICE)
    assert set(agent(merged)["modules"]) == {"a", "b", "c"}
    assert agent(merged)["modules"]["a"] == agent(DEVICE)["modules"]["a"]
    assert merged["modulesContent"]["a"] == DEVICE["modulesContent"]["a"]
    assert hub(merged)["routes"]["a"] == hub(DEVICE)["routes"]["a"]
    assert set(agent(merged)["runtime"]["settings"]["registryCredentials"]) == {"acme", "theirs"}


def test_a_module_that_the_file_names_is_the_files_in_all_that_the_runtime_knows() -> None:
    device = copy.deepcopy(DEVICE)
    agent(device)["modules"]["b"].update(newer={"x": 1}, startupOrder=1)
    agent(device)["modules"]["b"]["settings"].update(createOptions="{}", Digest="sha256:0", later=True)
    merged = agent(merged_content(FILE, device))["modules"]["b"]
    assert merged == {
        **module("acme.azurecr.io/b:2"),
        "newer": {"x": 1},
        "settings": {"image": "acme.azurecr.io/b:2", "later": True},
    }


def test_a_variable_keeps_the_fields_that_the_runtime_does_not_know() -> None:
    file, device = copy.deepcopy(FILE), copy.deepcopy(DEVICE)
    agent(file)["modules"]["b"]["env"] = {"A": {"value": "2"}}
    agent(device)["modules"]["b"]["env"] = {"A": {"value": "1", "from": "vault"}, "OLD": {"value": "1"}}
    assert agent(merged_content(file, device))["modules"]["b"]["env"] == {"A": {"value": "2", "from": "vault"}}


def test_in_a_twin_each_property_counts_for_itself() -> None:
    twin = merged_content(FILE, DEVICE)["modulesContent"]["b"]["properties.desired"]
    assert twin == {"limits": {"low": 0, "high": 2}, "mine": 1}


def test_origins_say_whose_each_subject_is() -> None:
    origins = merge(FILE, DEVICE).origins
    assert {key: origins[key] for key in origins if key[0] in ("module", "route", "module twin")} == {
        ("module", "a"): "device",
        ("module", "b"): "both",
        ("module", "c"): "file",
        ("route", "up"): "both",
        ("route", "a"): "device",
        ("module twin", "a"): "device",
        ("module twin", "b"): "both",
    }


def test_a_route_of_the_same_name_is_a_conflict_and_the_files_is_taken() -> None:
    merged = merge(FILE, DEVICE)
    (conflict,) = merged.conflicts
    assert (conflict.subject, conflict.name) == ("route", "up")
    assert hub(dict(merged.manifest.content))["routes"]["up"] == "FROM /* INTO $upstream"


def test_a_credential_key_with_another_address_is_a_conflict_and_the_files_is_taken() -> None:
    file = manifest({}, credentials={"theirs": credential("other.azurecr.io", "n3w-p4ss")})
    merged = merge(file, DEVICE)
    (conflict,) = merged.conflicts
    assert (conflict.subject, conflict.name) == ("registry credential", "theirs")
    assert "'other.azurecr.io'" in conflict.message
    assert "'their.azurecr.io'" in conflict.message
    assert "p4ss" not in repr(merged)
    entries = agent(dict(merged.manifest.content))["runtime"]["settings"]["registryCredentials"]
    assert entries["theirs"]["address"] == "other.azurecr.io"


def test_a_credential_for_the_same_address_under_another_key_is_dropped_since_either_might_be_used() -> None:
    file = manifest({}, credentials={"mine": credential("ACME.azurecr.io")})
    merged = merge(file, DEVICE)
    (conflict,) = merged.conflicts
    assert (conflict.name, "'mine'" in conflict.message) == ("acme", True)
    assert set(agent(dict(merged.manifest.content))["runtime"]["settings"]["registryCredentials"]) == {"mine", "theirs"}
    assert merge(file, dict(merged.manifest.content)).conflicts == ()


@pytest.mark.parametrize(
    ("file", "device", "merged"),
    [
        ("1.0", "1.1", "1.1"),
        ("1.1", "1.0", "1.1"),
        ("1.1", "1.1.0", "1.1"),
        ("1.1", "9.9", "1.1"),
        ("9.9", "1.1", "9.9"),
    ],
)
def test_the_higher_schema_version_that_the_runtime_takes_is_taken(file: str, device: str, merged: str) -> None:
    assert hub(merged_content(manifest({}, version=file), manifest({}, version=device)))["schemaVersion"] == merged


def test_routes_that_are_objects_raise_the_schema_version() -> None:
    file = manifest({}, version="1.0", routes={"r": {"route": "FROM /* INTO $upstream", "priority": 1}})
    assert hub(merged_content(file, manifest({}, version="1.0")))["schemaVersion"] == "1.1"


def test_an_empty_device_gets_what_the_file_says() -> None:
    assert merged_content(FILE, {"modulesContent": {}}) == FILE


def test_what_the_hub_added_does_not_come_back() -> None:
    device = copy.deepcopy(DEVICE)
    agent(device)["$metadata"] = {}
    agent(device)["modules"]["a"]["configuration"] = {"id": "fleet"}
    assert merged_content(FILE, device) == merged_content(FILE, DEVICE)


def test_what_passes_the_check_alone_passes_it_merged() -> None:
    def refused(content: dict[str, Any]) -> list[str]:
        return [finding.rule for finding in check_data(content) if finding.severity.value == "error"]

    assert refused(FILE) == refused(DEVICE) == []
    assert refused(merged_content(FILE, DEVICE)) == []


@pytest.mark.parametrize("broken", ["text", [], {"properties.desired": 1}])
def test_a_broken_section_of_the_file_stays_the_files(broken: Any) -> None:
    file = {"modulesContent": {**FILE["modulesContent"], "$edgeAgent": broken}}
    assert merged_content(file, DEVICE)["modulesContent"]["$edgeAgent"] == broken


def test_a_route_keeps_the_fields_that_the_runtime_does_not_know() -> None:
    route = "FROM /messages/* INTO $upstream"
    device = manifest({}, routes={"up": {"route": "FROM /x/* INTO $upstream", "priority": 2, "note": "ours"}})
    merged = merged_content(manifest({}, routes={"up": route}), device)
    assert hub(merged)["routes"]["up"] == {"route": route, "note": "ours"}


def test_sections_of_the_hub_are_joined_in_whatever_case_they_are_written() -> None:
    file = manifest({}, routes={"mine": "FROM /messages/* INTO $upstream"})
    device = manifest({}, routes={"theirs": "FROM /x/* INTO $upstream"})
    hub(file)["storeAndForwardConfiguration"] = {"timeToLiveSecs": 60}
    del hub(device)["storeAndForwardConfiguration"]
    hub(device)["StoreAndForwardConfiguration"] = {"timeToLiveSecs": 7200, "newer": 1}
    hub(device)["ROUTES"] = hub(device).pop("routes")
    merged = hub(merged_content(file, device))
    assert sorted(merged["routes"]) == ["mine", "theirs"]
    assert merged["storeAndForwardConfiguration"] == {"timeToLiveSecs": 60, "newer": 1}
    assert not {"ROUTES", "StoreAndForwardConfiguration"} & set(merged)
    # And the other way round.
    merged = hub(merged_content(device, file))
    assert sorted(merged["routes"]) == ["mine", "theirs"]
    assert merged["storeAndForwardConfiguration"] == {"timeToLiveSecs": 7200, "newer": 1}


def test_the_image_of_a_module_is_never_the_devices() -> None:
    file = module("acme.azurecr.io/scorer:2")
    file["settings"] = {"createOptions": "{}"}
    merged = agent(merged_content(manifest({"scorer": file}), manifest({"scorer": module("acme.azurecr.io/scorer:1")})))
    assert "image" not in merged["modules"]["scorer"]["settings"]
