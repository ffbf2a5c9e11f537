"""Automatic deployments as users make them, against the sandbox."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from fakes.hurry import hurry
from integration.command_line import Completed, complaint, in_this_process

from manifestgen.cloud import Hub
from manifestgen.deployments import replace
from manifestgen.deployments.layers import on_device
from manifestgen.secret import Secret
from manifestgen.target import Patience

GOOD = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor"


@pytest.fixture
def service(quick: Any, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, and commands that look at it often."""
    from manifestgen.azure.iot_hub import connect

    monkeypatch.setattr(replace, "PATIENCE", Patience(60.0, 0.2, 0.02, 0.2))
    hub = connect(connection_string=Secret(quick.environment["IOTHUB_CONNECTION_STRING"]))
    for left in hub.configurations():
        hub.delete_configuration(left)
    return hub


@pytest.fixture
def site(service: Hub) -> str:
    """A tag that four devices have and no other test's."""
    name = f"site-{uuid.uuid4().hex[:6]}"
    for number in range(4):
        service.register_device(f"{name}-{number}", tags={"site": name, "ring": str(number)})
    return name


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a manifest whose module `scorer` is of a version, or any other one."""

    def to_file(version: str | Mapping[str, Any], name: str = "deployment.json") -> Path:
        path = tmp_path / name
        data = content({"scorer": module(f"{GOOD}:{version}")}) if isinstance(version, str) else version
        path.write_text(json.dumps(data))
        return path

    return to_file


def apply(file: Path, site: str, *more: str) -> Completed:
    condition = f"tags.site = '{site}'"
    return in_this_process("apply", file, "--deployment", site, "--target-condition", condition, "--yes", *more)


def ours(service: Hub, site: str) -> list[str]:
    """Ids of the configurations of a site's deployment."""
    return [found.id for found in service.configurations() if found.id.startswith(site)]


def images(service: Hub, site: str) -> list[str]:
    """The tag of `scorer` that each device should run."""
    found = []
    for number in range(4):
        twin = service.module_twin(f"{site}-{number}", "$edgeAgent")
        assert twin is not None
        found.append(twin.desired["modules"]["scorer"]["settings"]["image"].rpartition(":")[2])
    return found


def test_a_deployment_is_made_replaced_and_rolled_back(service: Hub, site: str, write: Any) -> None:
    file = write("1.4")
    first = apply(file, site, "--output", "json", "--label", "team=edge")
    assert first.code == 0, first
    made = first.json
    assert made["applied"] and made["finished"]
    assert (made["progress"]["matched"], made["progress"]["reporting_success"]) == (4, 4)
    assert ours(service, site) == [made["id"]]

    again = in_this_process("apply", file, "--deployment", site, "--yes")
    assert again.code == 0, again
    assert "no changes: the hub already has it" in again.stdout
    assert ours(service, site) == [made["id"]]

    write("1.5")
    second = in_this_process("apply", file, "--deployment", site, "--yes")
    assert second.code == 0, second
    assert "~ module scorer" in second.stdout
    assert "4 reporting success" in second.stdout
    assert images(service, site) == ["1.5"] * 4
    (now,) = ours(service, site)
    assert now != made["id"]
    assert service.configuration(now).labels["team"] == "edge"

    listed = in_this_process("history", "--deployment", site)
    assert made["id"] in listed.stdout
    back = in_this_process("rollback", "--deployment", site, "--yes")
    assert back.code == 0, back
    assert images(service, site) == ["1.4"] * 4
    assert ours(service, site) == [made["id"]]


def test_settings_alone_are_changed_and_gone_back_to(service: Hub, site: str, write: Any) -> None:
    file = write("1.4")
    assert apply(file, site, "--priority", "10").code == 0
    (id_,) = ours(service, site)
    assert apply(file, site, "--priority", "20", "--label", "team=edge").code == 0
    changed = service.configuration(id_)
    assert (changed.priority, changed.labels["team"]) == (20, "edge")

    listed = in_this_process("history", "--deployment", site)
    assert f"{id_}  priority 10, for tags.site = '{site}'" in listed.stdout
    back = in_this_process("rollback", "--deployment", site, "--yes")

    assert back.code == 0, back
    previous = service.configuration(id_)
    assert previous.priority == 10
    assert "team" not in previous.labels
    assert in_this_process("rollback", "--deployment", site, "--yes").code == 0
    assert service.configuration(id_).priority == 20


