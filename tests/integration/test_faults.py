"""The cloud in trouble: an exit code and two lines that help, in bounded time, and nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.hurry import hurry
from integration.command_line import complaint, eventually, in_this_process, started

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

azureml = pytest.mark.azureml
_HUB = "sandbox-hub.azure-devices.net"
_ARM = "management.azure.com"


@pytest.fixture(autouse=True)
def soon_tired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the adapters give up in a second where they would try for minutes."""
    hurry(monkeypatch)


@pytest.fixture
def manifest(ready_made: Any) -> Path:
    """The rendered manifest of the project."""
    assert in_this_process("render", ready_made).code == 0
    return Path(ready_made.root / "deployment.json")


_TROUBLES: dict[str, dict[str, Any]] = {
    "429 for ever": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": 1},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503},
    "404": {"kind": "status", "status": 404},
    "reset": {"kind": "reset"},
    "reset after": {"kind": "reset_after"},
    "truncated": {"kind": "truncate"},
}


@pytest.mark.parametrize("trouble", _TROUBLES)
def test_a_hub_in_trouble_is_an_error_of_two_lines(trouble: str, ready_made: Any, quick: Any) -> None:
    quick.fault(times="forever", host=_HUB, **_TROUBLES[trouble])
    ended = in_this_process("status", "--device", ready_made.device, "--output", "json")
    said = complaint(ended, 3)
    assert _HUB in said
    code = "not-found" if trouble == "404" else "cloud"
    place = {"file": None, "line": None, "column": None}
    assert ended.json["error"] == {"code": code, "message": said.error, "fix": said.fix, "exit_code": 3, **place}
    assert str(_TROUBLES[trouble].get("status", "")) in said


@pytest.mark.parametrize("trouble", ["429 for ever", "500", "reset"])
def test_modules_that_the_hub_does_not_take_are_not_said_to_be_set(
    trouble: str, ready_made: Any, quick: Any, manifest: Path, desired: Callable[[str], Any]
) -> None:
    version = desired(ready_made.device)["$version"]
    quick.fault(times="forever", host=_HUB, path="applyConfigurationContent", **_TROUBLES[trouble])
    ended = in_this_process("apply", manifest, "--device", ready_made.device, "--yes")
    assert _HUB in complaint(ended, 3)
    assert "healthy" not in ended.output
    assert desired(ready_made.device)["$version"] == version


@pytest.mark.parametrize("trouble", ["reset after", "truncated"])
def test_a_lost_answer_is_looked_up_and_nothing_is_set_twice(
    trouble: str, ready_made: Any, quick: Any, manifest: Path, asked: Any
) -> None:
    quick.fault(host=_HUB, path="applyConfigurationContent", **_TROUBLES[trouble])
    ended = in_this_process("apply", manifest, "--device", ready_made.device, "--yes")
    assert ended.code == 0, ended
    assert asked.applied == 1


def test_trouble_that_passes_is_not_mentioned(ready_made: Any, quick: Any) -> None:
    for kind in ("429 for ever", "503", "reset"):
        quick.fault(host=_HUB, **_TROUBLES[kind])
    ended = in_this_process("status", "--device", ready_made.device)
    assert "error" not in ended.stderr
    assert ended.stdout.startswith(f"device '{ready_made.device}'")


