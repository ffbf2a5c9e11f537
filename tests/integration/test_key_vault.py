"""A key vault as the source of registry credentials, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from fakes.hurry import hurry
from integration.command_line import complaint, in_this_process

pytest.importorskip("azure.keyvault.secrets", reason="azure-keyvault-secrets is not installed")

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Desired = Callable[[str], Mapping[str, Any]]


@pytest.fixture
def put(quick: Any) -> Callable[..., None]:
    """Sets a secret of the sandbox's vault."""

    def secret(name: str, value: str, **more: Any) -> None:
        quick.admin("PUT", f"/vaults/sandbox-vault/secrets/{name}", {"value": value, **more})

    return secret


@pytest.fixture
def vaulted(ready_made: Any, quick: Any, put: Callable[..., None]) -> Any:
    """A project whose registry's login is in two secrets of a vault: the admin user's, since it exists anyway."""
    from manifestgen.azure import auth
    from manifestgen.sandbox.accounts import admin_passwords

    auth._credential.cache_clear()
    name = quick.world.names.registry
    put("models-pull-pwd", admin_passwords(quick.world, name)[0]["value"])
    put("models-pull-usr", name)
    ready_made.file.write_text(
        ready_made.file.read_text() + "registry:\n  credentials: keyvault\n"
        "  keyvault: {vault: sandbox-vault, name: models-pull-pwd, username_secret: models-pull-usr}\n"
    )
    return ready_made


def in_days(number: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=number, minutes=1)).isoformat()


def test_a_device_pulls_with_what_the_vault_holds(vaulted: Any, quick: Any, desired: Desired, asked: Any) -> None:
    ended = in_this_process("deploy", vaulted, "--yes")
    assert ended.code == 0, ended
    assert "healthy" in ended.output and "4 of 4 images can be pulled" in ended.output
    entry = desired(vaulted.device)["runtime"]["settings"]["registryCredentials"]["sandboxmodels"]
    assert (entry["address"], entry["username"]) == (quick.world.names.login_server, "sandboxmodels")
    assert asked.times("GET", "/secrets/models-pull-pwd") == 1
    assert asked.times("GET", "/secrets/models-pull-usr") == 1
    assert asked.times("POST", "listCredentials", answered=False) == 0


