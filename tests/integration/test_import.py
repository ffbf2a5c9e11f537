"""`manifestgen import` as a user runs it: wrong files, outputs, and what it never shows."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.solutions import CANARIES, CREDENTIAL, ENV, module, module_json, template, write
from integration.command_line import complaint, files, in_a_new_process, in_this_process

from manifestgen.images import build
from manifestgen.sandbox.world import Pace
from manifestgen.target import Patience

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


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--allow-undefined",), "--allow-undefined needs --manifest"),
        (("--secrets", "placeholder"), "--secrets needs --manifest"),
        (("--manifest", "--builder", "acr"), "--builder is of a project's images, and --manifest writes no project"),
    ],
)
def test_an_option_without_effect_is_refused(tmp_path: Path, options: tuple[str, ...], error: str) -> None:
    path = write(tmp_path)
    before = files(tmp_path)
    said = complaint(in_this_process("import", path, *options), 2)
    assert said.error == error and "--manifest" in said.fix and "drop" in said.fix
    assert files(tmp_path) == before


def test_a_project_does_not_go_to_stdout(tmp_path: Path) -> None:
    said = complaint(in_this_process("import", write(tmp_path), "--out", "-"), 2)
    assert said.error == "--out: a project is several files, and stdout takes one"
    assert "--manifest" in said.fix


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_manifest_into_a_pipe_has_no_secret(tmp_path: Path) -> None:
    pipe, received = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    assert in_this_process("import", write(tmp_path / "solution"), "--manifest", "-o", pipe).code == 0
    reader.join(5)
    assert "modulesContent" in received[0] and not [canary for canary in CANARIES if canary in received[0]]


def test_only_env_and_the_manifest_hold_secrets_after_an_import(tmp_path: Path) -> None:
    data = template({"filter": module(env={"S": {"value": "$STORAGE"}, "PASSWORD": {"value": CANARIES[2]}})})
    path = write(tmp_path, data)
    for options in ((), ("--output", "json"), ("-v",), ("--out", tmp_path / "other")):
        shown = in_this_process("import", path, *options)
        assert shown.code == 0 and not [canary for canary in CANARIES if canary in shown.output]
    holders = {name for name, content in files(tmp_path).items() for canary in CANARIES if canary.encode() in content}
    assert holders == {".env", "deployment.template.json"}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_imported_solution_runs_on_a_device_of_each_environment(
    tmp_path: Path, quick: Any, new_device: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp", reason="the sandbox is not installed")
    quick.world.pace = Pace(image_build=0.06)
    monkeypatch.setattr(build, "PATIENCE", Patience(1800.0, first=0.05, longest=0.2))
    names = quick.world.names
    modules = {
        "filter": module(env={"LOG_LEVEL": {"value": "$LOG_LEVEL"}}),
        "camera": module("${MODULES.camera}"),
        "sensor": module("mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"),
    }
    credentials = {"acme": {**CREDENTIAL, "address": names.login_server}}
    folders = {name: module_json(f"{names.login_server}/of-a-solution/{name}") for name in ("filter", "camera")}
    hub = f"IOTHUB_CONNECTION_STRING=HostName={names.hub_host};SharedAccessKeyName=o;SharedAccessKey=geheim\n"
    write(tmp_path, template(modules, credentials=credentials), modules=folders, env=ENV + hub)
    (tmp_path / ".env.prod").write_text((ENV + hub).replace("debug", "warn"))
    assert in_this_process("import", tmp_path).code == 0
    project = tmp_path / "manifestgen.yaml"
    text = project.read_text().replace("credentials: env", "credentials: admin")
    test, prod = new_device(), new_device()
    text = text.replace(
        "  prod:\n", f"  test: {{target: {{device: {test}}}}}\n  prod:\n    target: {{device: {prod}}}\n"
    )
    project.write_text(text.replace("# target", "#"))
    levels = {}
    for environment, device in (("test", test), ("prod", prod)):
        deployed = in_this_process("deploy", tmp_path, "-e", environment, "--yes", "--force")
        assert deployed.code == 0, deployed
        assert "5 of 5 modules" in deployed.stdout
        exported = in_this_process("export", "--device", device).json
        agent = exported["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
        assert agent["filter"]["settings"]["image"].startswith(f"{names.login_server}/of-a-solution/filter:")
        levels[environment] = agent["filter"]["env"]["LOG_LEVEL"]["value"]
    assert levels == {"test": "debug", "prod": "warn"}
    locks = [tmp_path / f"manifestgen.{environment}.lock.json" for environment in levels]
    first, second = (json.loads(lock.read_text())["modules"]["filter"]["image"] for lock in locks)
    assert first == second  # built once


def test_fifty_modules_are_imported_by_the_program(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(50)]
    folders = {name: module_json(f"acme.azurecr.io/{name}") for name in names}
    write(tmp_path, template({name: module(f"${{MODULES.{name}}}") for name in names}), modules=folders, env=ENV)
    ended = in_a_new_process("import", "--output", "json", cwd=tmp_path)
    assert ended.code == 0, ended
    assert ended.json["modules"] == names
    assert [item["what"] for item in ended.json["supply"]] == ["login for acme.azurecr.io"]
