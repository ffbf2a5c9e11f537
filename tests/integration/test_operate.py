"""Looking after a device from the command line, against the sandbox: logs, restart, ping, score, bundle, status."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from fakes.module_images import put_module_image
from integration.command_line import Completed, complaint, eventually, in_this_process, started

from manifestgen.sandbox import blob, blob_sas

SENSOR = "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"


class Operated:
    """A device, and commands about it."""

    def __init__(self, device: str, folder: Path, sandbox: Any) -> None:
        self.device, self.folder, self.sandbox = device, folder, sandbox

    def __call__(self, *arguments: object, expect: int = 0) -> Completed:
        result = in_this_process(*map(str, arguments), "--device", self.device)
        assert result.code == expect, result
        return result

    def apply(
        self,
        *options: str,
        expect: int = 0,
        image: str = "mcr.microsoft.com/scorer:1",
        given: bool = False,
        **more: Any,
    ) -> Completed:
        """Apply a manifest with one module; its image is made without files, unless it is given."""
        if not given:
            self.sandbox.admin("PUT", f"/images/{image}", {})
        credentials = {"acme": {"address": "acme.azurecr.io", "username": "u", "password": "canary-of-the-registry"}}
        manifest = content({"scorer": module(image, **more)}, credentials=credentials)
        file = self.folder / "deployment.json"
        file.write_text(json.dumps(manifest))
        return self("apply", file, "--yes", "--force", *options, expect=expect)

    def fault(self, **fault: Any) -> None:
        self.sandbox.admin("POST", f"/devices/{self.device}/agent", fault)

    def requests(self) -> int:
        """Calls of direct methods since this was asked last."""
        found = [entry for entry in self.sandbox.admin("GET", "/requests") if entry["path"].endswith("/methods")]
        self.sandbox.admin("DELETE", "/requests")
        return len(found)


@pytest.fixture
def edge(new_device: Callable[[], str], tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch) -> Operated:
    from manifestgen.operate import bundle, restart, score
    from manifestgen.target import Patience

    monkeypatch.chdir(tmp_path)
    for room in (bundle, restart, score):
        monkeypatch.setattr(room, "PATIENCE", Patience(2.0, first=0.05, longest=0.1))
    return Operated(new_device(), tmp_path, quick)


def test_logs_restart_ping_and_bundle_of_a_device(edge: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.apply("-q")
    edge.requests()
    assert "scorer" in edge("logs").stdout and edge.requests() == 1
    log = edge("logs", "scorer", "--output", "json").json
    assert [line["module"] for line in log["lines"]] == ["scorer"] and "simulated" in log["lines"][0]["text"]
    assert edge.requests() == 1
    assert "edgeAgent answered after" in edge("ping").stdout
    assert "scorer runs again after" in edge("restart", "scorer").stdout
    token = blob_sas.container_sas(edge.sandbox.world, "support", "cw")
    monkeypatch.setenv("SUPPORT_SAS", f"https://{blob_sas.host(edge.sandbox.world)}/support?{token}")
    made = edge("bundle", "--to", "SUPPORT_SAS")
    assert f"/support/sandbox-hub/{edge.device}" in made.stdout and "sig=" not in made.output
    assert len(list(blob.names(edge.sandbox.world, "support", f"sandbox-hub/{edge.device}"))) == 1
    edge.fault(kind="restart", after=1, seconds=0)
    assert "no longer knows the bundle" in complaint(edge("bundle", "--to", "SUPPORT_SAS", expect=1), 1)


def test_a_failed_apply_ends_with_the_last_lines_and_status_shows_them(edge: Operated) -> None:
    edge.sandbox.admin(
        "PUT",
        f"/devices/{edge.device}/modules/scorer",
        {"kind": "exit", "exit_code": 3, "message": "ValueError: no model"},
    )
    failed = edge.apply("--timeout", "1", expect=1)
    assert "last log lines of scorer:\n" in failed.stderr and "scorer | ValueError: no model\n" in failed.stderr
    assert f"manifestgen logs --device {edge.device} scorer" in complaint(failed, 1)
    edge.requests()
    status = edge("status", expect=1)
    assert edge.requests() == 1
    assert "scorer | ValueError: no model" in status.stdout and "since version" in status.stdout
    assert "RESTARTS" in edge("status", "-o", "wide", expect=1).stdout
    found = edge("status", "--output", "json", expect=1).json
    assert "scorer | ValueError: no model" in found["last_log_lines"]
    many = in_this_process("status", "--target-condition", f"deviceId = '{edge.device}'")
    assert many.code == 1 and f"    {edge.device}\n" in many.stdout
    edge.fault(kind="timeout", seconds=0, times=2)
    assert "the log of scorer could not be read" in edge("status", expect=1).stdout


def test_no_line_of_a_log_shows_a_secret_or_drives_the_terminal(edge: Operated) -> None:
    edge.apply("-q")
    bad = ["canary-of-the-registry", "\x1b]0;title\x07\x1b[2J", "::set-env name=A::b", "##vso[task.setvariable]x"]
    lines = [*bad, "SharedAccessKey=abcdefghijklmnop1234=", "x" * 200_000]
    edge.sandbox.admin("POST", f"/devices/{edge.device}/modules/scorer/log", {"lines": lines})
    for shown in (
        edge("logs", "scorer").stdout,
        edge("logs", "scorer", "--output", "json").stdout,
        (edge("logs", "scorer", "-o", "log.txt"), Path("log.txt").read_text())[1],
    ):
        assert "abcdefghijklmnop1234" not in shown and "\x1b" not in shown and "##vso[" not in shown
        assert not any(line.startswith("::") for line in shown.splitlines())
    assert Path("log.txt").stat().st_mode & 0o777 == 0o600


def test_what_is_too_much_is_asked_for_in_halves(edge: Operated) -> None:
    import hashlib

    edge.apply("-q")
    lines = [f"{number} {hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(4000)]
    edge.sandbox.admin("POST", f"/devices/{edge.device}/modules/scorer/log", {"lines": lines})
    edge.requests()
    log = edge("logs", "scorer", "--tail", "4000")
    assert "asking for 2,000" in log.stderr and "warning: only the last 2,000 lines" in log.stderr
    assert log.stdout.splitlines() == lines[-2000:]
    assert edge.requests() == 2
    edge.fault(kind="old", times="forever")
    assert len(edge("logs", "scorer", "--tail", "2000").stdout.splitlines()) == 500
    assert "has no method 'RestartModule'" in complaint(edge("restart", "scorer", expect=3), 3)


def test_each_cause_of_silence_reads_differently(edge: Operated) -> None:
    other = in_this_process("ping", "--device", "nobody")
    assert "DeviceNotFound" in complaint(other, 3)
    edge.fault(kind="timeout", seconds=0)
    assert "its edgeAgent does not answer" in complaint(edge("ping", expect=3), 3)
    edge.fault(kind="timeout", seconds=0, times=2)
    assert "did not answer twice" in complaint(edge("logs", expect=3), 3)
    edge.fault(kind="timeout", seconds=0)
    edge("logs")
    edge.sandbox.admin("POST", "/faults", {"kind": "truncate", "match": {"path": "/methods$"}, "times": 1})
    assert "was lost" in complaint(edge("ping", expect=3), 3)
    edge.sandbox.admin("POST", "/faults", {"kind": "status", "status": 429, "match": {"path": "/methods$"}, "times": 1})
    edge("ping")
    edge.sandbox.admin("PUT", f"/devices/{edge.device}", {"online": False})
    assert "the device is not connected" in complaint(edge("logs", expect=3), 3)
    assert "the device is not connected" in complaint(edge("restart", "edgeAgent", expect=3), 3)


def test_many_devices_are_asked_and_listed(edge: Operated, new_device: Callable[[], str]) -> None:
    off = new_device()
    edge.sandbox.admin("PUT", f"/devices/{off}", {"online": False})
    Path("devices.csv").write_text(f"device\n{edge.device}\n{off}\nnobody\n")
    asked = in_this_process("ping", "--devices", "devices.csv", "--rate", "100")
    assert asked.code == 1
    first, second, third, last = asked.stdout.splitlines()
    assert [line.split()[:2] for line in (first, second, third)] == [
        [edge.device, "answered"],
        [off, "offline"],
        ["nobody", "failed"],
    ]
    assert last == "3 devices: 1 answered, 1 failed, 1 offline"
    logs = in_this_process("logs", "--devices", "devices.csv", "--output", "json", "edgeAgent")
    assert [entry["answered"] for entry in logs.json["devices"]] == [True, False, False]


def test_wrong_options_are_found_before_anything_is_asked(edge: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.requests()
    Path("data.json").write_text("{")
    monkeypatch.setenv("SUPPORT_SAS", "https://acme.blob.core.windows.net/c?sp=r&sig=abcdefgh12345678")
    for arguments, words in (
        (("logs", "--since", "soon"), "neither a time nor a duration"),
        (("logs", "--grep", "("), "not a regular expression"),
        (("logs", "--follow", "--output", "json"), "--follow prints text"),
        (("logs", "--follow", "--until", "1h"), "cannot be used together"),
        (("logs", "--devices", "x.csv"), "named in two ways"),
        (("score", "--data", "data.json"), "not JSON"),
        (("score", "--data", "-", "--expect", "-"), "stdin cannot be both"),
        (("bundle",), "where to upload to is not given"),
        (("bundle", "--to", "https://acme.blob.core.windows.net/c?sig=abcdefgh12345678"), "the value is a URL"),
        (("bundle", "--to", "NOTHING"), "the variable is not set"),
        (("bundle", "--to", "SUPPORT_SAS"), "the signature allows 'r'"),
    ):
        ended = edge(*arguments, expect=2)
        assert words in complaint(ended, 2), arguments
        assert "abcdefgh12345678" not in ended.output
    assert "no device is named" in complaint(in_this_process("ping"), 2)
    assert edge.requests() == 0


def test_a_followed_log_continues_until_it_is_interrupted(edge: Operated) -> None:
    edge.apply("-q")
    edge.fault(kind="timeout", method="GetModuleLogs", after=1, times=2, seconds=0)
    following = started("logs", "--device", edge.device, "scorer", "--follow", cwd=edge.folder)
    following.until_it_says("no answer")
    edge.sandbox.admin("POST", f"/devices/{edge.device}/modules/scorer/log", {"lines": ["one", "two", "two"]})
    following.until_it_says("answers again")
    time.sleep(1.0)  # what it then prints on stdout is read at its end
    ended = following.interrupt()
    assert ended.code == 130
    assert [line for line in ended.stdout.splitlines() if "simulated" not in line] == ["one", "two", "two"]


def test_what_a_process_prints_is_in_its_log(edge: Operated) -> None:
    edge.sandbox.admin("PUT", f"/devices/{edge.device}", {"modules": "run"})
    edge.apply("-q", "--timeout", "60", image=SENSOR, env={"MessageCount": {"value": "2"}})
    eventually(lambda: "Done sending 2 messages" in edge("logs", "scorer").stdout, "sent")
    lines = edge("logs", "scorer", "--level", "info", "--output", "json").json["lines"]
    assert all(line["time"] and "simulated" not in line["text"].lower() for line in lines if "[INF]" in line["text"])
    edge("restart", "scorer")
    eventually(lambda: edge("logs", "scorer").stdout.count("Done sending 2 messages") == 2, "sent again")
    Path("data.json").write_text("{}")
    assert "it has no method 'score'" in complaint(edge("score", "--data", "data.json", expect=1), 1)


@pytest.fixture
def this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner's packages are those of this Python: nothing is installed."""
    monkeypatch.setattr("manifestgen.context.environment.environment", lambda *_, **__: Path(sys.executable))