def test_a_canary_that_fails_never_reaches_the_second_stage(service: Hub, site: str, write: Any) -> None:
    file = write("1.4")
    assert apply(file, site).code == 0
    before = ours(service, site)
    write(content({"scorer": module("sandboxmodels.azurecr.io/missing:1")}))
    failed = apply(file, site, "--stages", "25%,100%", "--abort-if-failing", "2%")
    said = complaint(failed, 1)
    assert "stage 1 of 2 (25%): 1 of 1 devices fail" in said.error
    assert f"4 of 4 devices are back at {before[0]!r}" in said.error
    assert "stage 2" not in failed.output
    # The deployment is gone from the hub, so what it failed with is said here or nowhere.
    assert "stage 1 of 2 (25%): 1 of 1 device fails\n  xx " in failed.stdout
    assert "module 'scorer': the registry rejects the credentials" in failed.stdout
    assert "stage 1 of 2 (25%): " in failed.stderr and "aborts in " in failed.stderr
    assert ours(service, site) == before
    assert images(service, site) == ["1.4"] * 4


def test_all_devices_that_fail_are_in_the_json_of_an_aborted_rollout(service: Hub, site: str, write: Any) -> None:
    file = write("1.4")
    assert apply(file, site).code == 0
    write(content({"scorer": module("sandboxmodels.azurecr.io/missing:1")}))
    failed = apply(file, site, "--abort-if-failing", "2%", "--output", "json")
    assert failed.code == 1
    outcome = failed.json["outcome"]
    assert (outcome["deployment"], outcome["stage"]) == (site, "rollout")
    assert "are back at" in outcome["restored"]
    assert outcome["progress"]["failing"] == 4
    assert len({each["device"] for each in outcome["failing_devices"]}) == 4
    for each in outcome["failing_devices"]:
        assert "module 'scorer': the registry rejects the credentials" in each["reason"]
        assert each["fix"].startswith("check registryCredentials")
    assert failed.json["error"]["fix"].startswith("check registryCredentials")


def test_stages_by_tag_reach_all_in_the_end(service: Hub, site: str, write: Any) -> None:
    file = write("1.4")
    assert apply(file, site).code == 0
    write("1.5")
    staged = apply(file, site, "--stages", "2,0", "--stage-tag", "tags.ring")
    assert staged.code == 0, staged
    assert "stage 1 of 3 (2): 1 targeted" in staged.stderr
    assert "stage 2 of 3 (0): 2 targeted" in staged.stderr
    assert "stage 3 of 3 (100%): 4 targeted" in staged.stderr
    assert images(service, site) == ["1.5"] * 4


def test_status_says_which_devices_fail_and_why(service: Hub, site: str, write: Any) -> None:
    file = write(content({"scorer": module("sandboxmodels.azurecr.io/missing:1")}))
    assert apply(file, site, "--no-wait").code == 0
    deadline = time.monotonic() + 30
    while service.configuration(ours(service, site)[0]).results.get("failing") != 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    shown = in_this_process("status", "--deployment", site)
    assert shown.code == 1
    assert "4 reporting failure" in shown.stdout
    assert f"xx {site}-0, {site}-1, {site}-2, {site}-3: " in shown.stdout
    assert "missing:1" in shown.stdout
    data = in_this_process("status", "--deployment", site, "--output", "json").json
    assert [each["device"] for each in data["failing_devices"]] == [f"{site}-{number}" for number in range(4)]
    write("1.4")
    assert apply(file, site).code == 0
    healthy = in_this_process("status", "--deployment", site, "--watch")
    assert healthy.code == 0, healthy
    assert "healthy" in healthy.stdout


