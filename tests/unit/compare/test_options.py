from __future__ import annotations

from typing import Any

import pytest

from manifestgen.compare.diff import Change, Effect, diff
from manifestgen.manifest.manifest import Manifest


def change(one: dict[str, Any], other: dict[str, Any]) -> Change | None:
    """What becomes of a module that is in two manifests."""
    before, after = (Manifest.of_twins({"$edgeAgent": {"modules": {"a": module}}}) for module in (one, other))
    found = diff(before, after)
    return found[0] if found else None


def with_options(text: str | dict[str, Any]) -> dict[str, Any]:
    return {"type": "docker", "status": "running", "settings": {"image": "x/a:1", "createOptions": text}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"HostConfig": {"Memory": "5", "Privileged": 0}}', '{"hostconfig": {"MEMORY": 5.4}}'),
        ('{"HostConfig": {"Privileged": 2, "OomScoreAdj": 0}}', '{"HostConfig": {"Privileged": " TRUE"}}'),
        ('{"HostConfig": {"NetworkMode": 5, "Binds": null}}', '{"HostConfig": {"NetworkMode": "5", "Mounts": ""}}'),
        (
            '{"HostConfig": {"RestartPolicy": {"Name": ""}}}',
            '{"HostConfig": {"RestartPolicy": {"MaximumRetryCount": 0}}}',
        ),
        ('{"HostConfig": {"RestartPolicy": {"Name": 3}}}', '{"HostConfig": {"RestartPolicy": {"Name": "OnFailure"}}}'),
        ('{"Labels": {"a": true, "b": 1.0}}', '{"Labels": {"a": "true", "b": "1.0"}}'),
        ('{"ExposedPorts": {"80/tcp": {}}}', '{"ExposedPorts": {"80/tcp": {"x": 1}}}'),
        ('{"Env": [], "Cmd": ["a"], "Labels": {}}', '{"Labels": {}, "Cmd": ["a"], "Env": []}'),
    ],
)
def test_create_options_that_edge_agent_reads_alike_are_no_change(one: str, other: str) -> None:
    assert change(with_options(one), with_options(other)) is None


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        ('{"HostConfig": {"PidsLimit": 0}}', "{}", "createOptions /HostConfig/PidsLimit: 0"),
        ('{"Foo": 1}', '{"Foo": 1.0}', "createOptions"),
        (
            '{"Labels": {"a": "", "b": ""}}',
            '{"Labels": {"b": "", "a": ""}}',
            'createOptions /Labels: ["a","b"] -> ["b","a"]',
        ),
        ('{"Cmd": [], "User": "u"}', '{"User": "u", "Cmd": []}', 'createOptions: ["Cmd","User"] -> ["User","Cmd"]'),
        ('{"X": [{"a": 1, "b": 2}]}', '{"X": [{"b": 2, "a": 1}]}', 'createOptions /X/0: ["a","b"] -> ["b","a"]'),
    ],
)
def test_create_options_in_another_order_make_edge_agent_create_the_module_anew(
    one: str, other: str, field: str
) -> None:
    found = change(with_options(one), with_options(other))
    assert found is not None
    assert ([str(field) for field in found.fields], found.effect) == ([field], Effect.RECREATED)


def test_the_order_of_create_options_that_are_an_object_is_for_the_hub_to_choose() -> None:
    one, other = ({"Labels": dict.fromkeys(keys, "x")} for keys in ("ab", "ba"))
    assert change(with_options(one), with_options(other)) is None
