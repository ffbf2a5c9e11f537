"""`apply` and `plan` refuse a placeholder in any place, name its line and column, and talk to nobody."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from manifestgen.cli import run
from manifestgen.errors import InputError
from manifestgen.gate import require_applicable
from manifestgen.manifest.document import Kind, of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import split
from manifestgen.manifest_file import read_manifest_file

PLAIN = json.loads((Path(__file__).parents[2] / "rules/route-syntax/pass/plain.json").read_text("utf-8"))
AGENT = "/modulesContent/$edgeAgent/properties.desired"
HUB = "/modulesContent/$edgeHub/properties.desired"
MODULE = f"{AGENT}/modules/scorer"
PLACES: dict[str, tuple[str, Any, str]] = {
    "image": (f"{MODULE}/settings/image", "acme.azurecr.io/scorer:${TAG}", "${TAG}"),
    "bind": (f"{MODULE}/settings/createOptions", '{"HostConfig": {"Binds": ["$FOLDER:/data"]}}', "$FOLDER"),
    "port": (
        f"{MODULE}/settings/createOptions",
        '{"HostConfig": {"PortBindings": {"1/tcp": [{"HostPort": "$PORT"}]}}}',
        "$PORT",
    ),
    "env in createOptions": (f"{MODULE}/settings/createOptions", '{"Env": ["A=${A}"]}', "${A}"),
    "options": (f"{MODULE}/settings/createOptions", "$OPTIONS", "$OPTIONS"),
    "variable": (f"{MODULE}/env", {"TOKEN": {"value": "${TOKEN}"}}, "${TOKEN}"),
    "name of a variable": (f"{MODULE}/env", {"${NAME}": {"value": "x"}}, "${NAME}"),
    "status": (f"{MODULE}/status", "<status>", "<status>"),
    "module": (f"{AGENT}/modules/__MODULE_NAME", PLAIN["modulesContent"]["$edgeAgent"], "__MODULE_NAME"),
    "password": (f"{AGENT}/runtime/settings/registryCredentials/acme/password", "$PASSWORD", "$PASSWORD"),
    "address": (f"{AGENT}/runtime/settings/registryCredentials/acme/address", "{{ acr }}", "{{ acr }}"),
    "schema version": (f"{AGENT}/schemaVersion", "#{version}#", "#{version}#"),
    "route": (f"{HUB}/routes/up", "FROM /messages/modules/${M}/* INTO $upstream", "${M}"),
    "name of a route": (f"{HUB}/routes/${{UP}}", "FROM /messages/* INTO $upstream", "${UP}"),
    "seconds": (f"{HUB}/storeAndForwardConfiguration/timeToLiveSecs", "$SECONDS", "$SECONDS"),
    "twin": ("/modulesContent/scorer/properties.desired/threshold", "%THRESHOLD%", "%THRESHOLD%"),
    "key in a twin": ("/modulesContent/scorer/properties.desired/__KEY__", 1, "__KEY__"),
    "twin of a module": ("/modulesContent/<module>", {"properties.desired": {}}, "<module>"),
}


def _with(*places: tuple[str, Any, str]) -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(PLAIN)
    for pointer, value, _ in places:
        outer: Any = data
        *path, last = split(pointer)
        for key in path:
            outer = outer[key]
        outer[last] = value
    return data


@pytest.mark.parametrize("command", ["apply", "plan", "apply --force --yes"])
@pytest.mark.parametrize("name", PLACES)
def test_a_placeholder_is_refused_with_its_place(
    name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = json.dumps(_with(PLACES[name]), indent=2)
    Path("deployment.json").write_text(text)
    verb, *flags = command.split()
    hub = ["--device", "edge-01", "--hub", "nowhere.azure-devices.net"]

    assert run([verb, "deployment.json", *hub, *flags]) == 2
    out, err = capsys.readouterr()
    where, _, what = err.removeprefix("error: deployment.json:").partition(": ")
    line, column = map(int, where.split(":"))
    written = text.split("\n")[line - 1][column - 1 :].removeprefix('"')
    assert what.startswith(f"this is a template: placeholder {PLACES[name][2]} is not filled in\n")
    assert written.startswith(PLACES[name][2])
    assert out == ""


def test_of_several_the_first_is_named_and_the_others_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(_with(PLACES["twin"], PLACES["image"], PLACES["route"]), indent=2))

    assert run(["plan", str(file), "--device", "edge-01", "--hub", "nowhere.azure-devices.net"]) == 2
    assert "placeholder ${TAG} is not filled in, and 2 more are not\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", PLACES)
def test_what_deploy_renders_is_refused_too(name: str) -> None:
    document = of_manifest(Manifest.of(_with(PLACES[name])), "the rendered manifest")

    with pytest.raises(InputError, match="is not filled in") as caught:
        require_applicable(document, force=True)
    assert PLACES[name][2] in str(caught.value)


def test_styles_of_the_project_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(_with((f"{MODULE}/settings/image", "acme.azurecr.io/scorer:?TAG?", "")), indent=2))
    project = tmp_path / "manifestgen.yaml"
    project.write_text("version: 1\nmanifest: {template: single-module}\ncheck: {placeholder: '\\?\\w+\\?'}\n")

    assert run(["plan", str(file), "--device", "edge-01", "--hub", "nowhere.azure-devices.net"]) == 2
    assert "placeholder ?TAG? is not filled in" in capsys.readouterr().err
    assert run(["check", str(file), "--project", str(project)]) == 0
    assert "?TAG? is not filled in" in capsys.readouterr().out


def _project(folder: Path, check: str, *, template: str = "single-module", values: str = "{}") -> None:
    manifest = f"{{template: {template}, values: {values}}}"
    (folder / "manifestgen.yaml").write_text(f"version: 1\nmanifest: {manifest}\ncheck: {check}\n")


TEXT = (f"{MODULE}/env", {"GREETING": {"value": "{{name}}"}}, "{{name}}")


def test_text_that_only_looks_like_a_placeholder_is_sent_if_the_project_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "deployment.json"
    hub = ["--device", "edge-01", "--hub", "nowhere.azure-devices.net"]
    file.write_text(json.dumps(_with(TEXT), indent=2))

    assert run(["plan", str(file), *hub]) == 2
    assert "match it with check.literal" in capsys.readouterr().err

    _project(tmp_path, r"{literal: '\{\{(name|date)\}\}'}")
    assert read_manifest_file(file.read_bytes(), file).document.kind is Kind.MANIFEST
    assert run(["check", str(file), "--project", str(tmp_path), "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["kind"] == "manifest"

    file.write_text(json.dumps(_with(TEXT, PLACES["image"]), indent=2))
    assert run(["plan", str(file), *hub]) == 2
    assert "placeholder ${TAG} is not filled in\n" in capsys.readouterr().err


def test_what_is_literal_must_match_all_of_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _project(tmp_path, "{literal: 'TAG'}")
    file = tmp_path / "deployment.json"
    file.write_text(json.dumps(_with(PLACES["image"]), indent=2))

    assert run(["plan", str(file), "--device", "edge-01", "--hub", "nowhere.azure-devices.net"]) == 2
    assert "placeholder ${TAG} is not filled in" in capsys.readouterr().err


@pytest.mark.parametrize("check", ["{}", r"{placeholder: '\?\w+\?'}", r"{placeholder: '\?\w+\?', literal: '\?\w+\?'}"])
def test_rows_are_judged_with_the_project_s_styles(
    check: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = '{ttl: 60, runtime: "1.6", module: scorer, image: "mcr.microsoft.com/acme/scorer:1"}'
    _project(tmp_path, check, template="t.json.j2", values=values)
    Path("t.json.j2").write_text(
        '{% extends "single-module.json.j2" %}\n'
        '{% block twins %}, "scorer": {"properties.desired": {"site": {{ site | tojson }} }}{% endblock %}\n'
    )
    Path("devices.csv").write_text("device,site\nedge-1,?SITE?\n")

    refused = "placeholder" in check and "literal" not in check
    assert run(["apply", "t.json.j2", "--devices", "devices.csv", "--dry-run", "--report", "r.json"]) == int(refused)
    assert ("placeholder ?SITE? at /modulesContent/scorer" in Path("r.json").read_text()) is refused


@pytest.mark.parametrize("key", ["placeholder", "literal"])
@pytest.mark.parametrize(("pattern", "what"), [("'('", "not a regular expression"), ("'x*'", "matches an empty text")])
def test_a_pattern_that_cannot_work_is_an_error(
    key: str, pattern: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifestgen.yaml").write_text(f"version: 1\ncheck: {{{key}: {pattern}}}\n")
    (tmp_path / "a.json").write_text("{}")

    assert run(["check", str(tmp_path / "a.json"), "--project", str(tmp_path)]) == 2
    assert f"check.{key}" in (err := capsys.readouterr().err) and what in err
