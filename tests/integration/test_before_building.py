"""What `deploy` finds before it builds, by the requests that the sandbox saw; and a dry run that changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import complaint, files, in_this_process

pytest.importorskip("azureml.core")

pytestmark = [
    pytest.mark.azureml,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# Requests with another method than GET or HEAD that change nothing: logins, and questions that have a body.
_READS = (
    r"POST /[^/]+/oauth2/v2\.0/token",
    r"POST /oauth2/(token|exchange)",
    r"POST .*/listCredentials",
    r"POST /devices/query",
    r"POST /configurations/testQueries",
)


def _requests(quick: Any) -> list[str]:
    return [f"{entry['method']} {entry['path']}" for entry in quick.admin("GET", "/requests")]


def _changing(requests: list[str]) -> list[str]:
    """Those that are not known to change nothing."""
    return [
        request
        for request in requests
        if not request.startswith(("GET ", "HEAD ")) and not any(re.fullmatch(read, request) for read in _READS)
    ]


@dataclass(frozen=True)
class Mistake:
    """What is wrong, what is said of it, and how many requests may be sent before that."""

    name: str
    make: Callable[[Any], tuple[str, ...]]
    words: str
    code: int
    most: int


def _template(project: Any) -> tuple[str, ...]:
    project.edit("template: anomaly-detection", "template: anomaly-detektion")
    return ()


def _value(project: Any) -> tuple[str, ...]:
    (project.root / "own.json.j2").write_text('{"modulesContent": {"$edgeAgent": {{ threshold }} }}')
    project.edit("template: anomaly-detection", "template: own.json.j2")
    return ()


def _device(project: Any) -> tuple[str, ...]:
    return ("--device", "nowhere")


def _hub(project: Any) -> tuple[str, ...]:
    return ("--hub", "nowhere.azure-devices.net")


def _no_hub(project: Any) -> tuple[str, ...]:
    project.edit("hub: {host: sandbox-hub.azure-devices.net}\n", "")
    return ()


def _two_hubs(project: Any) -> tuple[str, ...]:
    project.edit("sandbox-hub.azure-devices.net", "contoso.service.azure-devices.net")
    return ()


def _variables(project: Any) -> tuple[str, ...]:
    project.file.write_text(project.file.read_text() + "registry: {credentials: env}\n")
    return ()


def _token(project: Any) -> tuple[str, ...]:
    project.file.write_text(project.file.read_text() + "registry: {credentials: token}\n")
    return ()


def _admin(project: Any) -> tuple[str, ...]:
    return ()


MISTAKES = [
    Mistake("template", _template, "anomaly-detektion", 2, 0),
    Mistake("missing value", _value, "threshold", 2, 0),
    Mistake("device", _device, "nowhere", 3, 60),
    Mistake("hub", _hub, "nowhere.azure-devices.net", 3, 60),
    Mistake("no hub", _no_hub, "no IoT hub is specified", 2, 0),
    Mistake("two hubs", _two_hubs, "the project's hub is contoso.azure-devices.net", 2, 0),
    Mistake("no variables", _variables, "no credential for registry", 2, 60),
    Mistake("token password", _token, "no password of token", 2, 60),
    Mistake("admin user", _admin, "the registry's admin user is disabled", 3, 60),
]


@pytest.fixture
def used(quick: Any, project: Any, tmp_path: Path) -> None:
    """The workspace has a registry: it gets one with its first image, which another project built."""
    if quick.world.store.get("workspace", "registry"):
        return
    other = shutil.copytree(project.root, tmp_path / "other")
    file = other / "manifestgen.yaml"
    file.write_text(file.read_text().replace("name: image-of", "name: other-image-of").replace("best_", "other_"))
    assert in_this_process("image", other, "-q").code == 0
    assert quick.world.store.get("workspace", "registry")
    quick.admin("DELETE", "/requests")


@contextmanager
def _admin_off(quick: Any) -> Iterator[None]:
    registry = f"/registries/{quick.world.names.registry}"
    quick.admin("PUT", registry, {"admin_enabled": False})
    try:
        yield
    finally:
        quick.admin("PUT", registry, {"admin_enabled": True})


@contextmanager
def _as_it_is(quick: Any) -> Iterator[None]:
    yield


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_costs_no_build(
    mistake: Mistake, project: Any, used: None, quick: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = mistake.make(project)
    if mistake.name == "no hub":
        monkeypatch.delenv("IOTHUB_CONNECTION_STRING")
    before = len(_requests(quick))
    with (_admin_off if mistake.name == "admin user" else _as_it_is)(quick):
        began = time.monotonic()
        ended = in_this_process("deploy", project, "--yes", *options)
        seconds = time.monotonic() - began

    assert mistake.words in complaint(ended, mistake.code)
    sent = _requests(quick)[before:]
    print(f"{mistake.name}: {len(sent)} requests, {seconds:.1f} s before it was found")
    assert len(sent) <= mistake.most
    assert _changing(sent) == []
    assert (asked.registered, asked.built, asked.applied) == (0, 0, 0)
    assert not (project.root / "manifestgen.lock.json").exists()


def test_a_change_that_cannot_be_confirmed_costs_no_build(project: Any, quick: Any, asked: Any) -> None:
    assert "--yes" in complaint(in_this_process("deploy", project), 2)
    assert (asked.registered, asked.built) == (0, 0)


def test_a_dry_run_changes_nothing(project: Any, quick: Any, asked: Any, desired: Any, tmp_path: Path) -> None:
    before, there, had = len(_requests(quick)), files(project.root), desired(project.device)["$version"]

    ended = in_this_process("deploy", project, "--dry-run", "--output", "json")

    assert ended.code == 0, ended
    assert "would register model best_model and build image" in ended.stderr
    assert ended.json["dry_run"] is True
    assert (ended.json["registers"], ended.json["builds"], ended.json["applied"]) == ("best_model", True, False)
    assert {change["name"] for change in ended.json["plan"]["changes"]} >= {"machinelearningmodule", "tempSensor"}
    sent = _requests(quick)[before:]
    assert sent
    assert _changing(sent) == []
    assert files(project.root) == there
    assert not (tmp_path / "state").exists()
    assert desired(project.device)["$version"] == had

    deployed = in_this_process("deploy", project, "--yes", "--output", "json")
    assert deployed.json["image"] == ended.json["image"]
    before = len(_requests(quick))
    again = in_this_process("deploy", project, "--dry-run")
    assert again.code == 0, again
    assert "is up to date and would be reused" in again.stderr
    assert "no changes" in again.stdout
    assert again.stdout.endswith("dry run: nothing was registered, built or changed\n")
    assert _changing(_requests(quick)[before:]) == []


@pytest.mark.parametrize("option", ["--enable-admin", "--create-token"])
def test_a_dry_run_rejects_what_would_change_something(project: Any, option: str) -> None:
    assert f"{option} would" in complaint(in_this_process("deploy", project, "--dry-run", option), 2)


def test_a_token_is_created_before_the_first_image(project: Any, used: None, asked: Any) -> None:
    project.file.write_text(
        project.file.read_text() + f"registry: {{credentials: token, token: of-{project.device}}}\n"
    )
    created = in_this_process("credentials", "create-token", project, "--output", "json")
    assert created.code == 0, created
    assert [token["token"] for token in created.json["tokens"]] == [f"of-{project.device}"]
    assert (asked.registered, asked.built) == (0, 0)

    deployed = in_this_process("deploy", project, "--yes")
    assert deployed.code == 0, deployed
    assert (asked.registered, asked.built) == (1, 1)
    (built,) = json.loads((project.root / "manifestgen.lock.json").read_text())["modules"].values()
    image = built["image"]
    assert re.fullmatch(r"[^:]+:[0-9a-f]{12}", image)
