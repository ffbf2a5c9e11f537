"""A client of ACR Tasks in the sandbox, by plain HTTP, and the images that are built there."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Mapping
from typing import Any

import requests

from manifestgen.sandbox.entra import ARM, issue_token
from manifestgen.sandbox.registry import images

NEW, OLD = "2025-03-01-preview", "2019-06-01-preview"


def tar_of(files: Mapping[str, bytes | str | tarfile.TarInfo]) -> bytes:
    """A source: content by path; a `TarInfo` as it is."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o640
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    """An entry without content."""
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


class Registry:
    """Asks ARM for builds in the sandbox's registry."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.host = self.world.names.login_server
        self.path = self.world.names.registry_arm_id
        self.token = issue_token(self.world, ARM)[0]

    def __call__(self, method: str, below: str, body: Any = None, *, version: str = NEW, **query: str) -> Any:
        return requests.request(
            method,
            f"https://management.azure.com{self.path}/{below}".rstrip("/"),
            params={"api-version": version, **query},
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=10,
        )

    def settings(self, **changes: Any) -> None:
        self.sandbox.admin("PUT", f"/registries/{self.world.names.registry}/tasks", changes)

    def upload(self, source: bytes) -> str:
        place = self("POST", "listBuildSourceUploadUrl").json()
        put = requests.put(place["uploadUrl"], data=source, headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)
        assert put.status_code == 201, put.text
        return str(place["relativePath"])

    def body(self, source: str, **changes: Any) -> dict[str, Any]:
        return {
            "type": "DockerBuildRequest",
            "imageNames": ["scorer:v1"],
            "isPushEnabled": True,
            "dockerFilePath": "Dockerfile",
            "platform": {"os": "Linux", "architecture": "amd64"},
            "sourceLocation": source,
            **changes,
        }

    def schedule(self, files: Mapping[str, Any], **changes: Any) -> str:
        answer = self("POST", "scheduleRun", self.body(self.upload(tar_of(files)), **changes))
        assert answer.ok, answer.text
        return str(answer.json()["properties"]["runId"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self("GET", f"runs/{run_id}").json()["properties"]
        return found

    def log(self, run_id: str) -> requests.Response:
        link = self("POST", f"runs/{run_id}/listLogSasUrl").json()["logLink"]
        return requests.get(link, timeout=10)

    def wait(self, run_id: str, *states: str) -> dict[str, Any]:
        """The run once it is over, or in one of these states."""
        deadline = time.monotonic() + 20
        wanted = states or ("Succeeded", "Failed", "Canceled", "Error", "Timeout")
        while (found := self.run(run_id))["status"] not in wanted:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found

    def built(self, files: Mapping[str, Any], **changes: Any) -> tuple[dict[str, Any], str]:
        """A run to its end, and its log."""
        run_id = self.schedule(files, **changes)
        return self.wait(run_id), self.log(run_id).text

    def image(self, tag: str = "scorer:v1") -> Built:
        repository, _, reference = tag.partition(":")

        async def read() -> Built:
            found = images.find_manifest(self.world, self.host, repository, reference)
            assert found is not None
            return Built(self.world, found)

        made: Built = self.sandbox.call(read())
        return made


class Built:
    """An image in the registry, with its files."""

    def __init__(self, world: Any, found: images.StoredManifest) -> None:
        self.digest, self.media_type = found.digest, found.media_type
        self.manifest = json.loads(found.path.read_bytes())
        self.config = json.loads(images.content_path(world, self.manifest["config"]["digest"]).read_bytes())
        self.layers = [entry["digest"] for entry in self.manifest["layers"]]
        self.members: dict[str, tarfile.TarInfo] = {}
        self.files: dict[str, bytes] = {}
        for entry, diff_id in zip(self.manifest["layers"], self.config["rootfs"]["diff_ids"], strict=True):
            packed = images.content_path(world, entry["digest"]).read_bytes()
            assert (len(packed), hashlib.sha256(packed).hexdigest()) == (entry["size"], entry["digest"][7:])
            plain = gzip.decompress(packed)
            assert hashlib.sha256(plain).hexdigest() == diff_id[7:]
            with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
                for one in tar:
                    self.members[one.name] = one
                    if one.isfile():
                        content = tar.extractfile(one)
                        assert content is not None
                        self.files[one.name] = content.read()
