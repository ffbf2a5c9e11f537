"""A solution becomes the manifest that the VS Code extension or iotedgedev would make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.solutions import module, module_json, template, write

from manifestgen.errors import InputError
from manifestgen.solution import generate, read_solution, template_of
from manifestgen.solution.expansion import Profile

AGENT = "$edgeAgent"


def generated(path: Path, platform: str = "amd64", profile: Profile = "vscode", **more: Any) -> dict[str, Any]:
    environ = more.pop("environ", {})
    return generate(read_solution(path, environ, profile), platform, **more).content


def settings(content: dict[str, Any], name: str = "filter") -> dict[str, Any]:
    found: dict[str, Any] = content["modulesContent"][AGENT]["properties.desired"]["modules"][name]["settings"]
    return found


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_solution(path, {})
    return caught.value


def test_images_variables_and_create_options_are_filled_in(tmp_path: Path) -> None:
    data = template(
        {"filter": module(env={"L": {"value": "$LOG_LEVEL"}}, options={"HostConfig": {"Memory": 1.0}})},
        twins={"filter": {"site": "${SITE}", "n": 1}},
    )
    content = generated(write(tmp_path, data))
    assert list(content) == ["modulesContent"]
    assert settings(content) == {
        "image": "acme.azurecr.io/filter:0.0.1-amd64",
        "createOptions": '{"HostConfig":{"Memory":1}}',
    }
    assert content["modulesContent"]["filter"]["properties.desired"] == {"site": "hall 3", "n": 1}
    desired = content["modulesContent"][AGENT]["properties.desired"]
    assert desired["modules"]["filter"]["env"] == {"L": {"value": "debug"}}
    assert desired["runtime"]["settings"]["registryCredentials"]["acme"]["username"] == "robot"


@pytest.mark.parametrize(
    ("image", "platform", "debug", "tag"),
    [
        ("${MODULES.filter}", "amd64", False, "amd64"),
        ("${MODULES.filter}", "arm64v8", False, "arm64v8"),
        ("${MODULES.filter}", "amd64", True, "amd64.debug"),
        ("${MODULES.filter.debug}", "amd64", False, "amd64.debug"),
        ("${MODULES.filter.arm64v8}", "amd64", False, "arm64v8"),
        ("${MODULES.filter.amd64.debug}", "arm64v8", False, "amd64.debug"),
        ("${MODULEDIR<./modules/filter>}", "arm64v8", False, "arm64v8"),
    ],
)
def test_the_platform_chooses_the_tag(tmp_path: Path, image: str, platform: str, debug: bool, tag: str) -> None:
    content = generated(write(tmp_path, template({"filter": module(image)})), platform, debug=debug)
    assert settings(content)["image"] == f"acme.azurecr.io/filter:0.0.1-{tag}"


def test_a_module_may_lie_outside_the_solution_and_have_its_own_env(tmp_path: Path) -> None:
    data = template({"m": module("${MODULEDIR<../shared/m>}")})
    path = write(tmp_path / "sln", data, modules={"../shared/m": module_json("$REG/m", version="${V}")})
    (tmp_path / "shared" / "m" / ".env").write_text("REG=own.azurecr.io\nV=7\n")
    assert settings(generated(path), "m")["image"] == "own.azurecr.io/m:7-amd64"


def test_vs_code_prefers_env_and_iotedgedev_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, template({"filter": module(env={"L": {"value": "$LOG_LEVEL"}})}))
    for profile, value in (("vscode", "debug"), ("iotedgedev", "trace")):
        content = generated(path, profile=profile, environ={"LOG_LEVEL": "trace"})  # type: ignore[arg-type]
        desired = content["modulesContent"][AGENT]["properties.desired"]
        assert desired["modules"]["filter"]["env"]["L"]["value"] == value


def test_iotedgedev_lowers_the_repository_and_writes_null(tmp_path: Path) -> None:
    data = template({"filter": module(options=None), "b": module("r/b:1", options={"s": "é"})})
    path = write(tmp_path, data, modules={"filter": module_json("acme.azurecr.io/Filter")})
    assert settings(generated(path))["createOptions"] is None
    content = generated(path, profile="iotedgedev")
    assert settings(content) == {"image": "acme.azurecr.io/filter:0.0.1-amd64", "createOptions": "null"}
    assert settings(content, "b")["createOptions"] == r'{"s":"\u00e9"}'


@pytest.mark.parametrize(
    ("given", "chunks"),
    [
        ({"createOptions": {}}, ["{}"]),
        ({"createOptions": ""}, [""]),
        ({"createOptions": "{ }\r\n"}, ["{ }\r\n"]),
        ({"createOptions": {"s": "é"}}, ['{"s":"é"}']),
        ({"createOptions": "x" * 513}, ["x" * 512, "x"]),
        ({"createOptions": {"a": 1}, "createOptions01": "stale"}, ['{"a":1}']),
        ({"createOptions": '{"a":1}', "createOptions01": "stale"}, ['{"a":1}']),
        ({"createOptions": '{"a"', "createOptions01": ":1}"}, ['{"a":1}']),
        ({}, []),
    ],
)
def test_create_options_are_cut_as_the_extension_cuts_them(tmp_path: Path, given: Any, chunks: list[str]) -> None:
    data = template({"filter": {"settings": {"image": "r/x:1", **given}}})
    found = settings(generated(write(tmp_path, data)))
    assert [value for key, value in found.items() if key.startswith("createOptions")] == chunks


def test_create_options_above_4_k_are_refused_with_their_place(tmp_path: Path) -> None:
    path = write(tmp_path, template({"filter": module("r/x:1", options="x" * 4097)}))
    with pytest.raises(InputError, match="4097 characters") as caught:
        generated(path)
    assert caught.value.where.startswith(f"{path}:") and caught.value.where.endswith(":58:15")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("key", ["modulesContent", "moduleContent"])
@pytest.mark.parametrize("version", [None, "1.0.0", "2.0.0", "3.0.0", "4.0.0", "0.0.1"])
def test_every_form_of_a_template_is_read(tmp_path: Path, version: str | None, key: str, wrapped: bool) -> None:
    data = template(version=version)
    data = {**({"$schema-template": version} if version else {}), key: data["modulesContent"]}
    content = generated(write(tmp_path, {"content": data} if wrapped else data))
    inner = content["content"] if wrapped else content
    assert list(inner) == ["modulesContent"]
    assert settings(inner)["createOptions"] == "{}"


def test_a_layer_has_its_create_options_in_a_dotted_key(tmp_path: Path) -> None:
    data = {"content": {"modulesContent": {AGENT: {"properties.desired.modules.filter": module(options={"a": 1})}}}}
    content = generated(write(tmp_path, data))
    layer = content["content"]["modulesContent"][AGENT]["properties.desired.modules.filter"]
    assert layer["settings"] == {"image": "acme.azurecr.io/filter:0.0.1-amd64", "createOptions": '{"a":1}'}


def test_comments_a_byte_order_mark_and_utf_16_are_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    text = "// a comment\n" + path.read_text().replace('"systemModules"', '/* one\n more */ "systemModules"')
    for data in (b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16")):
        path.write_bytes(data)
        assert settings(generated(path))["image"].endswith("filter:0.0.1-amd64")


def test_what_has_no_value_is_reported_with_its_place_and_stays(tmp_path: Path) -> None:
    env = {"A": {"value": "x ${NONE}"}, "B": {"value": "$lower costs $5"}}
    data = template(
        {"filter": module(env=env, options={"Cmd": ["sh", "-c", "echo ${X}"]}), "gone": module("${MODULES.gone}")},
        routes={"r": "FROM /messages/* WHERE $body.t > $connectionDeviceId INTO $upstream"},
    )
    path = write(tmp_path, data)
    found = generate(read_solution(path, {})).unresolved
    assert [(one.text, one.name) for one in found] == [("${NONE}", "NONE"), ("${MODULES.gone}", "")]
    line, column = map(int, found[0].where.rpartition(".json:")[2].split(":"))
    assert path.read_text().splitlines()[line - 1][column - 1 :].startswith("${NONE}")


def test_a_variable_of_a_module_json_without_a_value_is_reported_there(tmp_path: Path) -> None:
    path = write(tmp_path, modules={"filter": module_json("$REGISTRY/filter")})
    (found,) = generate(read_solution(path, {})).unresolved
    assert found.name == "REGISTRY"
    assert "module.json:4:20" in found.where


def test_the_secrets_that_are_filled_in_are_named_and_can_be_kept_out(tmp_path: Path) -> None:
    solution = read_solution(write(tmp_path), {})
    assert generate(solution).secrets == ("CONTAINER_REGISTRY_PASSWORD_acme",)
    kept = generate(solution, keep=lambda name: "PASSWORD" in name)
    assert kept.secrets == ()
    assert "$CONTAINER_REGISTRY_PASSWORD_acme" in json.dumps(kept.content)


@pytest.mark.parametrize(
    ("data", "what", "place"),
    [
        ('{"modulesContent": {"a": $NUMBER}}', "a placeholder stands outside quotes", ":1:26"),
        ('{"modulesContent": {\n "a": 1', "not JSON: the text ends before", ":1:20"),
        ('{"a": "x\\ud800"}', "half of a surrogate pair", ":1:9"),
        ('{"a": "\\uFDD0"}', "it has a noncharacter", ":1:8"),
        ('{"modulesContent": ' + "[" * 200 + "]" * 200 + "}", "nested too deeply", ":1:119"),
        ("[]", "template is not a JSON object", ":1:1"),
        ("{}", "it has no 'modulesContent' object", ":1:1"),
        (template(version="9.0.0"), "unknown template version '9.0.0'", ":2:23"),
        (template({"Cam": module("r/c:1"), "cam": module("r/c:1")}), "one name in different case: 'Cam' and", ":61:11"),
    ],
)
def test_a_template_that_is_wrong_is_refused_with_its_place(tmp_path: Path, data: Any, what: str, place: str) -> None:
    path = write(tmp_path, data)
    error = refusal(path)
    assert what in error.what
    assert error.where == f"{path}{place}"
    assert error.fix


@pytest.mark.parametrize(
    ("content", "what", "place"),
    [
        ({"image": {"tag": {"version": "1", "platforms": {}}}}, "'image.repository' is missing", ":2:12"),
        ({"image": {"repository": "r/x", "tag": {"version": 1}}}, "'image.tag.version' is not", ":5:18"),
        ({"image": {"repository": "r/x", "tag": {"version": "1"}}}, "'image.tag.platforms' is missing", ":4:12"),
        (module_json(buildOptions="-x"), "'image.buildOptions' is not what the tool takes", ":13:21"),
    ],
)
def test_a_module_json_that_is_wrong_is_refused_with_its_place(
    tmp_path: Path, content: Any, what: str, place: str
) -> None:
    error = refusal(write(tmp_path, modules={"filter": content}))
    assert what in error.what
    assert error.where == f"{tmp_path / 'modules' / 'filter' / 'module.json'}{place}"


def test_two_folders_with_one_image_are_refused_and_one_folder_used_twice_is_not(tmp_path: Path) -> None:
    data = template({"a": module("${MODULES.a}"), "b": module("${MODULES.b}")})
    error = refusal(write(tmp_path / "1", data, modules={"a": module_json(), "b": module_json()}))
    assert "'a' and 'b' have one repository, acme.azurecr.io/filter" in error.what
    assert error.where.endswith("b/module.json:4:19")
    read_solution(write(tmp_path / "2", data, modules={"a": module_json(), "b": module_json(version="2")}), {})
    twice = template({"a": module("${MODULES.filter}"), "b": module("${MODULEDIR<modules/filter>}")})
    read_solution(write(tmp_path / "3", twice), {})


def test_a_platform_that_a_module_lacks_is_refused(tmp_path: Path) -> None:
    solution = read_solution(write(tmp_path), {})
    with pytest.raises(InputError, match="module 'filter' has no Dockerfile for platform 'arm32v7'; it has amd64,"):
        generate(solution, "arm32v7")
    path = write(tmp_path, template({"filter": module("${MODULES.filter.windows-amd64}")}))
    with pytest.raises(InputError, match="for platform 'windows-amd64'"):
        generate(read_solution(path, {}))


def test_the_debug_template_beside_is_chosen_if_there_is_one(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert template_of(tmp_path) == path
    assert template_of(path, debug=True) == path
    other = write(tmp_path, name="deployment.debug.template.json")
    assert template_of(tmp_path, debug=True) == other
    assert template_of(other, debug=True) == other
