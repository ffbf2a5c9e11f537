"""`doctor` and `credentials show` say the same of every registry, whichever sources a project combines."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fakes.hub import FakeHub
from fakes.registry import FakeRegistry
from fakes.vaults import FakeVaults
from integration.command_line import complaint, in_this_process

from manifestgen.credentials.acr_token import create
from manifestgen.credentials.sources import SOURCES
from manifestgen.errors import DeniedError

ACME, OTHER = "acme.azurecr.io", "other.azurecr.io"
_TEMPLATE = """\
{% extends "runtime-only.json.j2" %}
{% block modules %}"scorer": {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
  "settings": {"image": "acme.azurecr.io/scorer:1", "createOptions": "{}"}},
"camera": {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
  "settings": {"image": "other.azurecr.io/camera:1", "createOptions": "{}"}}{% endblock %}
"""
_PUBLIC_MODULE = """\
"public": {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
  "settings": {"image": "docker.io/contoso/public:1", "createOptions": "{}"}},
"""
_KEYS = {
    "file": "  file: logins.env\n",
    "keyvault": "  keyvault: {vault: contoso, secrets: {SECRETS}}\n",
}


def write_project(folder: Path, default: str, named: str | None) -> None:
    """A project with two registries: `named` is the source of the first, `default` of the others."""
    (folder / "two.json.j2").write_text(_TEMPLATE)
    text = "version: 1\nmanifest: {template: two.json.j2, module: machinelearningmodule}\ntarget: {device: edge-01}\n"
    text += f"registry:\n  credentials: {default}\n" + (f"  sources: {{{ACME}: {named}}}\n" if named else "")
    sources = {ACME: named or default, OTHER: default}
    secrets = [f"{host}: {{name: {host[:4]}-pwd, username: robot}}" for host in sources if sources[host] == "keyvault"]
    for source, keys in _KEYS.items():
        if source in (default, named):
            text += keys.replace("SECRETS", ", ".join(secrets))
    (folder / "manifestgen.yaml").write_text(text)


def prepare(world: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services and this machine's logins: `nothing` at all, `everything`, or `tokens` whose passwords are stored."""
    registry, vaults, lines = FakeRegistry.of("acme", "other", admin=world != "nothing"), FakeVaults(), ""
    if world == "everything":
        for name in ("ACME", "OTHER"):
            monkeypatch.setenv(f"ACR_USERNAME_{name}", "robot")
            monkeypatch.setenv(f"ACR_PASSWORD_{name}", "canary-in-a-variable")
            lines += f"ACR_USERNAME_{name}=robot\nACR_PASSWORD_{name}=canary-in-a-file\n"
            vaults.put(f"{name[:4].lower()}-pwd", "canary-in-a-vault")
    if world in ("everything", "tokens"):
        for host in (ACME, OTHER):
            now = datetime.now(timezone.utc)
            names = ("manifestgen-machinelearningmodule", "robot")
            for name in names:
                create(registry, registry.by_host(host), name, ["scorer"], root=folder / "state", days=90, now=now)
    (folder / "logins.env").write_text(lines)
    services = {"registry": registry, "vaults": vaults, "hub": FakeHub("edge-01")}
    for name, service in services.items():
        monkeypatch.setattr(f"manifestgen.services.ProjectServices.{name}", service)
    monkeypatch.setattr("manifestgen.services.log_in", lambda: None)
    monkeypatch.setenv("MANIFESTGEN_STATE", str(folder / "state"))


@pytest.mark.slow
@pytest.mark.parametrize("world", ["nothing", "everything", "tokens"])
@pytest.mark.parametrize("named", [None, *SOURCES])
@pytest.mark.parametrize("default", SOURCES)
def test_doctor_and_show_agree(
    default: str, named: str | None, world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, default, named)
    prepare(world, tmp_path, monkeypatch)
    examined = in_this_process("doctor", tmp_path, "--output", "json")
    shown = in_this_process("credentials", "show", tmp_path, "--output", "json")
    rows: dict[str, Any] = {
        row["subject"].removeprefix("registry "): row
        for row in examined.json["rows"]
        if row["subject"].startswith("registry ")
    }
    registries = {one["host"]: one for one in shown.json["registries"]}
    assert list(rows) == list(registries) == [ACME, OTHER]
    expected = {ACME: named or default, OTHER: default}
    for host, one in registries.items():
        row, source = rows[host], expected[host]
        assert one["source"] == source
        assert row["words"].startswith(f"source {source}, ")
        works = {"nothing": False, "everything": True, "tokens": source in ("admin", "token")}[world]
        assert (row["state"], bool(one["problem"])) == (("ok", False) if works else ("failed", True)), (row, one)
        assert one["problem"] in row["words"] and one["fix"] == row["fix"]
    failed = [host for host, row in rows.items() if row["state"] == "failed"]
    assert shown.code == (1 if failed else 0)
    assert (examined.code, [row for row in examined.json["rows"] if row["state"] == "failed"]) == (
        1 if failed else 0,
        [rows[host] for host in rows if host in failed],
    )
    assert "canary" not in examined.output + shown.output


