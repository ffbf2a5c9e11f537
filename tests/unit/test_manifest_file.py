from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from manifestgen.credentials import stored
from manifestgen.errors import InputError
from manifestgen.manifest_file import expiry_warnings, read_manifest_file
from manifestgen.project.load import load
from manifestgen.secret import Secret

_ENV = {"ACR_USERNAME_ACME": "from-the-environment", "ACR_PASSWORD_ACME": "canary-of-the-environment"}


def manifest(username: str = "${ACR_USERNAME_ACME}", password: str = "${ACR_PASSWORD_ACME}") -> bytes:  # noqa: S107
    entry = {"address": "acme.azurecr.io", "username": username, "password": password}
    module = {"type": "docker", "settings": {"image": "acme.azurecr.io/scorer:1"}}
    agent = {"runtime": {"settings": {"registryCredentials": {"acme": entry}}}, "modules": {"scorer": module}}
    return json.dumps({"modulesContent": {"$edgeAgent": {"properties.desired": agent}}}).encode()


def login(data: bytes, file: Path, environ: dict[str, str]) -> tuple[str, str]:
    """What the placeholders of a manifest were filled in with."""
    document = read_manifest_file(data, file, environ).document
    assert document.manifest is not None
    (entry,) = document.manifest.credentials().values()
    return entry.username, entry.password.reveal()


def test_placeholders_come_from_the_environment(tmp_path: Path) -> None:
    assert login(manifest(), tmp_path / "m.json", _ENV) == ("from-the-environment", "canary-of-the-environment")


def test_else_from_the_sources_of_the_project_beside_it(tmp_path: Path) -> None:
    (tmp_path / "logins").write_text("ACR_USERNAME_ACME=from-a-file\nACR_PASSWORD_ACME=canary-of-a-file\n")
    (tmp_path / "manifestgen.yaml").write_text("version: 1\nregistry: {credentials: file, file: logins}\n")
    assert login(manifest(), tmp_path / "m.json", {}) == ("from-a-file", "canary-of-a-file")


def test_those_of_an_environment_count_for_its_manifest(tmp_path: Path) -> None:
    for name in ("dev", "prod"):
        (tmp_path / name).write_text(f"ACR_USERNAME_ACME={name}\nACR_PASSWORD_ACME=canary-of-{name}\n")
    text = "version: 1\nregistry: {credentials: file, file: dev}\nenvironments: {prod: {registry: {file: prod}}}\n"
    (tmp_path / "manifestgen.yaml").write_text(text)
    assert login(manifest(), tmp_path / "deployment.json", {}) == ("dev", "canary-of-dev")
    assert login(manifest(), tmp_path / "deployment.prod.json", {}) == ("prod", "canary-of-prod")


def test_without_either_it_says_which_variable_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="ACR_USERNAME_ACME"):
        read_manifest_file(manifest(), Path("-"), {})


def test_stdin_is_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_manifest_file(manifest("a", "canary-b"), Path("-"), {}).document.name == "stdin"


class TestWarnings:
    TOKEN = "manifestgen-scorer"

    @pytest.fixture(autouse=True)
    def _token(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
        monkeypatch.chdir(tmp_path)
        expiry = datetime.now(timezone.utc) + timedelta(days=3)
        password = Secret("canary-of-a-token")
        now = datetime.now(timezone.utc)
        one = stored.StoredPassword("acme.azurecr.io", self.TOKEN, "password1", password, expiry, now)
        stored.write(tmp_path / "state", one)

    def test_a_token_that_expires_soon_is_warned_of(self, tmp_path: Path) -> None:
        loaded = read_manifest_file(manifest(self.TOKEN, "canary-of-a-token"), tmp_path / "m.json", {})
        (warning,) = loaded.warnings()
        assert self.TOKEN in warning and "in 2 days" in warning

    def test_the_project_says_what_soon_is(self, tmp_path: Path) -> None:
        (tmp_path / "manifestgen.yaml").write_text("version: 1\nregistry: {warn_days: 1}\n")
        data = manifest(self.TOKEN, "canary-of-a-token")
        assert read_manifest_file(data, tmp_path / "m.json", {}).warnings() == ()
        document = read_manifest_file(data, tmp_path / "m.json", {}).document
        assert document.manifest is not None
        assert list(expiry_warnings(document.manifest, load(tmp_path))) == []

    def test_a_project_that_cannot_be_read_is_no_reason_not_to_warn(self, tmp_path: Path) -> None:
        (tmp_path / "manifestgen.yaml").write_text("version: 2\n")
        data = manifest(self.TOKEN, "canary-of-a-token")
        assert len(read_manifest_file(data, tmp_path / "m.json", {}).warnings()) == 1

    def test_a_manifest_without_credentials_has_none(self, tmp_path: Path) -> None:
        data = b'{"modulesContent": {"$edgeAgent": {"properties.desired": {}}}}'
        assert read_manifest_file(data, tmp_path / "m.json", {}).warnings() == ()
        assert read_manifest_file(b"[]", tmp_path / "m.json", {}).warnings() == ()
