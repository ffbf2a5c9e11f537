from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.manifest.document import Kind, read
from manifestgen.manifest.placeholder import WHOLE, Styles, is_one
from manifestgen.manifest.unfilled import find

MODULE = {"type": "docker", "status": "running", "settings": {"image": "acme.azurecr.io/a:1"}}


def manifest(image: str = "acme.azurecr.io/a:1", **credential: str) -> dict[str, Any]:
    entry = {"address": "acme.azurecr.io", "username": "acme", "password": "p@$$word<1>", **credential}
    return {
        "modulesContent": {
            "$edgeAgent": {
                "properties.desired": {
                    "runtime": {"settings": {"registryCredentials": {"acme": entry}}},
                    "modules": {"a": {**MODULE, "settings": {"image": image}}},
                }
            },
            "$edgeHub": {"properties.desired": {"routes": {"r": "FROM /messages/* WHERE $body.a < 3 INTO $upstream"}}},
        }
    }


def test_manifest_is_recognised() -> None:
    document = read(json.dumps(manifest()))

    assert document.kind is Kind.MANIFEST
    assert document.placeholders == ()
    assert document.manifest is not None


@pytest.mark.parametrize(
    ("source", "encoding"),
    [
        (b'\xef\xbb\xbf{"modulesContent": {}}', "utf-8-sig"),
        ('\ufeff{"modulesContent": {}}', "utf-8-sig"),
        ('{"modulesContent": {}}'.encode("utf-16"), "utf-16"),
        (b'{"modulesContent": {}}', "utf-8"),
    ],
)
def test_byte_order_marks_are_read_over(source: str | bytes, encoding: str) -> None:
    document = read(source)

    assert document.encoding == encoding
    assert document.manifest is not None
    assert document.position(0).column == 1


@pytest.mark.parametrize("source", [b"\xff\xfe\x00", b"\x80abc", b'{"a": "\xe9"}'])
def test_bytes_that_are_no_text_are_told(source: bytes) -> None:
    document = read(source)

    assert document.kind is Kind.NOT_A_MANIFEST
    assert document.error is not None
    assert "UTF-8" in document.error.what + document.error.fix


def test_line_ends_of_windows_do_not_move_places() -> None:
    text = json.dumps(manifest(), indent=2).replace("\n", "\r\n")
    document = read(text)
    pointer = "/modulesContent/$edgeHub/properties.desired/routes/r"
    span = document.spans([pointer])[pointer]
    position = document.position(span.key)

    assert document.line(position.line)[position.column - 1 :].startswith('"r": ')
    assert not document.line(position.line).endswith("\r")
    assert document.line(1) == "{"


IMAGE = "/modulesContent/$edgeAgent/properties.desired/modules/a/settings/image"


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("${MODULES.a}", "${MODULES.a}"),
        ("${MODULEDIR<../a>.amd64}", "${MODULEDIR<../a>.amd64}"),
        ("$REG/a:1", "$REG"),
        ("$reg/a:1", "$reg"),
        ("{{ image }}", "{{ image }}"),
        ("<registry>/a:1", "<registry>"),
        ("__REGISTRY__/a:1", "__REGISTRY__"),
        ("__REGISTRY_IMAGE_LOCATION", "__REGISTRY_IMAGE_LOCATION"),
        ("#{image}#", "#{image}#"),
        ("a.azurecr.io/b:#TAG#", "#TAG#"),
        ("a.azurecr.io/b:%TAG%", "%TAG%"),
        ("a.azurecr.io/b:@tag@", "@tag@"),
        ("{registry}/a:1", "{registry}"),
        ("[[registry]]/a:1", "[[registry]]"),
        ("a.azurecr.io/b:<%= tag %>", "<%= tag %>"),
        ("a.azurecr.io/b:REPLACE_ME", "REPLACE_ME"),
        ("a.azurecr.io/b:$(Build.BuildId)", "$(Build.BuildId)"),
    ],
)
def test_placeholder_in_an_image_makes_a_template(image: str, text: str) -> None:
    document = read(json.dumps(manifest(image)))

    assert document.kind is Kind.TEMPLATE
    assert [(one.pointer, one.text) for one in document.placeholders] == [(IMAGE, text)]


@pytest.mark.parametrize(
    "image", ["a.azurecr.io/my__module:1", "a/b@sha256:" + "0" * 64, "$upstream:443/a:1", "a:1-b_c"]
)
def test_what_only_looks_like_a_placeholder_is_none(image: str) -> None:
    assert read(json.dumps(manifest(image))).kind is Kind.MANIFEST


