"""The main job, end to end: what the command line did is read back with Microsoft's SDKs only."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import complaint, in_a_new_process, in_this_process

pytest.importorskip("azureml.core")

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.azureml,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_BUILDERS = ("package", "container-image")


@pytest.fixture
def workspace(quick: Any) -> Any:
    """The workspace, through azureml-core as it comes."""
    from azureml.core import Workspace
    from azureml.core.authentication import ServicePrincipalAuthentication

    names, environment = quick.world.names, quick.environment
    login = ServicePrincipalAuthentication(
        environment["AZURE_TENANT_ID"], environment["AZURE_CLIENT_ID"], environment["AZURE_CLIENT_SECRET"]
    )
    return Workspace.get(
        names.workspace, auth=login, subscription_id=names.subscription_id, resource_group=names.resource_group
    )


def _admin(quick: Any) -> tuple[str, str]:
    """User name and first password of the registry's admin user, from ARM by its own SDK."""
    from azure.identity import EnvironmentCredential
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient

    names = quick.world.names
    with (
        EnvironmentCredential() as credential,
        ContainerRegistryManagementClient(credential, names.subscription_id) as client,
    ):
        found = client.registries.list_credentials(names.registry_group, names.registry)
    return found.username, found.passwords[0].value


@pytest.mark.filterwarnings("ignore")  # azureml-core and its builder container-image warn of themselves
@pytest.mark.parametrize("builder", _BUILDERS)
def test_one_command_takes_a_model_to_a_running_module(
    builder: str,
    project: Any,
    workspace: Any,
    quick: Any,
    hub: Any,
    desired: Callable[[str], Mapping[str, Any]],
    asked: Any,
) -> None:
    project.edit("builder: package", f"builder: {builder}")

    options = (project, "--yes", "--output", "json")
    if builder == "package":
        deployed = in_a_new_process("deploy", *options, cwd=project.root)
    else:
        deployed = in_this_process("deploy", *options)

    assert deployed.code == 0, deployed
    document = deployed.json
    assert document["applied"] is True
    assert document["rollout"]["state"] == "healthy"
    assert {module["status"] for module in document["rollout"]["modules"]} == {"running"}
    assert ("deprecated" in deployed.stderr) == (builder == "container-image")

    from azureml.core.model import Model

    model = Model(workspace, name="best_model", version=_built(project)["model"]["version"])
    assert model.tags == {"area": "anomaly", "type": "classification"}
    assert model.description == "Sample anomaly detection model"
    if builder == "container-image":
        from azureml.core.image import Image

        (image,) = Image.list(workspace, image_name=f"image-of-{project.device}")
        assert (image.tags, image.description) == ({"area": "iot"}, "Anomaly detection on the edge")
        assert image.image_location == document["image"]

    properties = desired(project.device)
    username, password = _admin(quick)
    (credential,) = properties["runtime"]["settings"]["registryCredentials"].values()
    assert credential == {"address": quick.world.names.login_server, "username": username, "password": password}
    assert properties["modules"]["machinelearningmodule"]["settings"]["image"] == document["image"]
    on_device = {module.module_id for module in hub.modules.get_modules_on_device(project.device)}
    assert on_device == {"$edgeAgent", "$edgeHub", "tempSensor", "machinelearningmodule"}
    routes = hub.modules.get_twin(project.device, "$edgeHub").properties.desired["routes"]
    assert set(routes) == {"sensorToModel", "modelToUpstream"}
    assert (asked.registered, asked.built, asked.applied) == (1, 1, 1)

    version, lock = properties["$version"], _lock(project)
    again = in_this_process("deploy", project, "--yes")

    assert again.code == 0, again
    assert "reused" in again.stderr
    assert "no changes" in again.stdout
    assert desired(project.device)["$version"] == version
    assert _lock(project) == lock
    assert (asked.registered, asked.built, asked.applied) == (1, 1, 1)


def _lock(project: Any) -> str:
    return Path(project.root, "manifestgen.lock.json").read_text()


def _built(project: Any) -> Any:
    """What the lock file has of the project's only module."""
    (built,) = json.loads(_lock(project))["modules"].values()
    return built


def test_image_prints_the_reference_alone_on_stdout_and_reuses_it(project: Any, asked: Any) -> None:
    first = in_this_process("image", project)
    assert first.code == 0, first
    reference = first.stdout.strip()
    assert reference == _built(project)["image"]
    assert _built(project)["digest"].startswith("sha256:")
    assert not (project.root / ".manifestgen" / "pending.json").exists()

    second = in_this_process("image", project, "--output", "json")
    assert second.json["reused"] is True
    assert second.json["image"] == reference
    assert (asked.registered, asked.built) == (1, 1)


def test_rebuild_gives_an_image_of_another_name_and_no_second_model(project: Any, asked: Any) -> None:
    first = in_this_process("image", project).stdout.strip()
    second = in_this_process("image", project, "--rebuild").stdout.strip()
    assert first.partition(":")[0] == second.partition(":")[0]
    assert first != second
    assert (asked.registered, asked.built) == (1, 2)


