"""Every command's JSON document is what its published schema says: they are a stable interface."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from fakes.hub_service import content, module
from fakes.module_images import put_module_image
from fakes.solutions import write as write_solution
from integration.command_line import Completed, eventually, in_this_process
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from manifestgen.cli import COMMANDS, module_of
from manifestgen.sandbox import blob_sas
from manifestgen.target import Patience

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"

SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"

#: Commands whose output is not a document.
WITHOUT = {
    "completion": "prints a script",
    "sandbox-run": "runs another program",
    "sandbox-start": "prints the environment as it is",
    "schema": "prints a JSON Schema",
}
#: Commands that need azureml-core: tried by a test of their own.
BUILDING = {"image", "model-list"}


def commands() -> Iterator[str]:
    """Every command and subcommand, in the form of its schema's id."""
    for name in COMMANDS:
        command = importlib.import_module(module_of(name)).command
        inner = command.commands if isinstance(command, click.Group) else {}
        yield from (f"{name}-{sub}" for sub in inner) if inner else (name,)


def validator(name: str) -> Draft202012Validator:
    files = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    registry = Registry().with_resources((file, Resource.from_contents(schema)) for file, schema in files.items())
    schema = files[f"{name}.json"]
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=registry)


def check(document: Any) -> str:
    """Validate a document by the schema that it names; returns the command."""
    vendor, name, number = document["schema"].split("/")
    assert (vendor, number) == ("manifestgen", "1")
    problems = [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(document)]
    assert problems == [], f"{name}: {problems}\n{json.dumps(document, indent=1)[:3000]}"
    return str(name)


def documents(project: Any, quick: Any, tmp_path: Path) -> Iterator[Any]:
    """The documents of a project's life, from the first command to the last; each command at least once."""

    def run(*arguments: Any, expect: tuple[int, ...] = (0,)) -> Any:
        ended: Completed = in_this_process(*map(str, arguments), "--output", "json")
        assert ended.code in expect, ended
        return ended.json

    root, device = project.root, project.device
    manifest, layer = root / "deployment.json", tmp_path / "layer.json"
    yield run("init", tmp_path / "new")
    solution = write_solution(tmp_path / "solution")
    yield run("import", solution)
    yield run("import", solution, "--manifest")
    yield run("doctor", root, expect=(0, 1))
    yield run("project", "show", root)
    yield run("render", root)
    yield run("check", manifest)
    broken = tmp_path / "broken.json"
    broken.write_text('{"modulesContent": {"$edgeAgent": 1}}')
    yield run("check", broken, manifest, expect=(1,))
    yield run("explain")
    yield run("explain", "floating-tag")
    yield run("preflight", manifest, "--device", device)
    yield run("preflight", manifest)
    yield run("plan", manifest, "--device", device)
    yield run("deploy", root, "--dry-run")
    yield run("deploy", root, "--yes")
    yield run("apply", manifest, "--device", device, "--yes")
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content({"sensor": module(SENSOR)})))
    yield run("plan", other, "--device", device)
    yield run("apply", other, "--device", device, "--yes", "--prune", "--no-wait")
    yield run("diff", manifest, other)
    yield run("view", manifest, "-o", tmp_path / "page.html")
    yield run("status", "--device", device, expect=(0, 1))
    yield run("export", "--device", device, "-o", tmp_path / "exported.json")
    yield run("history", "--device", device)
    yield run("rollback", "--device", device, "--yes", "--no-wait")
    yield run("device", "register", f"{device}-b", "--tag", "site=json")
    yield run("device", "tag", f"{device}-b", "line=3")
    yield run("device", "show", device)
    yield run("device", "list")
    yield run("device", "connection-string", device)
    fleet = ("--deployment", "json-documents", "--target-condition", "tags.site='json'", "--yes", "--no-wait")
    yield run("apply", other, *fleet)
    yield run("apply", manifest, *fleet, "--label", "a=b")
    layer.write_text(json.dumps({"modulesContent": {"$edgeAgent": {"properties.desired.modules.m": module()}}}))
    yield run("check", layer)
    yield run("status", "--deployment", "json-documents", expect=(0, 1))
    yield run("history", "--deployment", "json-documents")
    yield run("deployment", "list")
    yield run("deployment", "show", "json-documents")
    yield run("rollback", "--deployment", "json-documents", "--yes", "--no-wait")
    yield run("deployment", "delete", "json-documents", "--yes")
    rows = tmp_path / "rows.csv"
    rows.write_text(f"device,image\n{device}-b,{SENSOR}\n")
    yield run("apply", "single-module", "--devices", rows, "--dry-run", "--ignore-column", "x", expect=(0, 2))
    yield run("apply", "single-module", "--devices", rows, "--yes", "--rate", "1000")
    yield run("credentials", "show", root, expect=(0, 1))
    project.edit("manifest: {template", "registry: {credentials: token}\nmanifest: {template")
    yield run("credentials", "create-token", root)
    yield run("render", root)
    yield run("apply", manifest, "--device", device, "--yes", "--prune", "--no-wait")
    yield run("credentials", "rotate", root, "--device", device, "--yes", expect=(0, 1))
    yield run("device", "delete", f"{device}-b", "--yes")


ERRORS = (
    (["check", "no-such.json"], "check", "input"),
    (["device", "show", "no-such"], "device-show", "not-found"),
    (["rollback", "--device", "edge-01", "--yes"], "rollback", "no-snapshot"),
    (["apply", "no-such.json", "--device", "x", "--yes"], "apply", "input"),
    (["deploy", "--no-such-option"], "error", "input"),
)


