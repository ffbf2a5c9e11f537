"""skopeo, a client in Go that shares no code with us, pushes to and pulls from the sandbox's registries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fakes.acr_tasks import Registry

from manifestgen.sandbox import accounts
from manifestgen.sandbox.registry import images
from manifestgen.sandbox.world import Pace

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


class Skopeo:
    """skopeo with the sandbox's environment and the registry's admin user."""

    def __init__(self, sandbox: Any, folder: Path) -> None:
        self.world = sandbox.world
        self.host = self.world.names.login_server
        password = accounts.admin_passwords(self.world, self.world.names.registry)[0]["value"]
        self.credentials = f"{self.world.names.registry}:{password}"
        self._environment = {**os.environ, **sandbox.environment, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["skopeo", *arguments], env=self._environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def skopeo(sandbox: Any, tmp_path: Path) -> Skopeo:
    return Skopeo(sandbox, tmp_path)


def test_a_public_image_is_mirrored_with_all_its_platforms(skopeo: Skopeo) -> None:
    source, mirror = "docker://mcr.microsoft.com/azureiotedge-agent:1.6", f"docker://{skopeo.host}/mirror/agent:1.6"
    copied = skopeo("copy", "--all", source, mirror, "--dest-creds", skopeo.credentials)
    assert copied.returncode == 0, copied.stderr
    digests = [
        json.loads(skopeo("inspect", *arguments).stdout)["Digest"]
        for arguments in ((source,), (mirror, "--creds", skopeo.credentials))
    ]
    assert digests[0] == digests[1]


def test_an_image_comes_back_as_it_was_pushed(skopeo: Skopeo, tmp_path: Path) -> None:
    kind = images.ImageKind(("linux/arm64",), {"who": "me"})
    images.make_image(skopeo.world, skopeo.world.names.login_server, "made", "v1", kind)
    local = f"oci:{tmp_path}/image:v1"
    pulled = skopeo("copy", f"docker://{skopeo.host}/made:v1", local, "--src-creds", skopeo.credentials)
    assert pulled.returncode == 0, pulled.stderr
    pushed = skopeo("copy", local, f"docker://{skopeo.host}/copied:v2", "--dest-creds", skopeo.credentials)
    assert pushed.returncode == 0, pushed.stderr
    seen = json.loads(skopeo("inspect", f"docker://{skopeo.host}/copied:v2", "--creds", skopeo.credentials).stdout)
    assert (seen["Labels"], seen["Architecture"], seen["RepoTags"]) == ({"who": "me"}, "arm64", ["v2"])


@pytest.mark.parametrize("login", [["--no-creds"], ["--creds", "sandboxmodels:wrong"]])
def test_without_the_right_login_it_is_unauthorized(skopeo: Skopeo, login: list[str]) -> None:
    images.make_image(skopeo.world, skopeo.world.names.login_server, "private", "v1")
    refused = skopeo("inspect", f"docker://{skopeo.host}/private:v1", *login)
    assert refused.returncode != 0
    assert "authentication required" in refused.stderr


def test_a_missing_image_is_unknown(skopeo: Skopeo) -> None:
    missing = skopeo("inspect", f"docker://{skopeo.host}/private:none", "--creds", skopeo.credentials)
    assert missing.returncode != 0
    assert "manifest unknown" in missing.stderr


def test_a_built_image_is_pulled_and_unpacked(skopeo: Skopeo, sandbox: Any, tmp_path: Path) -> None:
    """What ACR Tasks built in the sandbox is an image for other clients: layers, owners and modes."""
    sandbox.world.pace = Pace(image_build=0.06)
    registry = Registry(sandbox)
    dockerfile = 'FROM scratch\nWORKDIR /app\nCOPY --chown=10001:10001 model /models/\nCOPY score.py .\nCMD ["x"]\n'
    files = {"Dockerfile": dockerfile, "score.py": "def run(x): ...\n", "model/a/weights.bin": bytes(range(256)) * 400}
    run, log = registry.built(files, platform={"os": "Linux", "architecture": "arm64"}, imageNames=["team/scorer:1"])
    assert run["status"] == "Succeeded", log
    source = f"docker://{skopeo.host}/team/scorer:1"
    inspected = json.loads(skopeo("inspect", source, "--creds", skopeo.credentials).stdout)
    assert (inspected["Digest"], inspected["Architecture"]) == (run["outputImages"][0]["digest"], "arm64")
    pulled = skopeo("copy", source, f"oci:{tmp_path}/image:v1", "--src-creds", skopeo.credentials)
    assert pulled.returncode == 0, pulled.stderr
    found: dict[str, tuple[int, int, bytes]] = {}
    index = json.loads((tmp_path / "image/index.json").read_text())
    blobs = tmp_path / "image/blobs/sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"][7:], "r:gz") as tar:
            for one in tar:
                content = tar.extractfile(one)
                found[one.name] = (one.uid, one.mode, content.read() if content else b"")
    assert found["models/a/weights.bin"] == (10001, 0o640, files["model/a/weights.bin"])
    assert found["app/score.py"] == (0, 0o640, b"def run(x): ...\n")
