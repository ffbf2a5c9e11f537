from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from manifestgen.cloud import Twin
from manifestgen.device.rollout import Rollout, State, assess, explain, tagged

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=timezone.utc)
IMAGE = "acme.azurecr.io/scorer:1.4.2"


def desired(**modules: Any) -> dict[str, Any]:
    return {
        "systemModules": {
            "edgeAgent": {"settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}},
            "edgeHub": {"status": "running", "settings": {"image": "mcr.microsoft.com/azureiotedge-hub:1.6"}},
        },
        "modules": modules or {"scorer": {"status": "running", "settings": {"image": IMAGE}}},
    }


def reported(
    version: int | None = 7,
    code: int | None = 200,
    description: str = "",
    **modules: Any,
) -> dict[str, Any]:
    running = {"runtimeStatus": "running", "exitCode": 0}
    return {
        **({"lastDesiredVersion": version} if version is not None else {}),
        **({"lastDesiredStatus": {"code": code, "description": description}} if code is not None else {}),
        "systemModules": {
            "edgeAgent": {**running, "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}},
            "edgeHub": {**running, "settings": {"image": "mcr.microsoft.com/azureiotedge-hub:1.6"}},
        },
        "modules": modules or {"scorer": {**running, "settings": {"image": IMAGE}}},
    }


def read(report: dict[str, Any], *, wanted: dict[str, Any] | None = None, **twin: Any) -> Rollout:
    return assess(Twin("$edgeAgent", wanted or desired(), 7, report, connected=twin.pop("connected", True), **twin))


def test_version_taken_and_every_module_in_its_state_with_its_image_is_healthy() -> None:
    rollout = read(reported())
    assert rollout.state is State.HEALTHY
    assert [(module.name, module.words) for module in rollout.modules] == [
        ("edgeAgent", "running"),
        ("edgeHub", "running"),
        ("scorer", "running"),
    ]


@pytest.mark.parametrize("code", [400, 412])
def test_a_refusal_keeps_the_old_version_and_is_said_at_once(code: int) -> None:
    rollout = read(reported(version=6, code=code, description="it says so"))
    assert rollout.state is State.REFUSED
    assert f"{code} it says so" in rollout.reason
    assert rollout.fix


def test_a_device_that_had_nothing_is_waited_for_and_one_that_gets_nothing_says_so() -> None:
    empty = reported(version=6, code=417, description="This device has an empty configuration")
    assert read(empty).state is State.WAITING
    assert assess(Twin("$edgeAgent", {}, 7, empty, connected=True)).state is State.REFUSED


def test_a_refusal_of_earlier_properties_is_not_taken_for_one_of_these_at_once() -> None:
    earlier = {"lastDesiredStatus": NOW - timedelta(minutes=5)}
    rollout = read(reported(version=6, code=400), desired_at=NOW, reported_at=earlier)
    # A second refusal in the same words looks like this too: it gets the grace of a failure, not the whole timeout.
    assert rollout.state is State.FAILING
    assert "rejected what was set before" in rollout.reason


def test_a_refusal_of_earlier_properties_by_a_device_that_is_offline_is_waited_for() -> None:
    earlier = {"lastDesiredStatus": NOW - timedelta(minutes=5)}
    rollout = read(reported(version=6, code=400), desired_at=NOW, reported_at=earlier, connected=False)
    assert rollout.state is State.WAITING


def test_a_refusal_reported_after_the_properties_changed_is_one_of_these() -> None:
    later = {"lastDesiredStatus": NOW + timedelta(seconds=1)}
    rollout = read(reported(version=6, code=400), desired_at=NOW, reported_at=later)
    assert rollout.state is State.REFUSED


def test_an_old_version_without_a_refusal_is_waited_for() -> None:
    rollout = read(reported(version=6))
    assert rollout.state is State.WAITING
    assert "has not seen version 7" in rollout.reason


def test_an_offline_device_is_said_to_be_offline() -> None:
    assert "offline" in read(reported(version=6), connected=False).reason


def test_a_device_that_never_reported_is_waited_for() -> None:
    rollout = read({})
    assert rollout.state is State.WAITING
    assert rollout.reported_version is None


@pytest.mark.parametrize("code", [406, None])
def test_not_running_or_unknown_is_not_yet(code: int | None) -> None:
    assert read(reported(code=code)).state is State.WAITING


def test_a_module_that_is_not_reported_is_being_pulled() -> None:
    report = reported()
    report["modules"] = {}
    rollout = read(report)
    assert rollout.state is State.WAITING
    assert rollout.modules[-1].words == "pulling"


def test_running_with_the_old_image_is_not_healthy() -> None:
    old = {"runtimeStatus": "running", "settings": {"image": "acme.azurecr.io/scorer:1.4.1"}}
    rollout = read(reported(scorer=old))
    assert rollout.state is State.WAITING
    assert "old image" in rollout.modules[-1].words


def test_an_image_without_a_tag_is_reported_with_latest_and_is_the_same() -> None:
    wanted = desired(scorer={"status": "running", "settings": {"image": "acme.azurecr.io/scorer"}})
    ran = {"runtimeStatus": "running", "settings": {"image": "acme.azurecr.io/scorer:latest"}}
    assert read(reported(scorer=ran), wanted=wanted).state is State.HEALTHY


def test_what_the_runtime_reads_in_any_spelling_is_waited_for_in_any_spelling() -> None:
    wanted = desired()
    wanted["systemModules"]["edgeAgent"]["status"] = "stopped"  # which edgeAgent ignores
    wanted["Modules"] = wanted.pop("modules")
    wanted["Modules"]["scorer"] = {"Status": "Running", "Settings": {"Image": f" {IMAGE} "}}
    rollout = read(reported(), wanted=wanted)
    assert [module.name for module in rollout.modules] == ["edgeAgent", "edgeHub", "scorer"]
    assert rollout.state is State.HEALTHY
    missing = {**reported(), "modules": {}}
    assert read(missing, wanted=wanted).state is State.WAITING


def test_a_module_that_should_be_stopped_and_is_stopped_is_healthy() -> None:
    wanted = desired(scorer={"status": "stopped", "settings": {"image": IMAGE}})
    stopped = {"runtimeStatus": "stopped", "settings": {"image": IMAGE}}
    assert read(reported(scorer=stopped), wanted=wanted).state is State.HEALTHY


def test_backoff_will_be_restarted_so_it_is_failing_and_not_failed() -> None:
    crashing = {"runtimeStatus": "backoff", "exitCode": 137, "restartCount": 3, "settings": {"image": IMAGE}}
    rollout = read(reported(scorer=crashing))
    assert rollout.state is State.FAILING
    assert "exit code 137, restarted 3 times" in rollout.reason


def test_a_module_given_up_by_the_agent_has_failed() -> None:
    dead = {"runtimeStatus": "failed", "exitCode": 1, "settings": {"image": IMAGE}}
    rollout = read(reported(scorer=dead))
    assert rollout.state is State.FAILED
    assert "'manifestgen logs --device ID scorer'" in rollout.fix


def test_code_500_with_the_new_version_names_the_module_and_the_cause() -> None:
    text = (
        "One or more errors occurred. (Error calling Create module scorer: Could not create module scorer\n"
        " caused by: Could not pull image acme.azurecr.io/scorer:1.4.2, unauthorized: authentication required)"
    )
    rollout = read(reported(code=500, description=text))
    assert rollout.state is State.FAILED
    assert rollout.reason.startswith("module 'scorer': the registry rejects the credentials")
    assert "authentication required" in rollout.reason


def test_edge_hub_that_refused_its_properties_is_not_healthy() -> None:
    agent = Twin("$edgeAgent", desired(), 7, reported(), connected=True)
    status = {"code": 400, "description": "Error parsing route up"}
    hub = Twin("$edgeHub", {"routes": {}}, 3, {"lastDesiredVersion": 3, "lastDesiredStatus": status})
    rollout = assess(agent, hub)
    assert rollout.state is State.REFUSED
    assert "Error parsing route up" in rollout.reason


@pytest.mark.parametrize(
    ("text", "words", "final"),
    [
        ("manifest unknown: manifest tagged by 2 is not found", "the image does not exist", True),
        (
            "no matching manifest for linux/arm64 in the manifest list entries",
            "not built for the device's platform",
            True,
        ),
        (
            "Bind for 0.0.0.0:443 failed: port is already allocated",
            "a port that the module publishes is already in use",
            False,
        ),
        ("invalid reference format", "the image's name is not valid", True),
        ("dial tcp: lookup acme.azurecr.io: no such host", "the device cannot reach the registry", False),
        ("something new", "edgeAgent says: something new", False),
    ],
)
def test_what_docker_says_is_explained(text: str, words: str, final: bool) -> None:
    reason, fix, decided = explain(text)
    assert words in reason
    assert text in reason
    assert fix
    assert decided is final


@pytest.mark.parametrize(
    ("image", "as_reported"),
    [
        ("ubuntu", "ubuntu:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("a/b:1", "a/b:1"),
        ("a@sha256:00", "a@sha256:00"),
        ("", ""),
    ],
)
def test_images_are_compared_as_the_runtime_reports_them(image: str, as_reported: str) -> None:
    assert tagged(image) == as_reported
