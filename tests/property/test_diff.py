"""Changes between any manifests: none where the meaning is the same, all that is needed where not, and no secret."""

from __future__ import annotations

import copy
import random
from typing import Any

from hypothesis import given
from property.manifests import CHANCES, clothes, manifests, thorough

from manifestgen.cloud import Device
from manifestgen.compare.diff import diff, patch
from manifestgen.compare.normal import normal
from manifestgen.device.plan import Plan
from manifestgen.manifest.dump import dump
from manifestgen.manifest.manifest import Manifest
from manifestgen.report import changes as report

_CANARY = "canary-4711"


# To draw a manifest takes longer than to compare it: each is used for all that holds for it.


@thorough
@given(content=manifests(), chance=CHANCES)
def test_a_manifest_itself_its_normal_form_and_other_clothes_are_the_same(
    content: dict[str, Any], chance: random.Random
) -> None:
    _has_no_changes_to_itself(content)
    _has_a_normal_form_that_is_its_own_and_is_left_alone(content)
    _has_no_changes_to_itself_in_other_clothes(content, chance)


def _has_no_changes_to_itself(content: dict[str, Any]) -> None:
    assert diff(Manifest.of(content), Manifest.of(copy.deepcopy(content))) == ()


def _has_a_normal_form_that_is_its_own_and_is_left_alone(content: dict[str, Any]) -> None:
    original = copy.deepcopy(content)
    once = normal(Manifest.of(content))
    assert content == original
    assert dump(normal(once).content) == dump(once.content)


def _has_no_changes_to_itself_in_other_clothes(content: dict[str, Any], chance: random.Random) -> None:
    manifest, dressed = Manifest.of(content), Manifest.of(clothes(content, chance))
    assert diff(manifest, dressed) == ()
    assert diff(dressed, manifest) == ()


@thorough
@given(before=manifests(), after=manifests(), chance=CHANCES)
def test_changes_lead_to_the_other_manifest_and_show_no_value_that_may_be_secret(
    before: dict[str, Any], after: dict[str, Any], chance: random.Random
) -> None:
    _applying_the_changes_gives_the_other_manifest(before, after, chance)
    _no_value_that_may_be_secret_is_reported(before, after)  # last, as it hides values in both


def _applying_the_changes_gives_the_other_manifest(
    before: dict[str, Any], after: dict[str, Any], chance: random.Random
) -> None:
    original = copy.deepcopy(before)
    changes = diff(Manifest.of(clothes(before, chance)), Manifest.of(after))
    assert diff(patch(Manifest.of(before), changes), Manifest.of(after)) == ()
    assert before == original


def _no_value_that_may_be_secret_is_reported(before: dict[str, Any], after: dict[str, Any]) -> None:
    _hide(before, f"{_CANARY}-before")
    _hide(after, f"{_CANARY}-after")
    changes = diff(Manifest.of(before), Manifest.of(after))
    plan = Plan("hub", Device("edge", edge=True, enabled=True, connected=True).id, Manifest.of(after), changes, 1)
    assert _CANARY not in report.text(plan) + dump(report.data(plan)) + repr(changes)


def _hide(content: dict[str, Any], canary: str) -> None:
    agent = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    for module in [*agent["systemModules"].values(), *agent["modules"].values()]:
        for entry in module.get("env", {}).values():
            entry["value"] = canary
        module["settings"]["createOptions"] = dump(
            {
                "Env": [f"KEY={canary}", f"OTHER=a={canary}"],
                "Labels": {"l": canary},
                "Cmd": ["--password", canary],
                "HostConfig": {
                    "LogConfig": {"Type": "splunk", "Config": {"splunk-token": canary}},
                    "Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"o": canary}}}}],
                    "Sysctls": {"password": canary},
                },
            }
        )
        module["newer"] = canary
        module["settings"]["newer"] = {"a": canary}
    for credential in agent["runtime"]["settings"].get("registryCredentials", {}).values():
        credential.update(username=f"user-{canary}", password=canary)
    agent["runtime"]["settings"]["newer"] = canary
    agent["newer"] = canary
    for name, entry in content["modulesContent"].items():
        if not name.startswith("$"):
            entry["properties.desired"] = {"key": canary, "list": [canary], "inner": {"key": canary}}
    hub = content["modulesContent"]["$edgeHub"]["properties.desired"]
    hub["storeAndForwardConfiguration"]["newer"] = canary
    hub["mqttBroker"] = {"password": canary}