def test_a_layer_is_shown_and_checked_with_the_base_it_meets(service: Hub, site: str, write: Any) -> None:
    base = write("1.4", "base.json")
    assert apply(base, site).code == 0
    layer: dict[str, Any] = {
        "modulesContent": {
            "$edgeAgent": {"properties.desired.modules.extra": module(f"{GOOD}:1.5")},
            "$edgeHub": {"properties.desired.routes.more": "FROM /messages/modules/extra/* INTO $upstream"},
        }
    }
    file = write(layer, "layer.json")
    made = in_this_process(
        *("apply", file, "--deployment", f"{site}-layer", "--target-condition", f"tags.site = '{site}'"),
        *("--layered", "--priority", "20", "--yes"),
    )
    assert made.code == 0, made
    assert "4 devices" in made.stdout and "+ module extra" in made.stdout and "+ route more" in made.stdout
    targeting = [found for found in service.configurations() if found.id.startswith(site)]
    predicted = on_device(targeting)
    assert predicted is not None
    for name, entry in predicted["modulesContent"].items():
        twin = service.module_twin(f"{site}-0", name)
        assert twin is not None
        assert twin.desired == entry["properties.desired"]

    layer["modulesContent"]["$edgeHub"]["properties.desired.routes.more"] = (
        "FROM /messages/modules/scorer/* INTO nowhere"
    )
    bad = in_this_process("apply", write(layer, "layer.json"), "--deployment", f"{site}-layer", "--yes")
    assert bad.code == 1
    nobody = 'FROM /messages/modules/extra/* INTO BrokeredEndpoint("/modules/nobody/inputs/a")'
    layer["modulesContent"]["$edgeHub"]["properties.desired.routes.more"] = nobody
    lost = in_this_process("apply", write(layer, "layer.json"), "--deployment", f"{site}-layer", "--yes")
    assert complaint(lost, 1).fix
    assert "layer.json over" in lost.stderr


def test_the_devices_are_listed_before_anything_is_asked(service: Hub, site: str, write: Any) -> None:
    condition = f"tags.site = '{site}'"
    shown = in_this_process(
        "apply", write("1.4"), "--deployment", f"My {site}", "--target-condition", condition, "--show-targets"
    )
    said = complaint(shown, 2)
    assert "--yes" in said.fix
    assert f"deployment 'My {site}' is named 'my-{site}' on the hub" in shown.stderr
    assert shown.stdout.splitlines()[:4] == [f"{site}-{number}" for number in range(4)]
    assert ours(service, f"my-{site}") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target-condition", "tags.site ="), "the hub rejects the target condition"),
        (("--metric", "bad=SELECT"), "the hub rejects metric 'bad'"),
        (("--metric", "nameless"), "'nameless' is not NAME=VALUE"),
        (("--metric", "failing=SELECT deviceId FROM devices"), "metric 'failing' is reserved for manifestgen"),
        (("--label", "manifestgen=me"), "label 'manifestgen' is reserved for manifestgen"),
        (("--priority", "-1"), "priority -1 is out of range"),
        (("--priority", "3000000000"), "priority 3000000000 is out of range"),
        (("--stages", "50%,20%"), "'20%' must be larger than the stage before it"),
        (("--stages", "half"), "'half' is not a stage"),
        (("--wait-for", "200%"), "'200%' is not a share"),
        (("--stage-tag", "ring"), "--stage-tag needs --stages"),
        (("--no-wait", "--abort-if-failing", "2%"), "--no-wait cannot be used with --stages or --abort-if-failing"),
        (("--layered",), "not a layer: it sets all of $edgeAgent"),
        (("--base", "base.json"), "--base is for layers, and this is not a layer"),
        (("--device", "edge-01"), "--deployment and --device cannot be used together"),
        (("--prune",), "--deployment and --prune cannot be used together"),
    ],
)
def test_bad_input_is_two_lines_and_changes_nothing(
    service: Hub, write: Any, options: tuple[str, ...], words: str
) -> None:
    name = f"bad-{uuid.uuid4().hex[:6]}"
    said = complaint(apply(write("1.4"), name, *options), 2)
    assert words in said.error
    assert ours(service, name) == []


def test_a_new_deployment_needs_a_condition(service: Hub, write: Any) -> None:
    said = complaint(in_this_process("apply", write("1.4"), "--deployment", "unheard-of", "--yes"), 2)
    assert "--target-condition" in said.fix


def test_options_of_deployments_need_one(write: Any) -> None:
    said = complaint(in_this_process("apply", write("1.4"), "--device", "edge-01", "--stages", "5%"), 2)
    assert said.error == "--stages needs --deployment"


@pytest.mark.parametrize("command", ["status", "rollback", "history"])
def test_either_a_device_or_a_deployment_is_named(command: str) -> None:
    both = complaint(in_this_process(command, "--device", "edge-01", "--deployment", "scorer"), 2)
    assert both.error == "--device and --deployment cannot be used together"
    none = complaint(in_this_process(command), 2)
    assert none.error == "no device is named" and "name a deployment with --deployment" in none.fix


def test_an_unknown_deployment_is_said_with_those_there_are(service: Hub, site: str, write: Any) -> None:
    assert apply(write("1.4"), site, "--no-wait").code == 0
    said = complaint(in_this_process("status", "--deployment", f"{site}-unknown"), 2)
    assert "no such deployment" in said.error
    assert site in said.fix
    said = complaint(in_this_process("rollback", "--deployment", site), 2)
    assert "there is no snapshot of it in" in said.error
    assert "--state" in said.fix


