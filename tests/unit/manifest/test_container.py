from __future__ import annotations

import json
from typing import Any

import pytest

from manifestgen.manifest.container import read


def problems(options: Any) -> list[tuple[str, ...]]:
    return [problem.path for problem in read(json.dumps(options)).problems]


@pytest.mark.parametrize("text", ["", "  ", "{}", "null", "NULL", "undefined"])
def test_no_options_are_fine(text: str) -> None:
    assert read(text).data == {}
    assert read(text).error == ""


@pytest.mark.parametrize("text", ["[]", "5", "true", '"{}"', "{HostConfig:"])
def test_what_is_no_object_is_an_error(text: str) -> None:
    assert read(text).error


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"Env": {}}, ("Env",)),
        ({"env": "A=b"}, ("env",)),
        ({"Env": [{}]}, ("Env", "0")),
        ({"Labels": []}, ("Labels",)),
        ({"Labels": {"a": {}}}, ("Labels", "a")),
        ({"ExposedPorts": []}, ("ExposedPorts",)),
        ({"ExposedPorts": {"80/tcp": "x"}}, ("ExposedPorts", "80/tcp")),
        ({"Image": {}}, ("Image",)),
        ({"HostConfig": "x"}, ("HostConfig",)),
        ({"HostConfig": {"Binds": "a:b"}}, ("HostConfig", "Binds")),
        ({"HostConfig": {"Privileged": "maybe"}}, ("HostConfig", "Privileged")),
        ({"HostConfig": {"Privileged": None}}, ("HostConfig", "Privileged")),
        ({"HostConfig": {"Memory": "much"}}, ("HostConfig", "Memory")),
        ({"HostConfig": {"Memory": 2**70}}, ("HostConfig", "Memory")),
        ({"HostConfig": {"Memory": 2**63}}, ("HostConfig", "Memory")),
        ({"HostConfig": {"PidsLimit": "9223372036854775808"}}, ("HostConfig", "PidsLimit")),
        ({"HostConfig": {"BlkioWeight": 65536}}, ("HostConfig", "BlkioWeight")),
        ({"HostConfig": {"BlkioWeight": 65535.5}}, ("HostConfig", "BlkioWeight")),
        ({"HostConfig": {"BlkioWeightDevice": [{"Weight": -1}]}}, ("HostConfig", "BlkioWeightDevice", "0", "Weight")),
        ({"HostConfig": {"IOMaximumIOps": -1}}, ("HostConfig", "IOMaximumIOps")),
        ({"HostConfig": {"ConsoleSize": [24, -80]}}, ("HostConfig", "ConsoleSize", "1")),
        ({"HostConfig": {"Init": float("nan")}}, ("HostConfig", "Init")),
        ({"HostConfig": {"CpuShares": float("inf")}}, ("HostConfig", "CpuShares")),
        ({"ExposedPorts": {"80/tcp": None}}, ("ExposedPorts", "80/tcp")),
        ({"ExposedPorts": {"80/tcp": ""}}, ("ExposedPorts", "80/tcp")),
        ({"HostConfig": {"RestartPolicy": {"Name": None}}}, ("HostConfig", "RestartPolicy", "Name")),
        ({"HostConfig": {"PortBindings": {"80": {}}}}, ("HostConfig", "PortBindings", "80")),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"a": {"Aliases": "x"}}}},
            ("NetworkingConfig", "EndpointsConfig", "a", "Aliases"),
        ),
    ],
)
def test_wrong_type_has_its_place(options: Any, path: tuple[str, ...]) -> None:
    assert problems(options) == [path]


@pytest.mark.parametrize(
    "options",
    [
        {"Env": None, "HostConfig": {"Binds": None, "MemorySwappiness": None, "OomKillDisable": None, "Init": None}},
        {"HostConfig": {"Memory": "1024", "CpuShares": 1.5, "Privileged": "TRUE", "AutoRemove": 1}},
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80, "HostIp": "127.0.0.1"}]}}},
        {"HostConfig": {"Memory": 2**63 - 1, "MemorySwap": -(2**63), "IOMaximumIOps": 2**64 - 1, "BlkioWeight": 65535}},
        {"HostConfig": {"IOMaximumBandwidth": 1e19, "BlkioWeight": " +5 ", "ConsoleSize": [24.4, True]}},
        {"HostConfig": {"RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 3}}},
        {"ExposedPorts": {"80/tcp": {}}, "Cmd": {"any": "thing"}, "HostConfig": {"Unknown": [1]}},
        {"Labels": {"a": 1, "b": True, "c": None}},
    ],
)
def test_types_that_edge_agent_takes(options: Any) -> None:
    assert problems(options) == []


def test_known_keys_are_read_in_any_case() -> None:
    options = read('{"HOSTCONFIG": {"portBINDINGS": {"80/tcp": [{"hostport": "81"}], "9/udp": [{"HostPort": ""}]}}}')

    assert options.get("HostConfig", "PortBindings", "80/tcp") == [{"HostPort": "81"}]
    assert [port[:3] for port in options.ports] == [("", "81", "tcp")]
    assert options.get("HostConfig", "PortBindings", "80/tcp", "x") is None


def test_secrets_are_not_quoted() -> None:
    (problem,) = read('{"Env": "PASSWORD=example"}').problems

    assert "example" not in problem.message


def test_long_texts_are_read_like_short_ones() -> None:
    assert read(json.dumps({"Env": ["A=" + "x" * 20000]})).get("Env") == ["A=" + "x" * 20000]


def test_a_number_that_is_too_large_is_told_its_limits() -> None:
    (problem,) = read('{"HostConfig": {"BlkioWeight": 70000}}').problems
    assert problem.message == "must be a number from 0 to 65535"