def test_a_model_that_crashes_is_seen_followed_corrected_and_asked(
    edge: Operated, this_python: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.device import apply
    from manifestgen.target import Patience

    # A process takes a moment to start and to crash, in which it runs; the pauses after it must be longer.
    monkeypatch.setattr(apply, "PATIENCE", Patience(600.0, 60.0, 1.5, 1.5))
    monkeypatch.setattr(edge.sandbox.world, "pace", replace(edge.sandbox.world.pace, retry=2.0))
    edge.sandbox.admin("PUT", f"/devices/{edge.device}", {"modules": "run"})
    broken = "def init(): raise FileNotFoundError('no model.pkl in /var/model')\ndef run(data): return data\n"
    image = put_module_image(edge.sandbox.world, "ghcr.io", "crashing", "1", broken)
    edge.apply("-q", "--no-wait", image=image, given=True)
    eventually(lambda: "restarted 2 times" in in_this_process("status", "--device", edge.device).stdout, "restarts")
    failed = edge.apply("--timeout", "3", image=image, given=True, expect=1)
    shown = failed.stderr.partition("last log lines of scorer:\n")[2]
    assert "no model.pkl in /var/model" in shown
    assert failed.stderr.splitlines()[-1].endswith(f"'manifestgen logs --device {edge.device} scorer'")
    following = started("logs", "--device", edge.device, "scorer", "--follow", "--tail", "1", cwd=edge.folder)
    time.sleep(12.0)  # it is restarted meanwhile
    lines = following.interrupt().stdout.splitlines()
    assert sum("no model.pkl in /var/model" in line for line in lines) > 1
    times = [line[:23] for line in lines if line[:2] == "20"]
    assert times == sorted(times)
    image = put_module_image(edge.sandbox.world, "ghcr.io", "mended", "2")
    edge.apply("-q", "--timeout", "60", image=image, given=True)
    Path("data.json").write_text('{"data": [1, 2]}')
    Path("answer.json").write_text('{"got": {"data": [1, 2]}}')
    eventually(lambda: in_this_process("score", "--device", edge.device, "--data", "data.json").code == 0, "scored")
    assert edge("score", "--data", "data.json", "--expect", "answer.json").stdout.startswith("{\n")
    Path("answer.json").write_text('{"got": {"data": [1, 3]}}')
    wrong = edge("score", "--data", "data.json", "--expect", "answer.json", expect=1)
    assert "differs from the expected one at /got/data/1: 2, not 3" in complaint(wrong, 1)
