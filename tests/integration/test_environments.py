"""Two environments of one project, on two devices of the sandbox: what one does changes nothing of the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import complaint, in_this_process

_ENVIRONMENTS = """
environments:
  dev:
    manifest: {{values: {{ttl: 60}}}}
  prod:
    target: {{device: {prod}}}
    manifest: {{values: {{ttl: 7200}}}}
"""


@pytest.fixture
def both(ready_made: Any, new_device: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str, str]:
    """The project's folder, and its devices in `dev` and `prod`."""
    prod = new_device()
    with ready_made.file.open("a") as file:
        file.write(_ENVIRONMENTS.format(prod=prod))
    monkeypatch.chdir(ready_made.root)
    return ready_made.root, ready_made.device, prod


def _files(root: Path, environment: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if f".{environment}." in path.name}


def test_each_has_its_own_lock_manifest_and_device(
    both: tuple[Path, str, str], desired: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, dev, prod = both
    said = in_this_process("deploy", "--dry-run").stderr
    assert said.startswith("project manifestgen.yaml, none of its environments (dev, prod)\n")
    for first in (("deploy", "-e", "dev", "--yes"), ("render", "-e", "dev", "--pin")):
        assert in_this_process(*first).code == 0
    files, twin = _files(root, "dev"), desired(dev)
    assert set(files) == {"manifestgen.dev.lock.json", "deployment.dev.json"}

    monkeypatch.setenv("MANIFESTGEN_ENVIRONMENT", "prod")
    deployed = in_this_process("deploy", "--yes", "--output", "json")
    assert deployed.code == 0 and deployed.json["rollout"]["device"] == prod, deployed
    assert deployed.stderr.startswith("project manifestgen.yaml, environment prod\n")
    assert in_this_process("render", "--pin").code == 0
    assert set(_files(root, "prod")) == {"manifestgen.prod.lock.json", "deployment.prod.json"}
    assert (_files(root, "dev"), desired(dev)) == (files, twin)
    assert not (root / "manifestgen.lock.json").exists()
    assert not (root / "deployment.json").exists()

    monkeypatch.delenv("MANIFESTGEN_ENVIRONMENT")
    for name, device in (("dev", dev), ("prod", prod)):
        for words in (
            ("status", "-e", name),
            ("plan", f"deployment.{name}.json"),
            ("apply", f"deployment.{name}.json", "--yes"),
            ("history", "-e", name),
            ("rollback", "-e", name, "--yes", "--no-wait"),
            ("export", "-e", name, "-o", f"{name}.json"),
            ("view", "-e", name, "-o", f"{name}.html"),
            ("device", "show", "-e", name),
        ):
            ended = in_this_process(*words)
            assert ended.code == 0, ended
            assert f"device {device} of manifestgen.yaml, environment {name}" in ended.stderr
    assert "device edge" in in_this_process("preflight", "deployment.dev.json").stderr
    exported = json.loads((root / "prod.json").read_text())
    hub = exported["modulesContent"]["$edgeHub"]["properties.desired"]
    assert hub["storeAndForwardConfiguration"]["timeToLiveSecs"] == 7200


def test_another_hub_stops_every_command_before_anything_is_sent(
    both: tuple[Path, str, str], quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, prod = both
    text = (root / "manifestgen.yaml").read_text()
    (root / "manifestgen.yaml").write_text(f"{text}    hub: {{host: contoso.azure-devices.net}}\n")
    before = len(quick.admin("GET", "/requests"))
    assert in_this_process("render", "-e", "prod", "-q").code == 0
    for words in (("deploy", "--yes"), ("apply", "deployment.prod.json", "--yes"), ("status",), ("rollback", "--yes")):
        said = complaint(in_this_process(*words, "-e", "prod"), 2)
        assert "for the hub sandbox-hub.azure-devices.net" in said
        assert "the project's hub in environment prod is contoso.azure-devices.net" in said
    assert not [one for one in quick.admin("GET", "/requests")[before:] if prod in one["path"]]
