from __future__ import annotations

import json
from typing import Any

from manifestgen.diff import Change, FieldChange, diff
from manifestgen.manifest.manifest import Manifest
from manifestgen.plan import Plan
from manifestgen.report import changes as report

CANARY = "canary-of-a-module"


def content(image: str = "acme.azurecr.io/scorer:1", canary: str = "first-canary") -> dict[str, Any]:
    settings = {"image": image, "createOptions": json.dumps({"Env": [f"KEY={canary}"]})}
    credential = {"address": "acme.azurecr.io", "username": "acme", "password": canary}
    return {
        "modulesContent": {
            "$edgeAgent": {
                "properties.desired": {
                    "schemaVersion": "1.1",
                    "runtime": {"type": "docker", "settings": {"registryCredentials": {"acme": credential}}},
                    "systemModules": {},
                    "modules": {
                        "scorer": {
                            "type": "docker",
                            "status": "running",
                            "env": {"TOKEN": {"value": f"{CANARY}-{canary}"}},
                            "settings": settings,
                        }
                    },
                }
            },
            "scorer": {"properties.desired": {"key": f"{CANARY}-{canary}"}},
        }
    }


def planned(*changes: Change) -> Plan:
    return Plan("contoso.azure-devices.net", "edge-01", Manifest.of(content()), changes, 4)


def test_each_change_has_a_sign_and_the_summary_counts_them() -> None:
    plan = planned(
        Change("added", "module", "filter"),
        Change("changed", "module", "scorer", (FieldChange("image", "x:1", "x:2"),)),
        Change("removed", "route", "old"),
    )
    lines = [line.strip() for line in report.text(plan).splitlines()]
    assert lines[0] == "device 'edge-01' on contoso.azure-devices.net"
    for sign, words in (("+", "module filter"), ("~", "module scorer"), ("-", "route old")):
        assert any(line.startswith(f"{sign} {words}") for line in lines), lines
    assert "image: x:1 -> x:2" in lines
    assert "1 to add, 1 to change, 1 to remove" in lines[-1]


def test_no_change_says_so() -> None:
    assert "no changes" in report.text(planned())


def test_the_data_is_plain_json() -> None:
    data = json.loads(json.dumps(report.data(planned(Change("added", "module", "filter")))))
    assert (data["hub"], data["device"], data["version"]) == ("contoso.azure-devices.net", "edge-01", 4)
    (change,) = data["changes"]
    assert (change["kind"], change["subject"], change["name"]) == ("added", "module", "filter")


def test_neither_form_shows_what_may_be_secret() -> None:
    before, after = content(), content(image="acme.azurecr.io/scorer:2", canary="second-canary")
    for changes in (diff(before, after), diff({"modulesContent": {}}, after), diff(before, {"modulesContent": {}})):
        assert changes
        plan = planned(*changes)
        assert "canary" not in report.text(plan)
        assert "canary" not in json.dumps(report.data(plan))
        assert "canary" not in repr(changes)