def test_a_project_for_a_fleet_is_deployed_to_it(service: Hub, site: str, ready_made: Any) -> None:
    ready_made.edit(
        f"target: {{device: {ready_made.device}}}",
        f"target: {{deployment: {site}, condition: \"tags.site = '{site}'\", priority: 30}}",
    )
    done = in_this_process("deploy", ready_made, "--yes", "--output", "json")
    assert done.code == 0, done
    assert "wait      4 of 4 devices run it" in done.stderr
    made = done.json
    assert (made["plan"]["priority"], made["progress"]["reporting_success"]) == (30, 4)
    again = in_this_process("deploy", ready_made, "--yes")
    assert again.code == 0, again
    assert "no changes: the hub already has it" in again.stdout
    assert ours(service, site) == [made["id"]]


def test_the_project_s_condition_and_priority_are_those_of_its_deployment(
    service: Hub, site: str, write: Any, ready_made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_made.edit(
        f"target: {{device: {ready_made.device}}}",
        f"target: {{deployment: {site}, condition: \"tags.site = '{site}'\", priority: 30}}",
    )
    monkeypatch.chdir(ready_made.root)
    assert in_this_process("apply", write("1.4"), "--deployment", site, "--yes", "--no-wait").code == 0
    (made,) = ours(service, site)
    assert (service.configuration(made).condition, service.configuration(made).priority) == (
        f"tags.site = '{site}'",
        30,
    )


def test_no_password_is_shown(service: Hub, site: str, write: Any, tmp_path: Path) -> None:
    canary = f"canary-{uuid.uuid4().hex}"

    def with_password(version: str) -> Any:
        login = {"acme": {"address": "acme.azurecr.io", "username": "robot", "password": canary + version}}
        return write(content({"scorer": module(f"{GOOD}:{version}")}, credentials=login))

    assert apply(with_password("1.4"), site, "--no-wait").code == 0
    said = ""
    for output in ("text", "json"):
        for command in (
            ("apply", with_password("1.5"), "--deployment", site, "--yes"),
            ("status", "--deployment", site),
            ("history", "--deployment", site),
            ("rollback", "--deployment", site, "--yes"),
        ):
            done = in_this_process(*command, "-vv", "--output", output)
            assert done.code == 0, done
            said += done.output
    said += complaint(apply(with_password("1.5"), site, "--priority", "-5"), 2).error
    assert "/configurations/" in said, "the SDK's logs are really there"
    assert canary not in said
    kept = list((tmp_path / "state").rglob("*.json"))
    assert kept
    assert all(path.stat().st_mode & 0o077 == 0 and canary in path.read_text() for path in kept)


def test_a_full_free_hub_is_said_before_and_by_the_hub_itself(quick: Any, service: Hub, site: str, write: Any) -> None:
    assert apply(write("1.4"), site).code == 0
    (only,) = [found for found in service.configurations() if found.id.startswith(site)]
    fillers = [f"{site}-filler-{number}" for number in range(9)]
    for name in fillers:
        service.create_configuration(changed(only, id=name, labels={}, condition="", metrics={}))
    quick.admin("PUT", "/hub", {"tier": "F1"})
    try:
        full = apply(write("1.5"), f"{site}-more")
    finally:
        quick.admin("DELETE", "/hub")
    said = complaint(full, 3)
    assert "warning: the hub has 10 deployments, the limit of the free tier" in full.stderr
    assert "ConfigurationCountLimitExceeded" in said.error
    assert "or 10 in the free tier" in said.fix


def test_one_lost_answer_at_any_request_about_deployments_changes_nothing_of_the_result(
    service: Hub, write: Any, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, total=120.0, unreachable=5.0, longest=0.1)
    name = f"nowhere-{uuid.uuid4().hex[:6]}"
    assert apply(write("0"), name).code == 0
    for number in range(1, 40):
        quick.fault(kind="reset_after", host=r"sandbox-hub\..*", path="/configurations.*", after=number, times=1)
        ended = apply(write(f"1.{number}"), name, "-q")
        hit = sum(each["hit"] for each in quick.admin("GET", "/faults"))
        quick.admin("DELETE", "/faults")
        assert ended.code == 0, (number, ended)
        (only,) = ours(service, name)
        assert service.configuration(only).priority == 10
        if not hit:
            break
    assert 10 < number < 39
