"""What every `Vaults` does: the fake in memory, and Microsoft's SDK on the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from fakes.hurry import hurry
from fakes.vaults import FakeVaults

from manifestgen.cloud import Vaults, VaultSecret
from manifestgen.errors import CloudError, DeniedError, NotFoundError

EXPIRY, BEGIN = datetime(2031, 5, 1, tzinfo=timezone.utc), datetime(2001, 5, 1, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def soon_tired(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@dataclass
class Cloud:
    """A vault adapter, the name of a vault that is there, and how to fill it."""

    vaults: Vaults
    vault: str
    put: Callable[..., object]
    disable: Callable[[str], object]


def _fake() -> Cloud:
    fake = FakeVaults()
    return Cloud(fake, "contoso", fake.put, fake.disabled.add)


def _sdk(sandbox: Any) -> Cloud:
    pytest.importorskip("azure.keyvault.secrets", reason="azure-keyvault-secrets is not installed")
    from manifestgen.azure.key_vault import KeyVaults

    name = sandbox.world.names.vault

    def put(secret: str, value: str, expiry: datetime | None = None, begins: datetime | None = None) -> None:
        times = {"expires": expiry, "not_before": begins}
        body = {"value": value, **{key: time.isoformat() for key, time in times.items() if time is not None}}
        sandbox.admin("PUT", f"/vaults/{name}/secrets/{secret}", body)

    def disable(secret: str) -> None:
        sandbox.admin("PUT", f"/vaults/{name}/secrets/{secret}", {"value": "x", "enabled": False})

    return Cloud(KeyVaults(), name, put, disable)


@pytest.fixture(params=["fake", "sdk"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    cloud = _fake() if request.param == "fake" else _sdk(request.getfixturevalue("sandbox"))
    yield cloud
    if request.param == "sdk":
        cloud.vaults.close()  # type: ignore[attr-defined] # the fake has nothing to close


@pytest.fixture
def sdk(sandbox: Any) -> Iterator[Cloud]:
    """The real adapter only: for what comes from the network."""
    cloud = _sdk(sandbox)
    yield cloud
    cloud.vaults.close()  # type: ignore[attr-defined] # not part of the Protocol
    sandbox.admin("PUT", f"/vaults/{cloud.vault}", {})


def test_a_secret_is_given_with_its_times(cloud: Cloud) -> None:
    cloud.put("with-times", "canary-of-a-vault", EXPIRY, BEGIN)
    found = cloud.vaults.secret(cloud.vault, "with-times")
    assert found == VaultSecret("with-times", "canary-of-a-vault", EXPIRY, BEGIN)
    assert "canary" not in repr(found)


def test_the_latest_version_is_given(cloud: Cloud) -> None:
    for value in ("first", "second"):
        cloud.put("twice", value, EXPIRY if value == "first" else None)
    assert cloud.vaults.secret(cloud.vault, "twice") == VaultSecret("twice", "second")


def test_an_expired_secret_is_given_as_the_service_gives_it(cloud: Cloud) -> None:
    cloud.put("expired", "old", BEGIN)
    assert cloud.vaults.secret(cloud.vault, "expired").expiry == BEGIN


def test_case_does_not_matter_nor_whether_the_vault_is_named_by_its_uri(cloud: Cloud) -> None:
    cloud.put("any-case", "value")
    for vault in (cloud.vault.upper(), f"https://{cloud.vault}.vault.azure.net/", f"{cloud.vault}.vault.azure.net"):
        assert cloud.vaults.secret(vault, "Any-Case").value == "value"


def test_a_missing_secret_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(NotFoundError, match="no such secret") as caught:
        cloud.vaults.secret(cloud.vault, "missing")
    assert "secret missing of key vault" in caught.value.where


def test_a_disabled_secret_is_denied(cloud: Cloud) -> None:
    cloud.disable("disabled")
    with pytest.raises(DeniedError, match="the secret is disabled"):
        cloud.vaults.secret(cloud.vault, "disabled")


def test_a_missing_vault_is_an_error(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloudError, match="vault"):
        cloud.vaults.secret("nosuch", "any")


@pytest.mark.parametrize(
    ("denies", "what", "fix"),
    [
        ("role", "Caller is not authorized to perform action on resource", "Key Vault Secrets User"),
        ("policy", "does not have secrets get permission", "access policies"),
        ("firewall", "network rules block this machine: Client address", "(it sees 203.0.113.7)"),
        ("private", "network rules block this machine: Public network access is disabled", "can be reached"),
    ],
)
def test_who_may_not_read_says_what_is_missing(sdk: Cloud, sandbox: Any, denies: str, what: str, fix: str) -> None:
    sdk.put("forbidden", "value")
    sandbox.admin("PUT", f"/vaults/{sdk.vault}", {"denies": denies})
    with pytest.raises(DeniedError) as caught:
        sdk.vaults.secret(sdk.vault, "forbidden")
    assert what in str(caught.value) and fix in caught.value.fix
    assert "\n" not in str(caught.value)


def test_a_deleted_secret_is_not_found_and_can_be_recovered(sdk: Cloud, sandbox: Any) -> None:
    from azure.identity import EnvironmentCredential
    from azure.keyvault.secrets import SecretClient

    with SecretClient(f"https://{sdk.vault}.vault.azure.net", EnvironmentCredential()) as client:
        client.set_secret("deleted", "value")
        client.begin_delete_secret("deleted").wait()
        with pytest.raises(NotFoundError) as caught:
            sdk.vaults.secret(sdk.vault, "deleted")
        assert "az keyvault secret recover" in caught.value.fix
        client.begin_recover_deleted_secret("deleted").wait()
    assert sdk.vaults.secret(sdk.vault, "deleted").value == "value"


def test_a_vault_of_another_cloud_is_named_by_its_uri(sdk: Cloud, sandbox: Any) -> None:
    sandbox.admin("PUT", "/vaults/china", {"host": "china.vault.azure.cn"})
    sandbox.admin("PUT", "/vaults/china/secrets/pwd", {"value": "there"})
    assert sdk.vaults.secret("https://china.vault.azure.cn", "pwd").value == "there"


def test_an_expired_token_is_replaced_once(sdk: Cloud, sandbox: Any) -> None:
    sdk.put("any", "value")
    sdk.vaults.secret(sdk.vault, "any")
    sandbox.admin("POST", "/tokens/expire")
    assert sdk.vaults.secret(sdk.vault, "any").value == "value"


def test_a_login_that_is_rejected_for_good_is_said_to_be_that(sdk: Cloud, sandbox: Any) -> None:
    sdk.put("any", "value")
    sdk.vaults.secret(sdk.vault, "any")
    sandbox.fault("status", host=".*vault.azure.net", status=401, times="forever")
    with pytest.raises(DeniedError, match="the login has expired or was revoked") as caught:
        sdk.vaults.secret(sdk.vault, "any")
    assert "az login" in caught.value.fix


def test_a_broken_connection_and_throttling_are_tried_again(sdk: Cloud, sandbox: Any) -> None:
    sdk.put("any", "value")
    sdk.vaults.secret(sdk.vault, "any")
    sandbox.fault("reset", host=".*vault.azure.net")
    sandbox.fault("status", host=".*vault.azure.net", status=429, retry_after=0, after=1)
    assert sdk.vaults.secret(sdk.vault, "any").value == "value"


@pytest.mark.parametrize(
    ("status", "what"), [(500, "Internal Server Error"), (429, "too many requests"), (400, "odd words")]
)
def test_what_does_not_end_is_an_error_with_the_services_words(
    sdk: Cloud, sandbox: Any, monkeypatch: pytest.MonkeyPatch, status: int, what: str
) -> None:
    message = "odd words" if status == 400 else ""
    sandbox.fault("status", host=".*vault.azure.net", status=status, message=message, times="forever")
    with pytest.raises(CloudError, match=what):
        sdk.vaults.secret(sdk.vault, "any")