def test_placeholders_are_filled_in_from_the_vault_when_they_are_applied(
    vaulted: Any, put: Callable[..., None], desired: Desired
) -> None:
    assert in_this_process("render", vaulted, "--secrets", "placeholder").code == 0
    manifest = vaulted.root / "deployment.json"
    assert "${ACR_PASSWORD_SANDBOXMODELS}" in manifest.read_text()
    put("models-pull-pwd", "canary-that-is-newer", expires=in_days(5))
    applied = in_this_process("apply", manifest, "--device", vaulted.device, "--yes", "--no-wait")
    assert applied.code == 0, applied
    entry = desired(vaulted.device)["runtime"]["settings"]["registryCredentials"]["sandboxmodels"]
    assert entry["password"] == "canary-that-is-newer"
    assert "canary" not in applied.output + manifest.read_text()
    warnings = [line for line in applied.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "secret models-pull-pwd of key vault sandbox-vault" in warnings[0] and "in 5 days" in warnings[0]


def test_an_expiry_is_shown_and_warned_of(vaulted: Any, quick: Any, put: Callable[..., None]) -> None:
    shown = in_this_process("credentials", "show", vaulted)
    assert shown.code == 0, shown
    host = quick.world.names.login_server
    assert shown.stdout.startswith(f"{host}  source keyvault, user sandboxmodels, password in the key vault, admin")
    put("models-pull-pwd", "canary-that-expires", expires=in_days(9))
    (row,) = in_this_process("credentials", "show", vaulted, "--output", "json").json["registries"]
    assert (row["source"], row["found"], row["days_left"]) == ("keyvault", "key vault", 9)
    for command in ("render", "doctor"):
        warned = in_this_process(command, vaulted)
        assert warned.code == 0, warned
        assert "in 9 days" in warned.output and "az keyvault secret set" in warned.output
        assert "canary" not in warned.output
    vaulted.edit("credentials: keyvault", "credentials: keyvault\n  warn_days: 5")
    assert "in 9 days" not in in_this_process("render", vaulted).output


def test_rendering_offline_asks_no_one(vaulted: Any, asked: Any) -> None:
    assert in_this_process("render", vaulted, "-o", "-").code == 0
    assert asked.times("GET", "/secrets/", answered=False) == 0


@pytest.mark.parametrize(
    ("secret", "code", "what", "fix"),
    [
        ({"expires": "2001-01-01T00:00:00Z"}, 2, "the secret expired on 2001-01-01", "az keyvault secret set"),
        ({"not_before": "2099-01-01T00:00:00Z"}, 2, "the secret is not valid before 2099-01-01", "wait"),
        ({"enabled": False}, 3, "the secret is disabled", "set-attributes"),
        ({"value": '{"auths": {"x": "canary-in-json"}}'}, 2, "the secret holds JSON", "alone"),
    ],
)
def test_a_secret_that_is_unusable_is_two_lines(
    vaulted: Any, put: Callable[..., None], secret: Mapping[str, Any], code: int, what: str, fix: str
) -> None:
    put("models-pull-pwd", **{"value": "canary-of-no-use", **secret})
    refused = complaint(in_this_process("render", vaulted), code)
    assert what in refused.error and fix in refused.fix
    assert "secret models-pull-pwd of key vault sandbox-vault" in refused.error
    assert "canary" not in f"{refused.error} {refused.fix}"


@pytest.mark.parametrize(
    ("before", "after", "code", "what", "fix"),
    [
        ("models-pull-pwd", "models-pull", 3, "the vault has no such secret", "--name models-pull'"),
        ("sandbox-vault", "gone", 3, "key vault gone.vault.azure.net: the vault could not be", "registry.keyvault"),
        ("sandbox-vault", "a", 2, "registry.keyvault.vault 'a' is not a valid key vault name or URI", "3 to 24"),
    ],
)  # fmt: skip
def test_what_the_project_says_wrongly_is_two_lines(
    vaulted: Any, monkeypatch: pytest.MonkeyPatch, before: str, after: str, code: int, what: str, fix: str
) -> None:
    hurry(monkeypatch)
    vaulted.edit(before, after)
    refused = complaint(in_this_process("deploy", vaulted, "--yes"), code)
    assert what in refused.error and fix in refused.fix


def test_who_may_not_read_the_vault_says_the_role(vaulted: Any, quick: Any) -> None:
    quick.admin("PUT", "/vaults/sandbox-vault", {"denies": "role"})
    ended = in_this_process("render", vaulted, "--output", "json")
    shown, examined = in_this_process("credentials", "show", vaulted), in_this_process("doctor", vaulted)
    quick.admin("PUT", "/vaults/sandbox-vault", {})
    refused = complaint(ended, 3)
    assert "access is denied" in refused.error and "Key Vault Secrets User" in refused.fix
    assert json.loads(ended.stdout)["error"]["exit_code"] == 3
    assert (shown.code, examined.code) == (1, 1)
    assert "access is denied" in shown.stdout and "Key Vault Secrets User" in shown.stdout
    assert "secret models-pull-pwd" in examined.stdout and "Key Vault Secrets User" in examined.stdout


def test_one_secret_is_not_given_to_two_registries(vaulted: Any, asked: Any) -> None:
    (vaulted.root / "two.json.j2").write_text(
        '{% extends "single-module.json.j2" %}\n{% block modules %}{{ super() }},\n'
        '"other": {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",\n'
        '  "settings": {"image": "private.example.com/x:1", "createOptions": "{}"}}{% endblock %}\n'
    )
    vaulted.edit("template: anomaly-detection", "template: two.json.j2")
    for command in (["render", vaulted], ["credentials", "show", vaulted]):
        refused = complaint(in_this_process(*command), 2)
        assert "sandboxmodels.azurecr.io and private.example.com would both get it" in refused.error
        assert "registry.keyvault.secrets" in refused.fix
    assert asked.times("GET", "/secrets/", answered=False) == 0


def test_tokens_are_for_registries_with_the_source_token(vaulted: Any) -> None:
    refused = complaint(in_this_process("credentials", "rotate", vaulted, "--yes"), 2)
    assert "no registry of the manifest has the source token" in refused.error
