"""Logins without a secret, against the sandbox's issuers of tokens and its token exchange."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakes.hurry import hurry

from manifestgen.azure import auth
from manifestgen.azure.auth import token
from manifestgen.azure.pipeline_login import VARIABLES, advice, of_pipeline
from manifestgen.errors import CloudError, DeniedError, InputError
from manifestgen.sandbox.federation import AZURE_PIPELINES_ISSUER, GITHUB_ISSUER, sign

_ARM = "https://management.azure.com/.default"
_HUB = "https://iothubs.azure.net/.default"
_GITHUB_JOB = "repo:contoso/edge:environment:production"
_AZURE_JOB = "sc://contoso/edge/production"


@pytest.fixture
def job(sandbox: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Any]:
    """Puts this process into a job of a pipeline, with no login but the job's own."""
    auth._credential.cache_clear()  # two jobs of one second have the same variables
    for name in [name for name in os.environ if name.startswith(("AZURE", "IDENTITY_", "MSI_")) or name in VARIABLES]:
        monkeypatch.delenv(name)
    for name, value in sandbox.environment.items():
        if not name.startswith("AZURE"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path))

    def enter(kind: str, subject: str) -> dict[str, str]:
        variables: dict[str, str] = sandbox.admin("GET", f"/pipelines/{kind}?subject={subject}")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return variables

    yield enter
    for name in sandbox.admin("GET", "/federation"):
        sandbox.admin("DELETE", f"/federation/{name}")


def _trust(sandbox: Any, issuer: str, subject: str, **more: str) -> None:
    sandbox.admin("PUT", "/federation/test", {"issuer": issuer, "subject": subject, **more})


def _times_asked(sandbox: Any, host: str) -> int:
    return sum(request["host"] == host for request in sandbox.admin("GET", "/requests"))


def test_a_job_of_github_logs_in_without_a_secret(sandbox: Any, job: Any) -> None:
    job("github", _GITHUB_JOB)
    _trust(sandbox, GITHUB_ISSUER, _GITHUB_JOB)
    assert token(_ARM).count(".") == 2


def test_github_is_asked_anew_for_each_token_of_azure(sandbox: Any, job: Any) -> None:
    host = urlsplit(job("github", _GITHUB_JOB)["ACTIONS_ID_TOKEN_REQUEST_URL"]).hostname
    _trust(sandbox, GITHUB_ISSUER, _GITHUB_JOB)
    before = _times_asked(sandbox, str(host))
    for scope in (_ARM, _HUB, _ARM):
        token(scope)
    assert _times_asked(sandbox, str(host)) == before + 2


def test_a_job_of_azure_pipelines_logs_in_without_a_secret(sandbox: Any, job: Any) -> None:
    job("azure-pipelines", _AZURE_JOB)
    _trust(sandbox, AZURE_PIPELINES_ISSUER, _AZURE_JOB)
    assert token(_ARM).count(".") == 2


@pytest.mark.parametrize(
    ("trusted", "number"),
    [
        ({"issuer": "https://gitlab.com", "subject": _GITHUB_JOB}, 700211),
        ({"issuer": GITHUB_ISSUER, "subject": "repo:contoso/edge:environment:test"}, 700213),
        ({"issuer": GITHUB_ISSUER, "subject": _GITHUB_JOB, "audience": "api://other"}, 700212),
    ],
    ids=["issuer", "subject", "audience"],
)
def test_a_job_that_no_credential_names_is_denied_and_told_what_to_add(
    sandbox: Any, job: Any, trusted: dict[str, str], number: int
) -> None:
    job("github", _GITHUB_JOB)
    _trust(sandbox, **trusted)
    with pytest.raises(DeniedError, match=f"AADSTS{number}: No matching federated identity record") as caught:
        token(_ARM)
    assert "federated credential for this issuer, subject and audience" in caught.value.fix


def test_the_audience_is_that_of_the_cloud(sandbox: Any, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = job("github", _GITHUB_JOB)
    _trust(sandbox, GITHUB_ISSUER, _GITHUB_JOB)
    create = of_pipeline({**variables, "AZURE_AUTHORITY_HOST": "https://login.chinacloudapi.cn/"})
    assert create is not None
    asked: list[str] = []

    class Transport:
        def send(self, request: Any) -> Any:
            asked.append(request.url)
            raise DeniedError("no", fix="none")

    with pytest.raises(DeniedError):
        create(Transport()).get_token(_ARM)
    assert asked[0].endswith("?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchangeChina")


def test_a_job_whose_right_to_tokens_has_ended_is_reported(
    sandbox: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job("github", _GITHUB_JOB)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary-of-a-request-token")
    with pytest.raises(DeniedError, match="GitHub Actions issued no token for this job: status 401") as caught:
        token(_ARM)
    assert "id-token: write" in caught.value.fix
    assert "canary" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 503}], ids=["reset", "503"])
