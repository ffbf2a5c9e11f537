from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.hurry import hurry

from manifestgen.azure.key_vault import KeyVaults, uri_of
from manifestgen.errors import CloudError, DeniedError, InputError


@pytest.mark.parametrize(
    ("vault", "authority", "uri"),
    [
        ("contoso-edge", "", "https://contoso-edge.vault.azure.net"),
        ("Contoso-Edge", "https://login.microsoftonline.com/", "https://contoso-edge.vault.azure.net"),
        ("contoso-edge", "https://login.chinacloudapi.cn", "https://contoso-edge.vault.azure.cn"),
        ("contoso-edge", "login.partner.microsoftonline.cn", "https://contoso-edge.vault.azure.cn"),
        ("contoso-edge", "https://login.microsoftonline.us/", "https://contoso-edge.vault.usgovcloudapi.net"),
        ("https://contoso-edge.vault.azure.cn/", "", "https://contoso-edge.vault.azure.cn"),
        ("contoso-edge.vault.azure.net", "https://login.chinacloudapi.cn", "https://contoso-edge.vault.azure.net"),
    ],
)
def test_a_vault_is_in_the_cloud_that_is_logged_in_to_unless_its_uri_says_another(
    vault: str, authority: str, uri: str
) -> None:
    assert uri_of(vault, {"AZURE_AUTHORITY_HOST": authority} if authority else {}) == uri


def test_a_missing_extra_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.keyvault.secrets", None)
    with pytest.raises(InputError, match="not installed") as caught:
        KeyVaults()
    assert caught.value.fix == "run: pip install 'manifestgen[keyvault]'"


class TestWithTheSDK:
    @pytest.fixture
    def vaults(self, sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVaults]:
        pytest.importorskip("azure.keyvault.secrets", reason="azure-keyvault-secrets is not installed")
        hurry(monkeypatch)
        sandbox.admin("PUT", "/vaults/sandbox-vault/secrets/pwd", {"value": "there"})
        made = KeyVaults()
        yield made
        made.close()

    def test_a_name_that_does_not_resolve_is_not_a_vault(
        self, vaults: KeyVaults, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.delenv(name)
        with pytest.raises(CloudError, match="no vault has this name") as caught:
            vaults.secret("gone", "pwd")
        assert caught.value.where == "key vault gone.vault.azure.net"
        assert "registry.keyvault.vault" in caught.value.fix and "az keyvault recover" in caught.value.fix

    def test_a_proxy_that_refuses_is_not_a_missing_vault(self, vaults: KeyVaults) -> None:
        with pytest.raises(CloudError, match="could not be reached") as caught:
            vaults.secret("gone", "pwd")
        assert "HTTPS_PROXY" in caught.value.fix

    def test_a_vault_of_another_tenant_names_the_tenant(
        self, vaults: KeyVaults, sandbox: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = sandbox.environment["AZURE_TENANT_ID"]
        monkeypatch.setenv("AZURE_TENANT_ID", "7e4a4700-0000-4000-8000-00000000dead")
        other = KeyVaults()
        with pytest.raises(DeniedError, match=f"belongs to tenant {theirs}") as caught:
            other.secret("sandbox-vault", "pwd")
        other.close()
        assert f"az login --tenant {theirs}" in caught.value.fix

    def test_a_wrong_client_secret_keeps_its_words(self, vaults: KeyVaults, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-that-is-wrong")
        other = KeyVaults()
        with pytest.raises(DeniedError, match="AADSTS7000215") as caught:
            other.secret("sandbox-vault", "pwd")
        other.close()
        assert caught.value.where == "Azure login"

    def test_no_one_is_logged_in_to_who_asks_for_a_token_of_another_domain(
        self, vaults: KeyVaults, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from azure.keyvault.secrets import _shared

        from manifestgen.sandbox import key_vault as service

        _shared.HttpChallengeCache.clear()
        monkeypatch.setattr(service, "_resource", lambda host: "https://elsewhere.example.com")
        with pytest.raises(DeniedError, match="the server at this address is not a key vault") as caught:
            vaults.secret("sandbox-vault", "pwd")
        assert "elsewhere.example.com" in str(caught.value)

    def test_a_secret_is_asked_for_over_one_connection_with_one_login(self, vaults: KeyVaults, sandbox: Any) -> None:
        from azure.keyvault.secrets import _shared

        _shared.HttpChallengeCache.clear()
        sandbox.admin("DELETE", "/requests")
        for _ in range(3):
            assert vaults.secret("sandbox-vault", "pwd").value == "there"
        asked = [entry for entry in sandbox.admin("GET", "/requests") if entry["host"].startswith("sandbox-vault")]
        assert [entry["status"] for entry in asked] == [401, 200, 200, 200]
        assert "pwd" in asked[0]["path"]
