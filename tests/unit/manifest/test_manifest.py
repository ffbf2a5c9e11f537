from __future__ import annotations

from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.manifest.manifest import Manifest, locate

MODULE = {"type": "docker", "status": "running", "settings": {"image": "acme.azurecr.io/a:1"}}
FULL: dict[str, Any] = {
    "$edgeAgent": {
        "properties.desired": {
            "runtime": {
                "settings": {
                    "registryCredentials": {
                        "acme": {"address": "acme.azurecr.io", "username": "acme", "password": "canary-password"},
                        "broken": {"address": "x"},
                        "text": "x",
                    }
                }
            },
            "systemModules": {"EdgeAgent": MODULE, "edgeHub": None},
            "modules": {"a": MODULE, "broken": 5},
        }
    },
    "$edgeHub": {
        "properties.desired": {"routes": {"x": "FROM /* INTO $upstream", "y": {"route": "FROM /a"}, "z": {}, "n": 5}}
    },
    "a": {"properties.desired": {"b": 1}},
}


@pytest.mark.parametrize(
    ("data", "base"),
    [
        ({"modulesContent": FULL}, "/modulesContent"),
        ({"moduleContent": FULL}, "/moduleContent"),
        ({"content": {"modulesContent": FULL}}, "/content/modulesContent"),
        ({"id": "x", "content": {"moduleContent": FULL}, "priority": 1}, "/content/moduleContent"),
        ({"modulesContent": FULL, "$schema": "x"}, "/modulesContent"),
    ],
)
def test_every_wrapper_gives_the_same_manifest(data: Any, base: str) -> None:
    manifest = Manifest.of(data)

    assert manifest.base == base
    assert manifest.content == {"modulesContent": FULL}
    assert manifest == Manifest.of({"modulesContent": FULL})
    assert manifest.modules()[0].pointer == f"{base}/$edgeAgent/properties.desired/systemModules/EdgeAgent"


@pytest.mark.parametrize("data", [None, [], 5, "x", {}, {"modulesContent": []}, {"content": []}, {"content": {}}])
def test_what_is_not_a_manifest_says_what_one_is(data: Any) -> None:
    with pytest.raises(InputError, match="modulesContent") as caught:
        Manifest.of(data)

    assert "$edgeAgent" in caught.value.fix


def test_malformed_parts_are_passed_over() -> None:
    manifest = Manifest.of({"modulesContent": FULL})

    assert [module.name for module in manifest.modules()] == ["edgeAgent", "a"]
    assert list(manifest.credentials()) == ["acme"]
    assert [(route.name, route.text) for route in manifest.routes()] == [
        ("x", "FROM /* INTO $upstream"),
        ("y", "FROM /a"),
        ("z", None),
        ("n", None),
    ]


def test_repr_names_modules_only() -> None:
    manifest = Manifest.of({"modulesContent": FULL})

    assert repr(manifest) == "<Manifest: edgeAgent, a>"
    assert "canary" not in repr(manifest.modules()) + repr(manifest.credentials()) + repr(manifest.agent)


def test_module_finds_its_properties_in_any_case() -> None:
    data = {"TYPE": "docker", "Settings": {"IMAGE": "a:1", "CreateOptions": "{}"}, "ENV": {"A": {"Value": 5}}}
    manifest = Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {"m": data}}}}})
    (module,) = manifest.modules()

    assert module.get("type") == "docker"
    assert module.at("type").endswith("/m/TYPE")
    assert module.at_setting("image").endswith("/m/Settings/IMAGE")
    assert module.at_setting("digest").endswith("/m/Settings")
    assert module.at("status").endswith("/m")
    assert module.image_text == "a:1"
    assert module.env_value("A") == "5"
    assert module.env_value("B") is None
    assert module.create_options() == "{}"
    assert not module.has("status")
    assert module.status is None


def test_layered_manifest_is_recognised_by_its_keys() -> None:
    layer = {
        "$edgeAgent": {"properties.desired.modules.m": MODULE, "properties.desired.modules.n.settings.image": "a:1"},
        "$edgeHub": {
            "properties.desired.routes.up": "FROM /* INTO $upstream",
            "properties.desired.routes.down.route": "FROM /a INTO $upstream",
            "properties.desired.routes.down.priority": 1,
        },
        "m": {"properties.desired.a.b": 1},
    }
    manifest = Manifest.of({"modulesContent": layer})

    assert manifest.layered
    assert [module.name for module in manifest.modules()] == ["m"]
    assert manifest.modules()[0].pointer == "/modulesContent/$edgeAgent/properties.desired.modules.m"
    assert [route.name for route in manifest.routes()] == ["up", "down"]
    assert manifest.agent_desired is None
    assert [path for path, _ in manifest.agent.deeper("modules")] == [("n", "settings", "image")]


def test_dotted_twin_of_a_module_does_not_make_a_full_manifest_a_layer() -> None:
    manifest = Manifest.of({"modulesContent": {**FULL, "a": {"properties.desired.b": 1}}})

    assert not manifest.layered


def test_layer_can_be_told_from_outside() -> None:
    assert Manifest.of({"modulesContent": {"$edgeAgent": {}}}, layered=True).layered
    assert not Manifest.of({"modulesContent": {"$edgeAgent": {}}}).layered


def test_sections_are_looked_up_in_any_case() -> None:
    manifest = Manifest.of({"modulesContent": {"$edgeHub": {"properties.desired": {"Routes": {"a/b": "x"}}}}})

    found = manifest.hub.find("routes", "a/b")
    assert found is not None
    assert found.pointer == "/modulesContent/$edgeHub/properties.desired/Routes/a~1b"
    assert manifest.hub.find("routes", "c") is None
    assert manifest.section("nobody").whole is None
    assert manifest.pointer("$edgeHub") == "/modulesContent/$edgeHub"
    assert manifest.pointer("nobody") == "/modulesContent"


def test_manifest_is_not_equal_to_other_things() -> None:
    assert Manifest.of({"modulesContent": FULL}) != {"modulesContent": FULL}


def test_locate_finds_nothing_in_other_data() -> None:
    assert locate([]) is None
    assert locate({"content": 5}) is None
