from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.manifest.document import Kind, read

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


@pytest.mark.parametrize(
    "image",
    [
        "${MODULES.a}",
        "${MODULEDIR<../a>.amd64}",
        "$REG/a:1",
        "{{ image }}",
        "<registry>/a:1",
        "__REGISTRY__/a:1",
        "#{image}#",
    ],
)
def test_placeholder_in_an_image_makes_a_template(image: str) -> None:
    document = read(json.dumps(manifest(image)))

    assert document.kind is Kind.TEMPLATE
    assert document.placeholders == ("/modulesContent/$edgeAgent/properties.desired/modules/a/settings/image",)
    assert document.leftover


@pytest.mark.parametrize(
    "values",
    [{"username": "$CONTAINER_REGISTRY_USERNAME_acme"}, {"password": "${PASSWORD}"}, {"address": "<registry>"}],
)
def test_placeholder_in_a_credential_is_meant(values: dict[str, str]) -> None:
    document = read(json.dumps(manifest(**values)))

    assert document.kind is Kind.TEMPLATE
    assert not document.leftover


def test_template_may_be_told_by_its_name_or_its_key() -> None:
    text = json.dumps(manifest("${MODULES.a}"))

    assert read(text).leftover
    assert not read(text, "deployment.template.json").leftover
    assert not read(json.dumps({"$schema-template": "4.0.0", **manifest("${MODULES.a}")})).leftover
    assert read(json.dumps(manifest()), "deployment.template.json").kind is Kind.MANIFEST
    assert read(json.dumps({"$schema-template": "4.0.0", **manifest()})).kind is Kind.MANIFEST


def test_two_placeholders_or_create_options_to_convert_are_meant() -> None:
    two = manifest("${MODULES.a}")
    modules = two["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    modules["b"] = {**MODULE, "settings": {"image": "${MODULES.b}"}}
    options = manifest("${MODULES.a}")
    module = options["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["a"]
    module["settings"]["createOptions"] = {"HostConfig": {}}

    assert not read(json.dumps(two)).leftover
    assert not read(json.dumps(options)).leftover


def test_text_of_a_module_that_looks_like_a_placeholder_is_its_own_business() -> None:
    data = manifest()
    module = data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["a"]
    module["env"] = {"PATTERN": {"value": "${HOSTNAME} {{x}} <b> __X__"}}
    module["settings"]["createOptions"] = '{"Cmd": ["sh", "-c", "echo ${HOME}"]}'
    data["modulesContent"]["a"] = {"properties.desired": {"query": "<QueryList>{{ }}</QueryList>"}}

    assert read(json.dumps(data)).kind is Kind.MANIFEST


def test_bare_placeholder_is_no_mistake_in_the_json() -> None:
    store = '{"storeAndForwardConfiguration": {"timeToLiveSecs": {{ ttl }}}}'
    text = f'{{"modulesContent": {{"$edgeHub": {{"properties.desired": {store}}}}}}}'
    document = read(text)

    assert document.kind is Kind.TEMPLATE
    assert document.error is None
    assert document.placeholders[0].endswith("/timeToLiveSecs")


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

    assert document.kind is Kind.MANIFEST
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
