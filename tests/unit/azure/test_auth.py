"""The one credential, and what its failures say."""

from __future__ import annotations

import os
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from fakes.hurry import hurry

from manifestgen.azure.auth import Login, credential, token
from manifestgen.errors import CloudError, DeniedError

_SCOPE = "https://management.azure.com/.default"


@pytest.fixture(autouse=True)
def no_other_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No managed identity is asked for, and no `az` of this machine."""
    for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")


@pytest.fixture
def environment(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sandbox's service principal."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    return sandbox


def test_a_service_principal_gets_a_token(environment: Any) -> None:
    assert token(_SCOPE).count(".") == 2


def test_everybody_gets_the_same_credential_so_that_one_login_does(environment: Any) -> None:
    environment.admin("DELETE", "/requests")
    for _ in range(3):
        credential().get_token(_SCOPE)
        credential().get_token_info(_SCOPE)
    logins = [request for request in environment.admin("GET", "/requests") if request["method"] == "POST"]
    assert len(logins) <= 1


def test_a_changed_environment_makes_a_new_credential(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = credential()
    monkeypatch.setenv("AZURE_CLIENT_ID", "00000000-0000-0000-0000-00000000dead")
    assert credential() is not before


def test_a_wrong_secret_is_denied_in_the_services_words(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-client-secret")
    with pytest.raises(DeniedError, match="AADSTS7000215: Invalid client secret provided") as caught:
        token(_SCOPE)
    assert "az login" in caught.value.fix
    assert "Trace ID" not in caught.value.what
    assert "canary-client-secret" not in str(caught.value)


def test_an_unknown_application_is_denied_in_the_services_words(
    environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "00000000-0000-0000-0000-00000000dead")
    with pytest.raises(DeniedError, match="AADSTS700016: Application with identifier"):
        token(_SCOPE)


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 503}], ids=["reset", "503"])
@pytest.mark.parametrize("worked_before", [False, True], ids=["at first", "later"])
def test_an_unreachable_entra_id_is_not_a_denial(
    environment: Any, fault: dict[str, Any], worked_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    if worked_before:
        token(_SCOPE)
    environment.fault(**fault, host="login.microsoftonline.com", times="forever")
    with pytest.raises(CloudError, match="could not get a token") as caught:
        token("https://iothubs.azure.net/.default")
    assert not isinstance(caught.value, DeniedError)
    assert "HTTPS_PROXY" in caught.value.fix


class _Answering:
    """A credential that hands on whatever was in an answer, as azure-identity does."""

    def __init__(self, token: Any) -> None:
        self._token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._token, 2_000_000_000)


@pytest.mark.parametrize("token", [["canary-of-a-token"], {"canary-of-a-token": 1}, 7, None, ""])
def test_a_token_that_is_not_a_string_is_not_a_token(token: Any) -> None:
    with pytest.raises(CloudError, match="Entra ID was not understood: the token is not a string") as caught:
        Login(lambda transport: _Answering(token)).get_token(_SCOPE)
    assert "canary" not in str(caught.value)


def test_without_any_credential_the_error_says_how_to_get_one() -> None:
    with pytest.raises(DeniedError, match="no Azure credential was found") as caught:
        token(_SCOPE)
    assert "az login" in caught.value.fix
    assert "AZURE_CLIENT_SECRET" in caught.value.fix
