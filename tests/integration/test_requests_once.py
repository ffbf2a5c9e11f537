"""What a command asks for more than once costs time and the service's limits: once is enough."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_service import content, module
from integration.command_line import in_this_process

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def sent(quick: Any) -> list[str]:
    return [f"{entry['method']} {entry['path']}" for entry in quick.admin("GET", "/requests")]


def test_twenty_devices_need_one_token(
    quick: Any, new_device: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.azure import auth

    devices = [new_device() for _ in range(20)]
    manifest = tmp_path / "manifest.json.j2"
    manifest.write_text(json.dumps(content({"a": module("mcr.microsoft.com/x:1")})))
    rows = tmp_path / "rows.csv"
    rows.write_text("deviceId\n" + "\n".join(devices) + "\n")
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING")
    auth._credential.cache_clear()
    quick.admin("DELETE", "/requests")
    hub = quick.environment["IOTHUB_HOST"]
    ended = in_this_process("apply", manifest, "--devices", rows, "--hub", hub, "--yes")
    assert ended.code == 0, ended
    tokens = [one for one in sent(quick) if one.startswith("POST") and one.endswith("/oauth2/v2.0/token")]
    assert len(tokens) == 1


@pytest.mark.azureml
def test_an_image_needs_one_list_of_models(project: Any, quick: Any) -> None:
    pytest.importorskip("azureml.core")
    quick.admin("DELETE", "/requests")
    assert in_this_process("image", project).code == 0
    lists = [one for one in sent(quick) if one.startswith("GET") and one.endswith("/models")]
    print("\n".join(sent(quick)))
    assert len(lists) == 1


def test_a_deployment_needs_one_list_of_configurations(quick: Any, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(content({"a": module("mcr.microsoft.com/x:1")})))
    name = f"nowhere-{uuid.uuid4().hex[:6]}"
    quick.admin("DELETE", "/requests")
    ended = in_this_process(
        "apply",
        manifest,
        "--deployment",
        name,
        "--target-condition",
        "tags.nowhere = 1",
        "--priority",
        "1",
        "--yes",
        "--no-wait",
    )
    print("\n".join(sent(quick)))
    assert ended.code == 0, ended
    assert sum(one.startswith("GET") and one.endswith("/configurations") for one in sent(quick)) == 1