def test_a_registered_model_is_listed_and_used_by_its_name(project: Any, asked: Any) -> None:
    assert in_this_process("image", project).code == 0
    listed = in_this_process("model", "list", project)
    assert listed.code == 0
    assert "best_model:" in listed.stdout
    assert "area=anomaly, type=classification" in listed.stdout

    project.edit("  path: model.pkl\n", "")
    project.edit("  tags: {area: anomaly, type: classification}\n", "")
    project.edit("  description: Sample anomaly detection model\n", "")
    assert in_this_process("image", project).code == 0
    newest = in_this_process("model", "list", project, "--name", "best_model", "--output", "json").json["models"][0]
    assert _built(project)["model"] == {"name": "best_model", "version": newest["version"], "sha256": None}
    assert newest["tags"] == {"area": "anomaly", "type": "classification"}
    assert asked.registered == 1


def test_render_takes_the_image_that_was_built_and_the_admin_user(project: Any, quick: Any) -> None:
    reference = in_this_process("image", project).stdout.strip()
    rendered = in_this_process("render", project, "--set", "ttl=60", "--output", "json")
    assert rendered.code == 0, rendered
    file = project.root / "deployment.json"
    assert Path(rendered.json["path"]) == file
    assert rendered.json["secrets"] is True
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = json.loads(file.read_text())["modulesContent"]
    agent = content["$edgeAgent"]["properties.desired"]
    assert agent["modules"]["machinelearningmodule"]["settings"]["image"] == reference
    (credential,) = agent["runtime"]["settings"]["registryCredentials"].values()
    assert (credential["username"], credential["password"]) == _admin(quick)
    assert content["$edgeHub"]["properties.desired"]["storeAndForwardConfiguration"]["timeToLiveSecs"] == 60


def test_render_apply_and_status_agree(ready_made: Any, asked: Any, desired: Any) -> None:
    manifest = ready_made.root / "deployment.json"
    assert in_this_process("render", ready_made).code == 0
    applied = in_this_process("apply", manifest, "--device", ready_made.device, "--yes", "--output", "json")
    assert applied.code == 0, applied
    assert applied.json["applied"] is True
    added = {(change["kind"], change["name"]) for change in applied.json["plan"]["changes"]}
    assert ("added", "machinelearningmodule") in added
    expected = json.loads(manifest.read_text())["modulesContent"]["$edgeAgent"]["properties.desired"]
    found = {key: value for key, value in desired(ready_made.device).items() if not key.startswith("$")}
    assert found == expected

    status = in_this_process("status", "--device", ready_made.device, "--output", "json")
    assert status.code == 0, status
    more = {"schema": "manifestgen/status/1", "scoring": [], "last_log_lines": []}
    assert status.json == {**applied.json["rollout"], **more}

    again = in_this_process("apply", manifest, "--device", ready_made.device, "--yes", "--output", "json")
    assert again.json["applied"] is False
    assert again.json["plan"]["changes"] == []
    assert asked.applied == 1