@pytest.mark.parametrize(("arguments", "command", "code"), ERRORS, ids=lambda value: str(value)[:30])
def test_an_error_is_a_document_of_its_command(
    quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: str, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    document = in_this_process(*arguments, "--output", "json").json
    assert check(document) == command
    assert document["error"]["code"] == code


def test_every_document_is_what_its_schema_says(
    ready_made: Any, quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ready_made.root)
    seen = {check(document) for document in documents(ready_made, quick, tmp_path)}
    assert seen | OPERATING | BUILDING | set(WITHOUT) == set(commands())


def test_every_command_with_a_document_has_a_schema() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} - {"error"} == set(commands()) - set(WITHOUT)


#: Commands about what runs, on a device or here.
OPERATING = {"bundle", "logs", "ping", "restart", "run", "sandbox-messages", "sandbox-stop", "score", "test"}


def of_a_device(device: str, sandbox: Any, folder: Path) -> Iterator[Any]:
    """The documents about a device that runs a model and the sensor, and one that is offline."""
    sandbox.admin("PUT", f"/devices/{device}", {"modules": "run"})
    image = put_module_image(sandbox.world, "ghcr.io", "echo", "documents")
    modules = {"scorer": module(image), "sensor": module(SENSOR, env={"MessageCount": {"value": "2"}})}
    routes = {"up": "FROM /messages/modules/sensor/outputs/* INTO $upstream"}
    (folder / "running.json").write_text(json.dumps(content(modules, routes=routes)))
    (folder / "data.json").write_text("[1]")
    (folder / "devices.csv").write_text(f"device\n{device}\nnobody\n")
    applied = in_this_process("apply", folder / "running.json", "--device", device, "--yes", "-q", "--timeout", "60")
    assert applied.code == 0, applied
    score = ("score", "--module", "scorer", "--data", str(folder / "data.json"))
    eventually(lambda: in_this_process(*score, "--device", device).code == 0, "the module answers")
    calls: tuple[tuple[str, ...], ...] = (
        ("ping",),
        ("logs", "scorer"),
        ("logs", "scorer", "--level", "error"),
        score,
        ("restart", "sensor"),
        ("bundle", "--to", "SUPPORT_SAS"),
    )
    for call in calls:
        yield in_this_process(*call, "--device", device, "--output", "json").json
        many = ("--yes",) if call[0] == "restart" else ()
        yield in_this_process(*call, *many, "--devices", folder / "devices.csv", "--output", "json").json
    for more in ((), ("--summary",)):
        yield in_this_process("sandbox", "messages", "--device", device, "--count", "2", *more, "--output", "json").json


def of_this_machine(folder: Path) -> Iterator[Any]:
    """The documents of a project that is tried and run with this Python's packages."""
    (folder / "manifestgen.yaml").write_text(
        "version: 1\nmodel: {name: m, path: model.txt}\nimage: {builder: local, name: m, entry_script: score.py, "
        "requirements: requirements.txt, registry: acme.azurecr.io}\n"
        "manifest: {template: anomaly-detection}\ntarget: {device: edge-01}\n"
    )
    for name, text in (("model.txt", "1"), ("requirements.txt", ""), ("sample.json", "{}"), ("null.json", "null")):
        (folder / name).write_text(text)
    (folder / "score.py").write_text(
        "import json\ndef init(): pass\ndef run(data):\n    data = json.loads(data)\n"
        "    return None if data is None else {'got': data}\n"
    )
    (folder / "answer.json").write_text('{"got": {}}')
    (folder / "messages.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
    for options in (("--expect", folder / "answer.json"), ("--input", folder / "null.json")):
        yield in_this_process("test", folder, "--here", *options, "--output", "json").json
    yield in_this_process("run", folder, "--here", "--input", folder / "messages.jsonl", "--output", "json").json


class _Stops(BaseHTTPRequestHandler):
    """The admin API of a sandbox that stops when it is asked to."""

    def do_POST(self) -> None:
        self.send_response(204)
        self.end_headers()
        self.server.server_close()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="modules need Unix sockets")
def test_what_asks_modules_is_what_its_schema_says(
    quick: Any, new_device: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("manifestgen.context.environment.environment", lambda *_, **__: Path(sys.executable))
    monkeypatch.setattr("manifestgen.operate.bundle.PATIENCE", Patience(5.0, first=0.05, longest=0.1))
    token = blob_sas.container_sas(quick.world, "support", "cw")
    monkeypatch.setenv("SUPPORT_SAS", f"https://{blob_sas.host(quick.world)}/support?{token}")
    found = [*of_a_device(new_device(), quick, tmp_path), *of_this_machine(tmp_path)]
    with HTTPServer(("127.0.0.1", 0), _Stops) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("MANIFESTGEN_SANDBOX", f"http://sandbox:token@127.0.0.1:{server.server_port}")
        found.append(in_this_process("sandbox", "stop", "--output", "json").json)
    assert [document["error"] for document in found if "error" in document] == []
    assert {check(document) for document in found} == OPERATING
    assert [bool(document.get("messages")) for document in found if "messages" in document] == [True] * 3


@pytest.mark.azureml
def test_what_builds_an_image_is_what_its_schema_says(project: Any, quick: Any) -> None:
    pytest.importorskip("azureml.core")
    for arguments, command in ((["image"], "image"), (["image"], "image"), (["model", "list"], "model-list")):
        ended = in_this_process(*arguments, str(project), "--output", "json")
        assert ended.code == 0, ended
        assert check(ended.json) == command
