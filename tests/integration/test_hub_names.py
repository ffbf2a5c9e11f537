"""A hub that is named in two ways is one hub: for requests, history, saved plans, and journals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from integration.command_line import Completed, in_this_process

pytestmark = pytest.mark.usefixtures("hub_client")

CLASSIC = "sandbox-hub.azure-devices.net"
SERVICE = "sandbox-hub.service.azure-devices.net"
SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"


def connection_string(sandbox: Any, host: str) -> str:
    return str(sandbox.environment["IOTHUB_CONNECTION_STRING"]).replace(CLASSIC, host)


@pytest.fixture
def on(quick: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Completed]:
    """Runs a command on the hub under one of its names."""

    def run(host: str, *arguments: object) -> Completed:
        monkeypatch.setenv("IOTHUB_CONNECTION_STRING", connection_string(quick, host))
        ended = in_this_process(*map(str, arguments))
        assert ended.code == 0, ended
        return ended

    return run


def write(path: Path, *modules: str) -> Path:
    path.write_text(json.dumps(content({name: module(SENSOR) for name in modules})))
    return path


@pytest.mark.parametrize(("one", "other"), [(CLASSIC, SERVICE), (SERVICE, CLASSIC)])
def test_what_was_begun_under_one_name_continues_under_the_other(
    one: str, other: str, on: Callable[..., Completed], new_device: Callable[[], str], tmp_path: Path, quick: Any
) -> None:
    device = new_device()
    first, second = write(tmp_path / "first.json", "alpha"), write(tmp_path / "second.json", "alpha", "beta")
    plan = tmp_path / "one.plan"
    on(one, "plan", first, "--device", device, "--out", plan)
    on(other, "apply", plan, "-q")
    on(one, "apply", second, "--device", device, "--yes", "-q")
    history = [on(host, "history", "--device", device, "--output", "json").json for host in (one, other)]
    assert history[0] == history[1]
    assert len(history[0]["snapshots"]) == 1
    on(other, "rollback", "--device", device, "--yes", "-q")
    assert "beta" not in on(one, "status", "--device", device).stdout
    asked = {entry["host"] for entry in quick.admin("GET", "/requests")}
    assert {CLASSIC, SERVICE} <= asked, "both names were really used"


def test_rows_that_were_done_under_one_name_are_done_under_the_other(
    on: Callable[..., Completed],
    new_device: Callable[[], str],
    asked: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices = [new_device(), new_device()]
    monkeypatch.chdir(tmp_path)
    manifest = write(tmp_path / "one.json.j2", "alpha")
    (tmp_path / "devices.csv").write_text("device_id\n" + "".join(f"{device}\n" for device in devices))
    arguments = ("apply", manifest, "--devices", "devices.csv", "--journal", "journal", "--yes", "-q")
    on(SERVICE, *arguments)
    assert asked.applied == 2
    on(CLASSIC, *arguments)
    assert asked.applied == 2


def test_a_device_is_given_a_name_that_it_can_use(on: Callable[..., Completed], new_device: Callable[[], str]) -> None:
    printed = on(SERVICE, "device", "connection-string", new_device()).stdout
    assert printed.startswith(f"HostName={CLASSIC};DeviceId=")


def test_a_login_opens_the_hub_under_its_service_name(
    new_device: Callable[[], str], quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = new_device()
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING")
    shown = in_this_process("device", "show", device, "--hub", SERVICE)
    assert shown.code == 0, shown