def test_a_hub_that_cannot_be_reached_is_named(ready_made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    said = complaint(in_this_process("status", "--device", "x"), 3)
    assert _HUB in said
    assert "reached" in said.error


def test_a_policy_without_rights_says_which_it_needs(ready_made: Any, quick: Any) -> None:
    quick.fault("status", status=401, times="forever", host=_HUB)
    said = complaint(in_this_process("status", "--device", ready_made.device), 3)
    assert "401" in said
    assert "RegistryRead" in said.fix


def test_an_identity_without_a_role_says_which_it_needs(
    ready_made: Any, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING")
    quick.fault("status", status=403, code="IotHubUnauthorizedAccess", times="forever", host=_HUB)
    said = complaint(in_this_process("status", "--device", ready_made.device, "--hub", _HUB), 3)
    assert "403" in said
    assert "'IoT Hub Data Contributor'" in said.fix


def test_a_wrong_connection_string_is_refused_by_the_hub(ready_made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = f"HostName={_HUB};SharedAccessKeyName=iothubowner;SharedAccessKey=bm90LXRoZS1rZXk="
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", wrong)
    ended = in_this_process("status", "--device", ready_made.device)
    assert "401" in complaint(ended, 3)
    assert "bm90LXRoZS1rZXk" not in ended.output


def test_a_wrong_client_secret_is_refused_in_entras_words(ready_made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-of-a-client-secret")
    ended = in_this_process("deploy", ready_made, "--yes")
    said = complaint(ended, 3)
    assert "AADSTS7000215" in said
    assert "AZURE_CLIENT_SECRET" in said.fix
    assert "canary" not in ended.output


@pytest.mark.parametrize("trouble", ["429 for ever", "500", "reset", "truncated"])
def test_a_registry_that_cannot_be_looked_up_stops_the_deployment(
    trouble: str, ready_made: Any, quick: Any, asked: Any
) -> None:
    quick.fault(times="forever", host=_ARM, **_TROUBLES[trouble])
    complaint(in_this_process("deploy", ready_made, "--yes"), 3)
    assert asked.applied == 0


def test_a_registry_that_may_not_be_read_names_the_role(ready_made: Any, quick: Any, asked: Any) -> None:
    quick.fault("status", status=403, times="forever", host=_ARM, path="Microsoft.ContainerRegistry")
    said = complaint(in_this_process("deploy", ready_made, "--yes"), 3)
    assert "'Reader'" in said.fix
    assert asked.applied == 0


def test_an_admin_user_that_is_off_names_the_switch_and_the_other_sources(
    ready_made: Any, quick: Any, asked: Any
) -> None:
    registry = quick.world.names.registry
    quick.admin("PUT", f"/registries/{registry}", {"admin_enabled": False})
    try:
        said = complaint(in_this_process("deploy", ready_made, "--yes"), 3)
        assert quick.world.names.login_server in said
        for words in ("--enable-admin", "'env'", "'file'"):
            assert words in said.fix
        assert asked.applied == 0
        assert quick.admin("PUT", f"/registries/{registry}", {})["admin_enabled"] is False

        switched = in_this_process("deploy", ready_made, "--yes", "--enable-admin")
        assert switched.code == 0, switched
        assert f"enabled the admin user of registry {quick.world.names.login_server}" in switched.stderr
    finally:
        quick.admin("PUT", f"/registries/{registry}", {"admin_enabled": True})


def test_a_device_that_is_offline_is_waited_for_no_longer_than_asked(ready_made: Any, quick: Any) -> None:
    quick.admin("PUT", f"/devices/{ready_made.device}", {"online": False})
    ended = in_this_process("deploy", ready_made, "--yes", "--timeout", "0.3", "--output", "json")
    said = complaint(ended, 1)
    assert "offline" in said
    assert "modules set" in ended.stderr
    assert f"manifestgen status --device {ready_made.device}" in said.fix

    quick.admin("PUT", f"/devices/{ready_made.device}", {"online": True})
    assert in_this_process("status", "--device", ready_made.device, "--watch").code == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "pull", "message": "manifest unknown"}, "the image does not exist"),
        ({"kind": "exit", "exit_code": 3}, "exit code 3"),
    ],
)
def test_a_module_that_does_not_come_to_run_is_named_with_its_reason(
    fault: dict[str, Any], words: str, ready_made: Any, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.device import apply
    from manifestgen.target import Patience

    monkeypatch.setattr(apply, "PATIENCE", Patience(600.0, 0.3, 0.05, 0.1))
    quick.admin("PUT", f"/devices/{ready_made.device}/modules/machinelearningmodule", fault)
    ended = in_this_process("deploy", ready_made, "--yes", "--timeout", "20")
    said = complaint(ended, 1)
    assert "'machinelearningmodule'" in said
    assert words in said
    status = in_this_process("status", "--device", ready_made.device)
    assert status.code == 1
    assert words in status.stdout


@azureml
def test_a_build_that_fails_shows_the_end_of_its_log_and_can_be_tried_again(
    project: Any, quick: Any, asked: Any
) -> None:
    lines = [f"Step {number}/40" for number in range(1, 40)] + ["ResolvePackageNotFound: scikit-lern"]
    quick.admin("POST", "/builds/fail", {"log": lines, "message": "Image build failed"})
    ended = in_this_process("deploy", project, "--yes", "-q", "--output", "json")
    said = complaint(ended, 1)
    assert "Image build failed" in said
    *log, _, _ = ended.stderr.splitlines()
    assert "ResolvePackageNotFound: scikit-lern" in log[-3:]
    assert ended.json["error"]["detail"] == log
    assert len(log) == 20
    assert not (project.root / "manifestgen.lock.json").exists()
    assert asked.applied == 0

    again = in_this_process("deploy", project, "--yes")
    assert again.code == 0, again
    assert (asked.registered, asked.built, asked.applied) == (1, 2, 1)


@azureml
def test_a_build_that_takes_too_long_is_gone_on_with_by_the_next_run(
    project: Any, quick: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.sandbox.world import Pace

    monkeypatch.setattr(quick.world, "pace", Pace(image_build=1.0, pull=0.0, start=0.0))
    said = complaint(in_this_process("image", project, "--timeout", "0"), 1)
    assert "the build is still" in said
    assert "--timeout" in said.fix
    assert not (project.root / "manifestgen.lock.json").exists()
    assert json.loads((project.root / ".manifestgen" / "pending.json").read_text())["operation"]

    again = in_this_process("image", project)
    assert again.code == 0, again
    assert "resuming the build of these inputs" in again.stderr
    assert (asked.registered, asked.built) == (1, 1)


@azureml
@pytest.mark.parametrize(
    "trouble",
    ["429 for ever", *(pytest.param(trouble, marks=pytest.mark.slow) for trouble in ("500", "reset", "truncated"))],
)
def test_a_workspace_in_trouble_is_an_error_of_two_lines(trouble: str, project: Any, quick: Any, asked: Any) -> None:
    quick.fault(times="forever", host=r".*\.azureml\.ms", path="/models", **_TROUBLES[trouble])
    complaint(in_this_process("image", project), 3)
    assert (asked.registered, asked.built) == (0, 0)
    assert not (project.root / "manifestgen.lock.json").exists()


@azureml
def test_a_token_that_expires_during_the_build_costs_a_second_run_and_no_second_build(
    project: Any, quick: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.sandbox.world import Pace

    pytest.importorskip("azureml.core")
    monkeypatch.setattr(quick.world, "pace", Pace(image_build=2.5, pull=0.0, start=0.0))
    running = started("image", project, cwd=project.root)
    running.until_it_says("  build ")
    quick.admin("POST", "/tokens/expire")
    ended = running.ended()
    if ended.code != 0:
        complaint(ended, 3)
    eventually(lambda: in_this_process("image", project).code == 0, "an image")
    assert (asked.registered, asked.built) == (1, 1)