def test_an_issuer_that_is_away_is_not_a_denial(
    sandbox: Any, job: Any, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    variables = job("github", _GITHUB_JOB)
    host = urlsplit(variables["ACTIONS_ID_TOKEN_REQUEST_URL"]).hostname
    sandbox.fault(**fault, host=host, times="forever")
    with pytest.raises(CloudError) as caught:
        token(_ARM)
    assert not isinstance(caught.value, DeniedError)
    assert caught.value.fix


def test_one_failure_of_the_issuer_is_tried_again(sandbox: Any, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    job("azure-pipelines", _AZURE_JOB)
    _trust(sandbox, AZURE_PIPELINES_ISSUER, _AZURE_JOB)
    sandbox.fault(kind="status", status=503, host="dev.azure.com", times=1)
    assert token(_ARM)


def test_a_connection_that_the_pipeline_may_not_use_is_named(
    sandbox: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job("azure-pipelines", _AZURE_JOB)
    monkeypatch.setenv("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "5ab5c710-0000-4000-8000-00000000dead")
    with pytest.raises(DeniedError, match="Azure Pipelines issued no token for the service connection") as caught:
        token(_ARM)
    assert "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID" in caught.value.fix


def test_a_token_service_without_tls_is_refused() -> None:
    job = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/token",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary",
        "AZURE_TENANT_ID": "t",
        "AZURE_CLIENT_ID": "c",
    }
    with pytest.raises(InputError, match="not the address of a pipeline's token service") as caught:
        of_pipeline(job)
    assert caught.value.where == "ACTIONS_ID_TOKEN_REQUEST_URL"


@pytest.mark.parametrize(
    "other",
    [
        {"AZURE_CLIENT_SECRET": "canary"},
        {"AZURE_CLIENT_CERTIFICATE_PATH": "/x.pem"},
        {"AZURE_FEDERATED_TOKEN_FILE": "/x"},
        {"AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"},
        {"AZURE_TOKEN_CREDENTIALS": "dev"},
    ],
    ids=lambda other: next(iter(other.items()))[0],
)
def test_what_was_set_on_purpose_wins_over_the_job(sandbox: Any, job: Any, other: dict[str, str]) -> None:
    variables = job("github", _GITHUB_JOB)
    assert of_pipeline(variables) is not None
    assert of_pipeline({**variables, "AZURE_TOKEN_CREDENTIALS": "prod"}) is not None
    assert of_pipeline({**variables, **other}) is None


def test_a_credential_that_does_not_exist_is_refused_with_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCLI")
    with pytest.raises(InputError, match="'AzureCLI' is not a credential") as caught:
        token(_ARM)
    assert "AzureCliCredential" in caught.value.fix


def test_the_chosen_credential_is_the_only_one_asked(sandbox: Any, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.setenv(name, sandbox.environment[name])
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    with pytest.raises(DeniedError, match="no Azure credential was found"):
        token(_ARM)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "environmentcredential")
    assert token(_ARM)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "az login"),
        ({"GITHUB_ACTIONS": "true"}, "a pull request from a fork gets no token"),
        ({"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": "https://x"}, "federated credential"),
        ({"TF_BUILD": "True"}, "service connection"),
    ],
    ids=["a machine", "a fork", "GitHub", "Azure Pipelines"],
)
def test_the_advice_fits_where_the_process_runs(environ: dict[str, str], words: str) -> None:
    assert words in advice(environ)


@pytest.mark.parametrize(
    ("lifetime", "issuer_key", "number"), [(-1, GITHUB_ISSUER, 700024), (300, "another", 700027)], ids=["old", "forged"]
)
def test_the_exchange_takes_neither_old_nor_forged_tokens(
    sandbox: Any, job: Any, lifetime: int, issuer_key: str, number: int
) -> None:
    import requests

    _trust(sandbox, GITHUB_ISSUER, _GITHUB_JOB)
    names = sandbox.world.names
    made = sign(sandbox.world, issuer_key, _GITHUB_JOB, "api://AzureADTokenExchange", lifetime=lifetime)
    if issuer_key != GITHUB_ISSUER:
        head, _, signature = made.split(".")
        made = f"{head}.{sign(sandbox.world, GITHUB_ISSUER, _GITHUB_JOB, 'x').split('.')[1]}.{signature}"
    answer = requests.post(
        f"https://login.microsoftonline.com/{names.tenant_id}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": names.client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": made,
            "scope": _ARM,
        },
        timeout=10,
    )
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [number])