def test_one_source_for_all_and_another_for_one_are_both_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example that once was all ok in `doctor`, while `credentials show` said that no password was there."""
    (tmp_path / "manifestgen.yaml").write_text(
        "version: 1\nmanifest: {module: machinelearningmodule}\n"
        f"registry: {{credentials: env, sources: {{{ACME}: token}}}}\n"
        f"image: {{builder: none, reference: '{ACME}/scorer:1'}}\ntarget: {{device: edge-01}}\n"
    )
    prepare("nothing", tmp_path, monkeypatch)
    examined = in_this_process("doctor", tmp_path)
    shown = in_this_process("credentials", "show", tmp_path)
    assert (examined.code, shown.code) == (1, 1)
    for output in (examined.stdout, shown.stdout):
        assert "source token, user manifestgen-machinelearningmodule" in output
        assert "the registry has no token manifestgen-machinelearningmodule" in output
        assert "manifestgen credentials create-token" in output


def test_an_expiry_is_a_warning_in_doctor_and_days_left_in_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, "token", None)
    prepare("tokens", tmp_path, monkeypatch)
    project = (tmp_path / "manifestgen.yaml").read_text()
    (tmp_path / "manifestgen.yaml").write_text(
        project.replace("credentials: token", "credentials: token\n  warn_days: 99")
    )
    examined = in_this_process("doctor", tmp_path, "--output", "json")
    shown = in_this_process("credentials", "show", tmp_path, "--output", "json")
    assert (examined.code, shown.code) == (0, 0)
    rows = [row for row in examined.json["rows"] if row["subject"].startswith("registry ")]
    assert [(row["state"], row["fix"]) for row in rows] == [
        ("warning", "renew it with 'manifestgen credentials rotate'")
    ] * 2
    assert [one["days_left"] for one in shown.json["registries"]] == [89, 89]


def test_a_mistake_in_the_environment_is_a_row_in_doctor_and_an_error_in_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, "env", "token")
    prepare("tokens", tmp_path, monkeypatch)
    monkeypatch.setenv("ACR_USERNAME_OTHER", "robot")
    examined = in_this_process("doctor", tmp_path, "--output", "json")
    rows = {row["subject"]: row for row in examined.json["rows"]}
    assert examined.code == 1
    assert rows[f"registry {ACME}"]["state"] == "ok"
    assert rows[f"registry {OTHER}"]["state"] == "failed"
    refused = complaint(in_this_process("credentials", "show", tmp_path), 2)
    what = "ACR_USERNAME_OTHER is set, but ACR_PASSWORD_OTHER is not"
    assert what in refused and what in rows[f"registry {OTHER}"]["words"]
    assert rows[f"registry {OTHER}"]["fix"] == refused.fix == f"set ACR_PASSWORD_OTHER, for registry {OTHER}"


def test_one_secret_for_two_registries_concerns_both_and_no_public_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, "keyvault", None)
    file, template = tmp_path / "manifestgen.yaml", tmp_path / "two.json.j2"
    start = file.read_text().index("  keyvault:")
    file.write_text(file.read_text()[:start] + "  keyvault: {vault: contoso, name: pwd, username: robot}\n")
    template.write_text(template.read_text().replace('"camera"', _PUBLIC_MODULE + '"camera"'))
    prepare("everything", tmp_path, monkeypatch)
    examined = in_this_process("doctor", tmp_path, "--output", "json")
    rows = [row for row in examined.json["rows"] if row["subject"].startswith("registry ")]
    assert [(row["subject"], row["state"]) for row in rows] == [
        (f"registry {ACME}", "failed"),
        (f"registry {OTHER}", "failed"),
    ]
    refused = complaint(in_this_process("credentials", "show", tmp_path), 2)
    assert "would both get it" in refused
    assert all("would both get it" in row["words"] and row["fix"] == refused.fix for row in rows)


def test_without_a_login_to_azure_what_is_on_this_machine_is_still_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, "env", "admin")
    prepare("everything", tmp_path, monkeypatch)

    def refused() -> None:
        raise DeniedError("no Azure credential was found", fix="run 'az login'")

    monkeypatch.setattr("manifestgen.services.log_in", refused)
    monkeypatch.setattr(
        "manifestgen.services.ProjectServices.registry", property(lambda self: pytest.fail("Azure was asked"))
    )
    rows = {row["subject"]: row for row in in_this_process("doctor", tmp_path, "--output", "json").json["rows"]}
    assert (rows[f"registry {ACME}"]["state"], rows[f"registry {ACME}"]["words"]) == ("skipped", "needs a credential")
    assert rows[f"registry {OTHER}"]["state"] == "ok"
    assert rows[f"registry {OTHER}"]["words"] == "source env, user robot, password in the environment"
