"""Every command's JSON document is what its published schema says: they are a stable interface."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from fakes.hub_service import content, module
from fakes.solutions import write as write_solution
from integration.command_line import Completed, in_this_process
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from manifestgen.cli import COMMANDS, module_of

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"

SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"

#: Print something else than a document of ours, or none.
OTHERWISE = {
    **dict.fromkeys(
        ("bundle", "logs", "ping", "restart", "score"), "asks a device's modules; its schema is not written"
    ),
    "completion": "prints a script",
    "export": "has one with -o FILE, which is tried",
    "image": "is tried by the test below, where azureml-core is",
    "model-list": "the same",
    "run": "prints messages as they come, one document a line",
    "sandbox-messages": "prints what the hub received, as the admin API has it",
    "sandbox-run": "runs another program",
    "sandbox-start": "prints the environment as it is",
    "sandbox-stop": "would stop this sandbox",
    "schema": "prints a JSON Schema",
    "test": "prints a trial's result, which takes an environment of its own",
}


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
    assert set(commands()) - seen <= set(OTHERWISE)


@pytest.mark.azureml
def test_what_builds_an_image_is_what_its_schema_says(project: Any, quick: Any) -> None:
    pytest.importorskip("azureml.core")
    for arguments, command in ((["image"], "image"), (["image"], "image"), (["model", "list"], "model-list")):
        ended = in_this_process(*arguments, str(project), "--output", "json")
        assert ended.code == 0, ended
        assert check(ended.json) == command
