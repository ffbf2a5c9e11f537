"""A device's life from the command line: plan, merge, prune, saved plans, export, history, rollback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from fakes.other_client import OtherClient
from integration.command_line import Completed, complaint, in_a_new_process, in_this_process, started

SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor"


@pytest.fixture
def device(new_device: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return new_device()


class Life:
    """Runs commands on one device, and reads it with another client."""

    def __init__(self, device: str, folder: Path, connection_string: str) -> None:
        self.device = device
        self.folder = folder
        self._other = OtherClient(connection_string)

    def write(self, name: str, *modules: str, tag: str = "1.5", **more: Any) -> Path:
        path = self.folder / name
        named = {module_: module(f"{SENSOR}:{tag}") for module_ in modules}
        path.write_text(json.dumps(content(named, **more)))
        return path

    def __call__(self, *arguments: object, expect: int = 0) -> Completed:
        # A saved plan knows its device.
        device = () if "--device" in arguments or str(arguments[-1]).endswith(".plan") else ("--device", self.device)
        result = in_this_process(*map(str, arguments), *device)
        assert result.code == expect, result
        return result

    def apply(self, file: Path, *options: str, expect: int = 0) -> Completed:
        return self("apply", file, "--yes", "-q", *options, expect=expect)

    def twin(self, name: str) -> dict[str, Any]:
        return {key: value for key, value in self._other.desired(self.device, name).items() if not key.startswith("$")}

    def set_modules(self, data: dict[str, Any]) -> None:
        """What somebody else sets, with another tool."""
        self._other.set_modules(self.device, data)

    @property
    def modules(self) -> set[str]:
        return set(self.twin("$edgeAgent").get("modules") or {})


@pytest.fixture
def life(device: str, tmp_path: Path, sandbox: Any) -> Iterator[Life]:
    yield Life(device, tmp_path, sandbox.environment["IOTHUB_CONNECTION_STRING"])


def test_the_wipe_is_refused_merged_or_wanted_and_can_be_undone(life: Life) -> None:
    first = life.write(
        "ab.json",
        "alpha",
        "beta",
        routes={"alpha": "FROM /messages/modules/alpha/* INTO $upstream"},
        twins={"alpha": {"x": 1}},
    )
    second = life.write("bc.json", "beta", "gamma")
    life.apply(first)
    refused = life.apply(second, expect=2)
    assert "this would remove 'alpha'" in refused.stderr
    assert life.modules == {"alpha", "beta"}

    merged = life.apply(second, "--merge")
    assert "= module alpha (only on the device, kept)" in merged.stdout
    assert life.modules == {"alpha", "beta", "gamma"}
    assert life.twin("alpha") == {"x": 1}
    assert set(life.twin("$edgeHub")["routes"]) == {"alpha", "up"}
    assert "no changes" in life.apply(second, "--merge").stdout

    life.apply(second, "--prune")
    assert life.modules == {"beta", "gamma"}
    life("rollback", "--yes", "-q", "--to", 2)
    assert life.modules == {"alpha", "beta"}
    assert life.twin("alpha") == {"x": 1}


def test_plan_shows_what_would_change_and_changes_nothing(life: Life) -> None:
    file = life.write("a.json", "alpha")
    shown = life("plan", file, "--exit-code", expect=1)
    assert "+ module alpha" in shown.stdout
    assert life.modules == set()
    document = json.loads(life("plan", file, "--output", "json").stdout)
    assert {(change["kind"], change["name"]) for change in document["changes"]} >= {("added", "alpha")}
    life.apply(file)
    assert "no changes" in life("plan", file, "--exit-code").stdout


def test_a_saved_plan_is_applied_without_a_question_and_holds_no_secret(life: Life) -> None:
    credentials = {"acme": {"address": "acme.azurecr.io", "username": "u", "password": "canary-in-the-plan"}}
    file = life.write("a.json", "alpha", credentials=credentials)
    plan = life.folder / "a.plan"
    life("plan", "--out", plan, file)
    assert "canary-in-the-plan" not in plan.read_text()
    life("apply", "-q", plan)
    assert life.modules == {"alpha"}


def test_a_saved_plan_is_refused_when_the_device_changed(life: Life) -> None:
    file, other, plan = life.write("a.json", "alpha"), life.write("b.json", "beta"), life.folder / "a.plan"
    life("plan", "--out", plan, file)
    life.apply(other)
    assert "has changed since the plan was created" in life("apply", plan, expect=2).stderr
    assert life.modules == {"beta"}


def test_a_saved_plan_is_refused_when_the_file_changed(life: Life) -> None:
    file, plan = life.write("a.json", "alpha"), life.folder / "a.plan"
    life("plan", "--out", plan, file)
    life.write("a.json", "alpha", "beta")
    assert "a.json has changed since the plan was created" in life("apply", plan, expect=2).stderr
    assert life.modules == set()


def test_a_saved_plan_is_for_its_device_and_its_hub(life: Life) -> None:
    file, plan = life.write("a.json", "alpha"), life.folder / "a.plan"
    life("plan", "--out", plan, file)
    assert "not 'edge-01'" in life("apply", plan, "--device", "edge-01", expect=2).stderr
    other = life("apply", "--hub", "other.azure-devices.net", plan, expect=2).stderr
    assert "the plan is for hub sandbox-hub.azure-devices.net, not other.azure-devices.net" in other
    data = json.loads(plan.read_text())
    plan.write_text(json.dumps({**data, "hub": "other.azure-devices.net"}))
    assert "the plan is for hub other.azure-devices.net" in life("apply", plan, expect=2).stderr
    plan.write_text(json.dumps({**data, "version": "7"}))
    assert "the saved plan is damaged" in life("apply", plan, expect=2).stderr
    plan.write_text(json.dumps({**data, "manifestgen_plan": 9}))
    assert "unknown format 9 of the saved plan" in life("apply", plan, expect=2).stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_manifest_from_a_pipe_is_applied_and_its_plan_cannot_be_saved(life: Life) -> None:
    pipe, text = life.folder / "pipe", life.write("a.json", "alpha").read_text()
    os.mkfifo(pipe)
    assert "a plan of a pipe cannot be saved" in life("plan", "--out", "a.plan", pipe, expect=2).stderr
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    life.apply(pipe)
    writer.join()
    assert life.modules == {"alpha"}


def test_rollback_on_failure_brings_back_what_ran_and_says_both(life: Life) -> None:
    good, bad = life.write("good.json", "alpha"), life.write("bad.json", "alpha", tag="no-such-tag")
    life.apply(good)
    result = life.apply(bad, "--rollback-on-failure", expect=1)
    assert "the image does not exist" in result.stderr
    assert "rolled back, and it runs what it had before" in result.stderr
    assert life.twin("$edgeAgent")["modules"]["alpha"]["settings"]["image"] == f"{SENSOR}:1.5"


def test_rollback_on_failure_needs_waiting(life: Life) -> None:
    file = life.write("a.json", "alpha")
    assert "cannot be used together" in life.apply(file, "--rollback-on-failure", "--no-wait", expect=2).stderr


def test_exporting_applying_and_exporting_again_is_the_identity(life: Life) -> None:
    options = {"Env": ["A=é" + "x" * 5000], "HostConfig": {"Binds": ["/a:/b"]}}
    file = life.write("a.json", "alpha", twins={"alpha": {"list": [1, {"b": 2}], "unknown": {"deep": True}}})
    data = json.loads(file.read_text())
    settings = data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["alpha"]["settings"]
    text = json.dumps(options)
    settings |= {"createOptions": text[:4000], "createOptions01": text[4000:], "newer": {"field": 1}}
    file.write_text(json.dumps(data))
    life.apply(file)
    first, second = life.folder / "one.json", life.folder / "two.json"
    life("export", "-o", first)
    life.apply(first)
    life("export", "-o", second)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_mode & 0o777 == 0o600
    assert '"newer"' in first.read_text()


def test_export_to_stdout_shows_no_password_unless_asked(life: Life) -> None:
    credentials = {"acme": {"address": "acme.azurecr.io", "username": "u", "password": "canary-in-the-twin"}}
    life.apply(life.write("a.json", "alpha", credentials=credentials))
    shown = life("export").stdout
    assert "canary-in-the-twin" not in shown
    assert "${ACR_PASSWORD_ACME}" in shown
    if os.name == "posix":
        by_path = in_a_new_process("export", "--device", life.device, "-o", "/dev/stdout", cwd=life.folder)
        assert by_path.stdout == shown
    assert "canary-in-the-twin" in life("export", "--secrets", "inline").stdout


def test_history_lists_the_last_twenty_without_secrets_for_their_owner_only(life: Life) -> None:
    credentials = {"acme": {"address": "acme.azurecr.io", "username": "u", "password": "canary-in-history"}}
    for number in range(23):
        file = life.write("a.json", "alpha", credentials=credentials, twins={"alpha": {"number": number}})
        life.apply(file, "--no-wait")
    shown = life("history", "--output", "json")
    document = json.loads(shown.stdout)
    assert [snapshot["number"] for snapshot in document["snapshots"]] == list(range(1, 21))
    assert "canary-in-history" not in shown.stdout + life("history", "-vv").stdout
    files = list((life.folder / "state").rglob("*.json"))
    assert len(files) == 20
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    folders = {file.parent for file in files} | {file.parent.parent.parent for file in files}
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_there_is_nothing_to_go_back_to_on_a_new_device(life: Life) -> None:
    said = life("rollback", "--yes", expect=2).stderr
    assert "the hub keeps nothing of what a device had" in said and str(life.folder / "state") in said
    assert "--state" in said
    assert f"no snapshots of device {life.device!r}" in life("history").stderr
    assert life("history", "--output", "json").json["folder"].startswith(str(life.folder / "state"))
    life.apply(life.write("a.json", "alpha"))
    life.apply(life.write("a.json", "alpha", "beta"))
    assert "there is no snapshot 5: " in life("rollback", "--yes", "--to", "5", expect=2).stderr


def test_a_snapshot_that_cannot_be_kept_stops_the_apply(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    life.apply(life.write("a.json", "alpha"))
    (life.folder / "file").write_text("no folder")
    monkeypatch.setenv("MANIFESTGEN_STATE", str(life.folder / "file"))
    result = life.apply(life.write("ab.json", "alpha", "beta"), expect=2)
    assert "could not write the snapshot" in result.stderr
    assert life.modules == {"alpha"}


def test_two_applies_at_once_end_with_one_of_them_whole(life: Life) -> None:
    life.apply(life.write("a.json", "alpha"))
    files = {name: life.write(f"{name}.json", "alpha", name) for name in ("beta", "gamma")}
    runs = {
        name: started("apply", file, "--device", life.device, "--yes", "--prune", cwd=life.folder)
        for name, file in files.items()
    }
    ended = {name: run.ended() for name, run in runs.items()}
    left = life.modules
    assert left in ({"alpha", "beta"}, {"alpha", "gamma"})
    for name, done in ended.items():
        if name in left:
            assert done.code == 0, done
        elif done.code != 0:
            # It noticed: before it sent anything, or while it waited.
            said = complaint(done, done.code).error
            assert "other modules were set in the meantime" in said or "since the plan was created" in said


def test_fields_of_a_newer_runtime_are_shown_kept_and_exported(life: Life) -> None:
    file = life.write("a.json", "alpha")
    newer = json.loads(file.read_text())
    desired = newer["modulesContent"]["$edgeAgent"]["properties.desired"]
    desired["healthProbes"] = {"interval": 30}
    desired["modules"]["alpha"]["probe"] = {"path": "/healthz"}
    life.set_modules(newer)
    assert "healthProbes" in life("plan", file).stdout
    life.apply(life.write("b.json", "alpha", "beta"), "--merge")
    twin = life.twin("$edgeAgent")
    assert twin["healthProbes"] == {"interval": 30}
    assert set(twin["modules"]) == {"alpha", "beta"}
    assert '"healthProbes"' in life("export").stdout
    assert life("status").code == 0


def test_a_twin_larger_than_we_know_is_read_planned_and_exported(
    life: Life, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large = life.write("large.json", *(f"module{number:02}" for number in range(50)))
    data = json.loads(large.read_text())
    for module_ in data["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"].values():
        module_["env"] = {"TEXT": {"value": "x" * 900}}
    with monkeypatch.context() as patch:
        # A hub that takes more than the 32 KB of today.
        patch.setattr("manifestgen.manifest.twin.MAX_DESIRED_BYTES", 10**6)
        life.set_modules(data)
    exported = tmp_path / "exported.json"
    life("export", "-o", exported)
    assert exported.stat().st_size > 50_000
    assert "IoT Hub accepts 32768" in life("plan", exported, expect=1).stderr
    small = life.write("small.json", "module00")
    assert "1 to change (1 container recreated), 49 to remove" in life("plan", small).stdout
    life.apply(small, "--prune")
    assert life.modules == {"module00"}


def test_a_second_runner_rolls_back_what_the_first_applied(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = life.folder / "share"
    life.apply(life.write("a.json", "alpha"), "--state", str(shared))
    life.apply(life.write("ab.json", "alpha", "beta"), "--state", str(shared))
    # The other runner has another home and folder, and the share.
    monkeypatch.setenv("MANIFESTGEN_STATE", str(life.folder / "another runner"))
    assert "there is no snapshot of it in" in life("rollback", "--yes", expect=2).stderr
    done = life("rollback", "--yes", "--state", shared)
    assert str(shared) in done.stderr
    assert life.modules == {"alpha"}
    assert not (life.folder / "another runner").exists()


def test_snapshots_of_a_newer_version_stop_an_apply_and_a_rollback(life: Life) -> None:
    life.apply(life.write("a.json", "alpha"))
    life.apply(life.write("ab.json", "alpha", "beta"))
    newest = max((life.folder / "state" / "snapshots").rglob("*.json"))
    newest.write_text(json.dumps({**json.loads(newest.read_text()), "format": 2}))
    for arguments in (("rollback", "--yes"), ("history",)):
        said = complaint(life(*arguments, expect=2), 2)
        assert "written by a newer version of manifestgen" in said and "pip install --upgrade" in said
    assert "newer version" in life.apply(life.write("abc.json", "alpha", "beta", "gamma"), expect=2).stderr
    assert life.modules == {"alpha", "beta"}
