"""`manifestgen import` as a user runs it: wrong files, outputs, and what it never shows."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from fakes.solutions import CANARIES, ENV, module, module_json, template, write
from integration.command_line import complaint, files, in_a_new_process, in_this_process

TWO = {"a": module("${MODULES.a}"), "b": module("${MODULES.b}")}


@pytest.mark.parametrize(
    ("solution", "options", "what", "fix"),
    [
        ({"data": '{\n "modulesContent": {"n": $N}\n}'}, (), ":2:26: a placeholder stands", "double quotes"),
        ({"data": template(version="5.0.0")}, (), "template.json:2:23: unknown template version '5.0.0'", "4.0.0"),
        ({"data": template(version="x")}, (), "template.json:2:23: unknown template version 'x'", "remove"),
        ({"env": ""}, ("--manifest",), "template.json:14:30: placeholder $CONTAINER_REGISTRY_USERNAME_acme", ".env"),
        ({"modules": {}}, ("--manifest",), "placeholder ${MODULES.filter} has no value", "module.json"),
        (
            {"modules": {"filter": module_json("r/f", "arm64v8")}}, ("--manifest",),
            "module.json:7:20: module 'filter' has no Dockerfile for platform 'amd64'; it has arm64v8", "--platform",
        ),
        ({"modules": {"filter": {}}}, (), "module.json:1:1: 'image.repository' is missing", "acme.azurecr.io"),
        (
            {"data": template(TWO), "modules": {"a": module_json(), "b": module_json()}}, (),
            "b/module.json:4:19: modules 'a' and 'b' have one repository", "of its own",
        ),
        (
            {"data": template({"Cam": module("r/c:1"), "cam": module("r/c:1")})}, (),
            "template.json:61:11: two modules have one name in different case: 'Cam' and 'cam'", "rename",
        ),
        ({}, ("--env-file", "none.env"), "none.env: .env file not found", "create"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_two_lines_with_its_place(
    tmp_path: Path, solution: Any, options: tuple[str, ...], what: str, fix: str
) -> None:
    path = write(tmp_path, **solution)
    before = files(tmp_path)
    refused = in_this_process("import", path, *options, "--output", "json")
    said = complaint(refused, 2)
    assert what in said.error and fix in said.fix
    place = refused.json["error"]
    assert f"{place['file']}:{place.get('line')}:{place.get('column')}" in said.error or "none.env" in said.error
    assert files(tmp_path) == before


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "manifestgen.yaml").write_text("version: 1\n")
    said = complaint(in_this_process("import", path), 2)
    assert "manifestgen.yaml would be overwritten" in said.error and "--force" in said.fix
    assert not (tmp_path / "deployment.json.j2").exists()
    assert in_this_process("import", path, "--force").code == 0
    assert in_this_process("import", path).stdout.startswith(f"unchanged {tmp_path / 'manifestgen.yaml'}\n")


def test_the_manifest_alone_is_private_and_stdout_has_no_secret(tmp_path: Path) -> None:
    data = template({"filter": module(env={"S": {"value": "$STORAGE"}})})
    path = write(tmp_path, data)
    assert in_this_process("import", path, "--manifest").code == 0
    file = tmp_path / "config" / "deployment.amd64.json"
    assert CANARIES[0] in file.read_text() and CANARIES[1] in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = in_this_process("import", path, "--manifest", "-o", "-")
    assert json.loads(shown.stdout) and not [canary for canary in CANARIES if canary in shown.output]
    assert '"$STORAGE"' in shown.stdout
    asked = in_this_process("import", path, "--manifest", "-o", "-", "--secrets", "inline")
    assert asked.stdout == file.read_text()


def test_only_env_and_the_manifest_hold_secrets_after_an_import(tmp_path: Path) -> None:
    data = template({"filter": module(env={"S": {"value": "$STORAGE"}, "PASSWORD": {"value": CANARIES[2]}})})
    path = write(tmp_path, data)
    for options in ((), ("--output", "json"), ("-v",), ("--out", tmp_path / "other")):
        shown = in_this_process("import", path, *options)
        assert shown.code == 0 and not [canary for canary in CANARIES if canary in shown.output]
    holders = {name for name, content in files(tmp_path).items() for canary in CANARIES if canary.encode() in content}
    assert holders == {".env", "deployment.template.json"}


def test_fifty_modules_are_imported_by_the_program(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(50)]
    folders = {name: module_json(f"acme.azurecr.io/{name}") for name in names}
    write(tmp_path, template({name: module(f"${{MODULES.{name}}}") for name in names}), modules=folders, env=ENV)
    ended = in_a_new_process("import", "--output", "json", cwd=tmp_path)
    assert ended.code == 0, ended
    assert ended.json["modules"] == names
    assert [item["what"] for item in ended.json["supply"]] == ["login for acme.azurecr.io"]