@pytest.mark.parametrize(
    ("values", "ours"),
    [
        ({"username": "$CONTAINER_REGISTRY_USERNAME_acme"}, False),
        ({"password": "${PASSWORD}"}, False),
        ({"address": "<registry>"}, False),
        ({"username": "${ACR_USERNAME_ACME}"}, True),
        ({"password": "${ACR_PASSWORD_ACME}"}, True),
    ],
)
def test_a_placeholder_in_a_credential_says_whether_apply_fills_it_in(values: dict[str, str], ours: bool) -> None:
    document = read(json.dumps(manifest(**values)))

    assert document.kind is Kind.TEMPLATE
    assert [one.ours for one in document.placeholders] == [ours]


def test_neither_the_name_nor_the_number_of_placeholders_decides() -> None:
    one = json.dumps(manifest("${MODULES.a}"))
    two = manifest("${MODULES.a}")
    modules = two["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    modules["b"] = {**MODULE, "settings": {"image": "${MODULES.b}"}}

    for name in ("", "deployment.json", "deployment.template.json", "a.j2"):
        assert read(one, name).kind is read(json.dumps(two), name).kind is Kind.TEMPLATE
        assert read(json.dumps(manifest()), name).kind is Kind.MANIFEST
    assert read(json.dumps({"$schema-template": "4.0.0", **manifest()})).kind is Kind.MANIFEST


@pytest.mark.parametrize(("route", "texts"), [("$upstream", []), ("$sensorToUpstream", ["$sensorToUpstream"])])
def test_a_route_is_no_placeholder_because_there_is_one_elsewhere(route: str, texts: list[str]) -> None:
    for image, more in (("acme.azurecr.io/a:1", []), ("acme.azurecr.io/a:${TAG}", ["${TAG}"])):
        data = manifest(image)
        data["modulesContent"]["$edgeHub"]["properties.desired"]["routes"]["r"] = {"route": route}

        assert [one.text for one in read(json.dumps(data)).placeholders] == [*more, *texts]


# With a style of its own, a project's manifests are searched without a quick look first; this style finds nothing.
_SLOWLY = Styles(more="(?!)")
_BEGINNINGS = ("", "FROM /* WHERE $body.a > 1 AND ", "$body.", "$edgeHub", "$upstream ")
_ENDS = (
    "",
    " ",
    "$body",
    "$body.b",
    "$body[0]",
    "${A}",
    "$A",
    "$name",
    "<a>",
    "__A",
    "[[a]]",
    "{a}",
    "CHANGE_ME",
    "x y",
)


@pytest.mark.parametrize("beginning", _BEGINNINGS)
@pytest.mark.parametrize("end", _ENDS)
def test_a_quick_look_at_a_route_misses_no_placeholder(beginning: str, end: str) -> None:
    data = manifest()
    data["modulesContent"]["$edgeHub"]["properties.desired"]["routes"] = {"r": beginning + end, "$edgeAgent": "$body"}

    assert list(find(data)) == list(find(data, _SLOWLY))


@pytest.mark.parametrize("key", ["address", "username", "password"])
@pytest.mark.parametrize("before", ["", " ", "a"])
@pytest.mark.parametrize(
    "text", ["${ACR_PASSWORD_A}", "${ACR_USERNAME_A_1}", "${ACR_TOKEN_A}", "$A", "#{a}#", "CHANGE_ME"]
)
def test_a_quick_look_at_a_credential_finds_the_same_placeholders(key: str, before: str, text: str) -> None:
    data = manifest(**{key: before + text})

    assert list(find(data)) == list(find(data, _SLOWLY))
    assert is_one(before + text) is (re.search(WHOLE, before + text) is not None)


@pytest.mark.parametrize(
    ("part", "texts"),
    [
        ({"env": {"A": {"value": "${TOKEN}"}}}, ["${TOKEN}"]),
        ({"env": {"A": {"value": "x-$SITE-y ${B}"}}}, ["$SITE", "${B}"]),
        ({"env": {"A": {"value": "<token>"}}}, ["<token>"]),
        ({"env": {"A": {"value": "<b>bold</b> {x} 100% a@b.c #1 pa$$word a$b"}}}, []),
        ({"env": {"$NAME": {"value": "1"}}}, ["$NAME"]),
        ({"settings": {"image": "a:1", "createOptions": '{"HostConfig": {"Binds": ["$DIR:/data"]}}'}}, ["$DIR"]),
        ({"settings": {"image": "a:1", "createOptions": {"HostConfig": {"Binds": ["%DIR%:/data"]}}}}, ["%DIR%"]),
        ({"settings": {"image": "a:1", "createOptions": '{"Env": ["A=<a>", "B=x<b>"]}'}}, ["<a>"]),
        ({"settings": {"image": "a:1", "createOptions": '{"Cmd": ["sh", "-c", "echo ${HOME} $X"]}'}}, []),
        ({"settings": {"image": "a:1", "createOptions": '{"Cmd": ["--device", "${ID}"]}'}}, ["${ID}"]),
        ({"settings": {"image": "a:1", "createOptions": '{"ExposedPorts": {"$PORT/tcp": {}}}'}}, ["$PORT"]),
        (
            {
                "settings": {
                    "image": "a:1",
                    "createOptions": '{"HostConfig":{"LogConfig":{"Config":{"tag":"{{.Name}}"}}}}',
                }
            },
            [],
        ),
        ({"settings": {"image": "a:1", "createOptions": "$OPTIONS"}}, ["$OPTIONS"]),
    ],
)
def test_what_counts_depends_on_the_place(part: dict[str, Any], texts: list[str]) -> None:
    data = manifest()
    data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["a"].update(part)
    text = json.dumps(data)
    document = read(text)

    assert [one.text for one in document.placeholders] == texts
    for one in document.placeholders:
        assert text[document.place_of(one).offset :].removeprefix('"').startswith(one.text)


@pytest.mark.parametrize(
    ("twin", "texts"),
    [
        ({"limit": "${LIMIT}", "__KEY__": 1, "list": [{"a": "<a>"}]}, ["${LIMIT}", "__KEY__", "<a>"]),
        ({"query": "<QueryList>{{ }}</QueryList>", "time": "%Y-%m-%d", "path": "$.body.temperature"}, []),
    ],
)
def test_a_twin_has_placeholders_too(twin: dict[str, Any], texts: list[str]) -> None:
    data = manifest()
    data["modulesContent"]["a"] = {"properties.desired": twin}

    assert [one.text for one in read(json.dumps(data)).placeholders] == texts


def test_styles_of_the_users_own_are_found_everywhere() -> None:
    data = manifest("acme/a:?TAG?")
    data["modulesContent"]["a"] = {"properties.desired": {"limit": "?LIMIT?"}}

    assert [one.text for one in read(json.dumps(data), styles=Styles(r"\?\w+\?")).placeholders] == ["?TAG?", "?LIMIT?"]
    assert read(json.dumps(data)).kind is Kind.MANIFEST


@pytest.mark.parametrize("extra", ['" // the cloud\n', '" /* the cloud */', '",\n'])
def test_comments_and_commas_are_read_over(extra: str) -> None:
    text = json.dumps(manifest("${MODULES.a}")).replace('INTO $upstream"', "INTO $upstream" + extra)
    document = read(text)

    assert document.error is not None and document.error.offset == text.index(extra) + 1 + (extra[1] == " ")
    assert document.manifest is not None
    assert [one.text for one in document.placeholders] == ["${MODULES.a}"]


def test_bare_placeholder_is_no_mistake_in_the_json() -> None:
    store = '{"storeAndForwardConfiguration": {"timeToLiveSecs": {{ ttl }}}}'
    text = f'{{"modulesContent": {{"$edgeHub": {{"properties.desired": {store}}}}}}}'
    document = read(text)

    assert document.kind is Kind.TEMPLATE
    assert document.error is None
    assert document.placeholders[0].pointer.endswith("/timeToLiveSecs")


def test_template_with_blocks_is_not_taken_for_broken_json() -> None:
    document = read('{"modulesContent": {{% for m in modules %}"{{ m }}": {},{% endfor %}}}')

    assert document.kind is Kind.TEMPLATE
    assert document.manifest is None


def test_other_text_is_no_manifest() -> None:
    assert read("<html>").kind is Kind.NOT_A_MANIFEST
    assert read("{{ x }}").kind is Kind.NOT_A_MANIFEST
    assert read('{"name": "x"}').kind is Kind.NOT_A_MANIFEST
    assert read("[]").error is None


def test_layered_manifest_is_recognised_or_told() -> None:
    layer = '{"modulesContent": {"$edgeAgent": {"properties.desired.modules.a": {}}}}'

    assert read(layer).kind is Kind.LAYERED
    assert read('{"modulesContent": {"$edgeAgent": {}}}', layered=True).kind is Kind.LAYERED


def test_lone_surrogates_and_nul_are_read() -> None:
    document = read('{"modulesContent": {"\\ud800\\u0000": {"properties.desired": {"a": "\\udfff"}}}}')

    assert document.kind is Kind.LAYERED
    assert document.spans(["/modulesContent/\ud800\x00/properties.desired/a"])


@given(st.binary(max_size=80))
def test_nothing_that_a_file_can_hold_is_an_exception(source: bytes) -> None:
    document = read(source)

    assert document.kind in Kind
    assert document.error is None or 0 <= document.error.offset <= len(document.text)


def test_template_with_very_deep_create_options_is_read() -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    data = manifest("${MODULES.a}")
    data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["a"]["settings"]["createOptions"] = deep

    assert read(json.dumps(data)).kind is Kind.TEMPLATE
