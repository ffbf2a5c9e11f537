"""A result from the sandbox is never taken for one from Azure: the last line says where it is from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import complaint, in_this_process

from manifestgen.cli import run

LINE = "sandbox: the result above is from a local stand-in for Azure, not from Azure"


def _last(ended: Any) -> str:
    return ended.stderr.splitlines()[-1] if ended.stderr else ""


@pytest.fixture
def deployed(ready_made: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(ready_made.root)
    ended = in_this_process("deploy", "--yes")
    assert ended.code == 0, ended
    assert _last(ended) == LINE
    assert in_this_process("render", "-q").code == 0
    return ready_made


def test_every_command_that_talks_to_hub_or_registry_ends_with_it(deployed: Any) -> None:
    device = ("--device", deployed.device)
    for words in (
        ("doctor",),
        ("render",),
        ("preflight", "deployment.json"),
        ("plan", "deployment.json", *device),
        ("apply", "deployment.json", *device, "--yes"),
        ("status", *device),
        ("export", *device),
        ("history", *device),
        ("device", "show", deployed.device),
        ("device", "list"),
        ("device", "connection-string", deployed.device),
        ("credentials", "show"),
        ("deploy", "--dry-run"),
        ("status", *device, "-q"),
        ("status", *device, "-v"),
    ):
        ended = in_this_process(*words)
        assert ended.code == 0, ended
        assert _last(ended) == LINE, words
        assert ended.output.count(LINE) == 1
        assert LINE not in ended.stdout


def test_the_json_document_stays_alone_on_stdout(deployed: Any) -> None:
    ended = in_this_process("status", "--device", deployed.device, "--output", "json")
    assert json.loads(ended.stdout)["state"] == "healthy"
    assert _last(ended) == LINE


def test_what_does_not_leave_this_machine_does_not_say_it(deployed: Any, tmp_path: Path) -> None:
    for words in (
        ("check", "deployment.json"),
        ("check", "deployment.json", "-v"),
        ("explain",),
        ("schema",),
        ("project", "show"),
        ("init", str(tmp_path / "new")),
        ("render", "-o", "-"),
    ):
        ended = in_this_process(*words)
        assert ended.code == 0, ended
        assert LINE not in ended.output, words


def test_an_error_keeps_its_two_lines_at_the_end(deployed: Any) -> None:
    ended = in_this_process("status", "--device", "nowhere")
    assert "nowhere" in complaint(ended, 3)
    assert LINE not in ended.output


def test_with_another_proxy_it_is_not_the_sandbox(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path))
    monkeypatch.setenv("MANIFESTGEN_SANDBOX_PROXY", "http://127.0.0.1:5")
    monkeypatch.setenv(
        "IOTHUB_CONNECTION_STRING", "HostName=a.azure-devices.net;SharedAccessKeyName=a;SharedAccessKey=YWFh"
    )
    for proxy, said in (("http://127.0.0.1:5", True), ("http://10.0.0.1:8080", False), ("", False)):
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.delenv("HTTPS_PROXY", raising=False)
        assert run(["history", "--device", "edge-01"]) == 0
        assert (LINE in capsys.readouterr().err) == said
