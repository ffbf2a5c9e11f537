"""What the runtime and IoT Hub accept, case by case; each names the source that it was read from."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from manifestgen.check import Effect, Finding, check, read

CASES = [json.loads(line) for line in Path(__file__).with_name("manifests.jsonl").read_text("utf-8").splitlines()]
_MODULE = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "a/b:1"}}
_BASE: dict[str, Any] = {
    "$edgeAgent": {
        "properties.desired": {
            "schemaVersion": "1.1",
            "runtime": {"type": "docker", "settings": {}},
            "systemModules": {"edgeAgent": _MODULE, "edgeHub": _MODULE},
            "modules": {},
        }
    },
    "$edgeHub": {
        "properties.desired": {
            "schemaVersion": "1.1",
            "routes": {},
            "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        }
    },
}


def manifest_of(case: dict[str, Any]) -> dict[str, Any]:
    entries = copy.deepcopy(_BASE)
    agent = entries["$edgeAgent"]["properties.desired"]
    kind, given = case["kind"], case["input"]
    if kind == "agent-version":
        agent["schemaVersion"] = given
    elif kind == "image":
        agent["modules"]["m1"] = {**_MODULE, "settings": {"image": given}}
    elif kind == "module":
        agent["modules"]["m1"] = given
    elif kind == "settings":
        agent["modules"]["m1"] = {**_MODULE, "settings": given}
    elif kind == "credential":
        agent["runtime"]["settings"]["registryCredentials"] = {"x": given}
    elif kind == "agent-patch":
        system = given.get("systemModules")
        agent.update(given)
        if isinstance(system, dict):
            agent["systemModules"] = {**_BASE["$edgeAgent"]["properties.desired"]["systemModules"], **system}
    elif kind == "hub":
        entries["$edgeHub"]["properties.desired"] = given
    else:
        assert kind == "twin"
        entries["m1"] = {"properties.desired": given}
    return {"modulesContent": entries}


def refusals(case: dict[str, Any]) -> list[Finding]:
    document = read(json.dumps(manifest_of(case)))
    return [finding for finding in check(document, literal=True) if finding.effect is Effect.REFUSED]


@pytest.mark.no_cover  # tests/rules goes the same ways
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_verdict_is_that_of_the_runtime(case: dict[str, Any]) -> None:
    assert (not refusals(case)) == case["accepts"], case["source"]


def test_there_are_enough_cases_of_every_kind() -> None:
    counts = Counter(case["kind"] for case in CASES)

    assert len(CASES) >= 300
    assert all(count >= 15 for count in counts.values()), counts
    assert all(case["source"] for case in CASES)
    assert len({case["id"] for case in CASES}) == len(CASES)
