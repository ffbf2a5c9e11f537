"""Placeholders are expanded as the VS Code extension and iotedgedev expand them."""

from __future__ import annotations

import pytest

from manifestgen.solution.expansion import Profile, as_json_reads, expanded, pieces

VALUES = {"A": "alpha", "NOTHING": "", "edgeHub": "taken", "schema": "S", "AGAIN": "$A", "A1_b": "x"}
IMAGES = {
    "MODULES.cam": "acme.azurecr.io/cam:2-amd64",
    "MODULES.cam.arm32v7": "acme.azurecr.io/cam:2-arm32v7",
    "MODULES.a.b": "acme.azurecr.io/dotted:1-amd64",
    "MODULEDIR<../shared/cam>": "acme.azurecr.io/shared:3-amd64",
}


def expand(text: str, profile: Profile) -> str:
    vscode = profile == "vscode"
    return expanded(text, IMAGES, lambda name: (VALUES.get(name) or None) if vscode else VALUES.get(name), profile)


@pytest.mark.parametrize(
    ("text", "vscode", "iotedgedev"),
    [
        ("$A", "alpha", "alpha"),
        ("x${A}y", "xalphay", "xalphay"),
        ("$A-$A1_b", "alpha-x", "alpha-x"),
        ("$AB $NONE ${NONE}", "$AB $NONE ${NONE}", "$AB $NONE ${NONE}"),
        ("[$NOTHING]", "[$NOTHING]", "[]"),
        ("$AGAIN", "$A", "$A"),
        ("$$A", "$alpha", "$alpha"),
        ("INTO $upstream", "INTO $upstream", "INTO $upstream"),
        ("$edgeHub", "$edgeHub", "taken"),
        ("${edgeHub}", "taken", "taken"),
        ("$schema-template", "S-template", "S-template"),
        ("${A:-z} $(A) ${ A } %A% {{ A }} $é ${A", *["${A:-z} $(A) ${ A } %A% {{ A }} $é ${A"] * 2),
    ],
)
def test_a_variable_is_expanded_as_the_tool_does(text: str, vscode: str, iotedgedev: str) -> None:
    assert (expand(text, "vscode"), expand(text, "iotedgedev")) == (vscode, iotedgedev)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${MODULES.cam}", "acme.azurecr.io/cam:2-amd64"),
        ("${MODULES.cam.arm32v7}", "acme.azurecr.io/cam:2-arm32v7"),
        ("${MODULES.a.b}", "acme.azurecr.io/dotted:1-amd64"),
        ("${MODULEDIR<../shared/cam>}", "acme.azurecr.io/shared:3-amd64"),
        ("IMAGE=${MODULES.cam}@x", "IMAGE=acme.azurecr.io/cam:2-amd64@x"),
        ("${MODULES.cam} ${MODULES.cam}", "${MODULES.cam} ${MODULES.cam}"),
        ("${MODULES.cam} on ${A}", "${MODULES.cam} on alpha"),
        ("${MODULES.dog} ${modules.cam} $MODULES.cam", "${MODULES.dog} ${modules.cam} $MODULES.cam"),
        ("${MODULEDIR< ../shared/cam >}", "${MODULEDIR< ../shared/cam >}"),
    ],
)
def test_an_image_is_replaced_anywhere_in_a_text_but_only_one(text: str, result: str) -> None:
    assert expand(text, "vscode") == result


def test_iotedgedev_replaces_an_image_only_if_it_is_the_whole_text() -> None:
    assert expand("${MODULES.cam}", "iotedgedev") == "acme.azurecr.io/cam:2-amd64"
    assert expand("IMAGE=${MODULES.cam}", "iotedgedev") == "IMAGE=${MODULES.cam}"
    cut = pieces("${MODULES.cam}", IMAGES, VALUES.get, "iotedgedev", is_image=False)
    assert "".join(piece.result for piece in cut) == "${MODULES.cam}"


def test_pieces_join_to_the_text() -> None:
    text = "a $A ${MODULES.cam} b"
    assert "".join(piece.text for piece in pieces(text, IMAGES, VALUES.get)) == text


@pytest.mark.parametrize(
    ("value", "read"), [("plain", "plain"), (r"say \"hi\"", 'say "hi"'), ('a"b', 'a"b'), (r"C:\data", r"C:\data")]
)
def test_a_value_is_read_as_part_of_json_unless_it_would_break_it(value: str, read: str) -> None:
    assert as_json_reads(value) == read
