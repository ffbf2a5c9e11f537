"""Tokens: who gets one, and who accepts it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import requests

from manifestgen.sandbox import entra
from manifestgen.sandbox.entra import ARM, ARM_AUDIENCES, HUB, TokenError, decode_token, issue_token

_LOGIN = "https://login.microsoftonline.com"


def _ask(sandbox: Any, version: str = "/v2.0", **changes: str) -> requests.Response:
    environment = sandbox.environment
    form = {
        "grant_type": "client_credentials",
        "client_id": environment["AZURE_CLIENT_ID"],
        "client_secret": environment["AZURE_CLIENT_SECRET"],
        "scope" if version else "resource": f"{ARM}/.default" if version else f"{ARM}/",
        **changes,
    }
    tenant = form.pop("tenant", environment["AZURE_TENANT_ID"])
    return requests.post(f"{_LOGIN}/{tenant}/oauth2{version}/token", data=form, timeout=10)


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def test_the_right_secret_gets_a_token_for_what_it_asked(sandbox: Any) -> None:
    answer = _ask(sandbox).json()
    claims = _claims(answer["access_token"])
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == claims["exp"] - claims["iat"]
    assert (claims["aud"], claims["tid"]) == (ARM, sandbox.environment["AZURE_TENANT_ID"])
    assert claims["oid"]


def test_the_first_version_takes_a_resource_and_answers_in_strings(sandbox: Any) -> None:
    answer = _ask(sandbox, version="").json()
    assert answer["resource"] == f"{ARM}/"
    assert int(answer["expires_on"]) - int(answer["not_before"]) == int(answer["expires_in"])


def test_the_secret_may_come_in_the_header(sandbox: Any) -> None:
    environment = sandbox.environment
    response = requests.post(
        f"{_LOGIN}/{environment['AZURE_TENANT_ID']}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": f"{HUB}/.default"},
        auth=(environment["AZURE_CLIENT_ID"], environment["AZURE_CLIENT_SECRET"]),
        timeout=10,
    )
    assert _claims(response.json()["access_token"])["aud"] == HUB


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "00000000-0000-0000-0000-00000000dead"}, 400, "unauthorized_client", 700016),
        ({"tenant": "00000000-0000-0000-0000-00000000dead"}, 400, "invalid_request", 90002),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": f"{ARM}/user_impersonation"}, 400, "invalid_scope", 1002012),
        ({"scope": "https://example.com/.default"}, 400, "invalid_resource", 500011),
    ],
)
def test_a_wrong_request_is_refused_as_entra_refuses_it(
    sandbox: Any, changes: dict[str, str], status: int, error: str, number: int
) -> None:
    response = _ask(sandbox, **changes)
    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")


@pytest.mark.parametrize("version", ["", "/v2.0"])
def test_the_metadata_names_the_token_service(sandbox: Any, version: str) -> None:
    for tenant in (sandbox.environment["AZURE_TENANT_ID"], "common"):
        url = f"{_LOGIN}/{tenant}{version}/.well-known/openid-configuration"
        metadata = requests.get(url, timeout=10).json()
        assert metadata["token_endpoint"] == f"{_LOGIN}/{tenant}/oauth2{version}/token"
    assert requests.get(f"{_LOGIN}/nosuch{version}/.well-known/openid-configuration", timeout=10).status_code == 400


def test_a_token_is_accepted_for_its_audience_with_and_without_a_slash(sandbox: Any) -> None:
    for audience in (ARM, f"{ARM}/", "https://management.core.windows.net/"):
        token, _ = issue_token(sandbox.world, audience)
        assert decode_token(sandbox.world, token, ARM_AUDIENCES)["aud"] == audience


def test_a_token_for_someone_else_is_refused(sandbox: Any) -> None:
    token, _ = issue_token(sandbox.world, HUB)
    with pytest.raises(TokenError, match="wrong audience or resource") as caught:
        decode_token(sandbox.world, token, ARM_AUDIENCES)
    assert caught.value.code == "InvalidAuthenticationTokenAudience"


def test_a_token_that_was_changed_is_refused(sandbox: Any) -> None:
    head, _, signature = issue_token(sandbox.world, ARM)[0].split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"aud": ARM, "exp": 9e9, "issued": 9e9}).encode()).decode().rstrip("=")
    with pytest.raises(TokenError, match="signature"):
        decode_token(sandbox.world, f"{head}.{claims}.{signature}", ARM_AUDIENCES)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "é.é.é", "e30.W10.AAAA"])
def test_what_is_not_a_token_is_refused(sandbox: Any, token: str) -> None:
    with pytest.raises(TokenError):
        decode_token(sandbox.world, token, ARM_AUDIENCES)


def test_an_expired_token_is_refused(sandbox: Any) -> None:
    entra.set_token_lifetime(sandbox.world, -1)
    token, _ = issue_token(sandbox.world, ARM)
    entra.set_token_lifetime(sandbox.world, 3599)
    with pytest.raises(TokenError) as caught:
        decode_token(sandbox.world, token, ARM_AUDIENCES)
    assert caught.value.code == "ExpiredAuthenticationToken"


def test_expiring_tokens_spares_those_issued_later(sandbox: Any) -> None:
    old, _ = issue_token(sandbox.world, ARM)
    sandbox.admin("POST", "/tokens/expire")
    new, _ = issue_token(sandbox.world, ARM)
    decode_token(sandbox.world, new, ARM_AUDIENCES)
    with pytest.raises(TokenError):
        decode_token(sandbox.world, old, ARM_AUDIENCES)
