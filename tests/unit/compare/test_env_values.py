from __future__ import annotations

from typing import Any

from manifestgen.compare.diff import diff
from manifestgen.compare.env_values import with_env_values
from manifestgen.manifest.manifest import Manifest
from manifestgen.secret import Secret


def manifest(env: dict[str, Any], *, name: str = "m") -> Manifest:
    module = {"type": "docker", "status": "running", "settings": {"image": "x/a:1"}, "env": env}
    return Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {name: module}}}}})


def told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    old, new = (manifest({name: {"value": value} for name, value in env.items()}) for env in (before, after))
    return [str(field) for change in with_env_values(diff(old, new), old, new) for field in change.fields]


def test_the_values_of_variables_are_shown_on_request() -> None:
    assert told({"A": "1", "GONE": "x"}, {"A": "2", "NEW": ""}) == ["env A: 1 -> 2", "env GONE: x", 'env NEW: ""']


def test_a_secret_is_not_shown_regardless_of_who_asks() -> None:
    secrets = {"DB_PASSWORD": "canary-1", "CONNECTION": "HostName=h;SharedAccessKey=Y2FuYXJ5LTI="}
    assert told({}, secrets) == ["env CONNECTION", "env DB_PASSWORD"]
    assert told(secrets, {"DB_PASSWORD": "${DB_PASSWORD}"}) == ["env CONNECTION", "env DB_PASSWORD"]


def test_a_variable_that_repeats_a_secret_under_another_name_is_not_shown() -> None:
    assert told({}, {"DB_PASSWORD": "canary-1", "OTHER": "x=canary-1"}) == ["env DB_PASSWORD", "env OTHER"]


def test_a_secret_that_this_process_knows_is_not_shown() -> None:
    Secret("canary-known")
    assert told({}, {"A": "canary-known"}) == ["env A"]


def test_a_malformed_environment_has_no_values() -> None:
    old, new = manifest({"A": {"value": "1"}}), manifest({"A": 5, "B": {}})
    assert [str(field) for change in with_env_values(diff(old, new), old, new) for field in change.fields] == [
        "env A: 1",
        "env B",
    ]