def test_without_a_connection_string_the_credential_and_the_projects_hub_do(
    ready_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING")
    assert in_this_process("deploy", ready_made, "--yes").code == 0
    monkeypatch.chdir(ready_made.root)
    assert in_this_process("status", "--device", ready_made.device).code == 0


def test_a_module_that_was_there_is_removed_only_when_that_is_asked_for(ready_made: Any, asked: Any) -> None:
    assert in_this_process("deploy", ready_made, "--yes").code == 0
    ready_made.edit("template: anomaly-detection", "template: single-module")
    refused = in_this_process("deploy", ready_made, "--yes")
    assert "'tempSensor'" in complaint(refused, 2)
    assert "--prune" in complaint(refused, 2)
    assert asked.applied == 1
    assert in_this_process("deploy", ready_made, "--yes", "--prune").code == 0
    status = in_this_process("status", "--device", ready_made.device, "--output", "json")
    assert "tempSensor" not in {module["name"] for module in status.json["modules"]}


def test_no_wait_says_that_no_one_waited(ready_made: Any) -> None:
    deployed = in_this_process("deploy", ready_made, "--yes", "--no-wait")
    assert deployed.code == 0
    assert "did not wait until they run" in deployed.stdout


def test_a_device_is_registered_shown_listed_and_deployed_to(ready_made: Any, hub: Any) -> None:
    registered = in_this_process(
        "device", "register", "edge-hall-3", "--tag", "site.hall=3", "--tag", "line=7", "--output", "json"
    )
    assert registered.code == 0, registered
    assert registered.json["tags"] == {"site": {"hall": "3"}, "line": "7"}
    identity = hub.devices.get_identity("edge-hall-3")
    assert identity.capabilities.iot_edge is True
    assert hub.devices.get_twin("edge-hall-3").tags == {"site": {"hall": "3"}, "line": "7"}

    string = in_this_process("device", "connection-string", "edge-hall-3")
    key = identity.authentication.symmetric_key.primary_key
    assert string.stdout == f"HostName=sandbox-hub.azure-devices.net;DeviceId=edge-hall-3;SharedAccessKey={key}\n"

    deployed = in_this_process("deploy", ready_made, "--device", "edge-hall-3", "--yes")
    assert deployed.code == 0, deployed
    assert in_this_process("device", "show", "edge-hall-3", "--output", "json").json["connected"] is True
    listed = in_this_process("device", "list", "--output", "json").json["devices"]
    assert "edge-hall-3" in {device["id"] for device in listed}


def test_doctor_finds_nothing_missing(project: Any) -> None:
    examined = in_this_process("doctor", project, "--output", "json")
    assert examined.code == 0, examined
    rows = {row["subject"]: row["state"] for row in examined.json["rows"]}
    assert set(rows.values()) == {"ok"}
    assert {"credential", "workspace", "hub", f"device {project.device}", "runtime"} <= set(rows)
    # Once the workspace has its registry, the row names its host.
    assert any(subject.partition(" ")[0] == "registry" for subject in rows)


def test_doctor_tells_what_is_missing_and_ends_with_one(ready_made: Any, quick: Any) -> None:
    quick.admin("PUT", f"/registries/{quick.world.names.registry}", {"admin_enabled": False})
    try:
        examined = in_this_process("doctor", ready_made, "--device", "nobody")
    finally:
        quick.admin("PUT", f"/registries/{quick.world.names.registry}", {"admin_enabled": True})
    assert examined.code == 1
    assert "the admin user is disabled" in examined.stdout
    assert "--enable-admin" in examined.stdout
    assert "'nobody'" in examined.stdout


def test_a_new_project_renders(tmp_path: Path) -> None:
    assert in_this_process("init", tmp_path / "mine").code == 0
    rendered = in_this_process("render", tmp_path / "mine", "-o", "-")
    assert rendered.code == 0, rendered
    assert "the model image has not been built yet: ${MODEL_IMAGE} stands for it" in rendered.stderr
    assert "mine" in rendered.json["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]


def test_what_stands_for_an_image_that_is_not_built_is_never_applied(
    tmp_path: Path, quick: Any, new_device: Callable[[], str]
) -> None:
    assert in_this_process("init", tmp_path / "mine").code == 0
    assert in_this_process("render", tmp_path / "mine").code == 0
    applied = in_this_process("apply", tmp_path / "mine" / "deployment.json", "--device", new_device(), "--yes")
    assert "placeholder ${MODEL_IMAGE} is not filled in" in complaint(applied, 2)
    assert in_this_process("render", tmp_path / "mine", "--locked").code != 0


def _clone(project: Any, folder: Path) -> Any:
    """The project as git gives it to a colleague who has no lock file yet."""
    ignore = shutil.ignore_patterns(".manifestgen", "*.lock.json", "deployment*.json")
    shutil.copytree(project.root, folder, ignore=ignore)
    return replace(project, root=folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("builder", _BUILDERS)
def test_two_clones_without_a_lock_file_build_once(builder: str, project: Any, asked: Any, tmp_path: Path) -> None:
    project.edit("builder: package", f"builder: {builder}")
    clone = _clone(project, tmp_path / "clone")

    first = in_this_process("deploy", project, "--yes", "--no-wait")
    second = in_this_process("image", clone, "--output", "json")

    assert (first.code, second.code) == (0, 0), (first, second)
    assert (asked.registered, asked.built) == (1, 1)
    ours, theirs = _built(project), _built(clone)
    assert (theirs["image"], theirs["digest"], theirs["model"]) == (ours["image"], ours["digest"], ours["model"])
    if builder == "package":
        assert f"image {ours['image']} is already in the registry, reusing it" in second.stderr
        assert second.json["reused"] is True

    for one in (project, clone):
        again = in_this_process("deploy", one, "--yes", "--no-wait")
        assert again.code == 0, again
        assert "the tag has moved" not in again.stderr
    assert (asked.registered, asked.built) == (1, 1)


def test_plan_says_that_a_file_changed_since_the_image_was_built(project: Any, asked: Any) -> None:
    assert in_this_process("deploy", project, "--yes").code == 0
    assert in_this_process("render", project).code == 0
    plan = ("plan", project.root / "deployment.json", "--device", project.device)
    silent = in_this_process(*plan, "--locked")
    assert (silent.code, "warning" in silent.stderr) == (0, False), silent

    with (project.root / "score.py").open("a") as script:
        script.write("# better\n")

    planned = in_this_process(*plan)
    assert planned.code == 0
    assert "no changes" in planned.stdout
    image = _built(project)["image"]
    assert f"warning: score.py changed since image {image} was built" in planned.stderr
    assert "score.py changed since" in complaint(in_this_process(*plan, "--locked"), 1)
    for command in ("render", "image", "deploy"):
        assert "score.py changed since" in complaint(in_this_process(command, project, "--locked"), 1)
    assert (asked.registered, asked.built, asked.applied) == (1, 1, 1)

    assert in_this_process("image", project).code == 0
    assert "does not have the lock file's image" in complaint(in_this_process(*plan, "--locked"), 1)
