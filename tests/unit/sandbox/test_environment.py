"""What a client of the sandbox finds in its environment, and what it must not find there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from manifestgen.sandbox.environment import without_azure
from manifestgen.sandboxed import in_sandbox, sandbox_home


def test_what_leads_to_a_real_azure_is_dropped_and_the_rest_kept() -> None:
    caller = {
        "AZURE_CLIENT_SECRET": "x",
        "AZUREML_RUN_ID": "x",
        "ARM_CLIENT_ID": "x",
        "MSI_ENDPOINT": "x",
        "IDENTITY_HEADER": "x",
        "IOTHUB_CONNECTION_STRING": "x",
        "ACR_PASSWORD_ACME": "x",
        "http_proxy": "x",
        "ALL_PROXY": "x",
        "PATH": "kept",
        "LANG": "kept",
    }
    assert set(without_azure(caller)) == {"PATH", "LANG"}


def test_both_spellings_of_the_proxy_variables_agree(sandbox: Any) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        assert sandbox.environment[name] == sandbox.environment[name.lower()]


def test_every_client_trusts_the_same_authority(sandbox: Any) -> None:
    names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    assert len({sandbox.environment[name] for name in names}) == 1


def test_azure_identity_and_azureml_core_get_the_same_login(sandbox: Any) -> None:
    names = {"TENANT_ID": "TENANT_ID", "CLIENT_ID": "ID", "CLIENT_SECRET": "PASSWORD"}
    for of_identity, of_azureml in names.items():
        value = sandbox.environment[f"AZURE_{of_identity}"]
        assert sandbox.environment[f"AZUREML_SERVICE_PRINCIPAL_{of_azureml}"] == value


def test_what_clients_keep_is_kept_in_the_sandbox(sandbox: Any) -> None:
    for name in ("MANIFESTGEN_STATE", "MANIFESTGEN_SANDBOX_HOME", "AZURE_CONFIG_DIR"):
        assert Path(sandbox.environment[name]).is_relative_to(sandbox.sandbox.folder)


def test_a_process_is_in_the_sandbox_while_its_requests_go_there(sandbox: Any) -> None:
    inside = sandbox.environment
    assert in_sandbox(inside)
    assert sandbox_home(inside) == sandbox.sandbox.home
    without_proxy = {name: value for name, value in inside.items() if name.lower() != "https_proxy"}
    for outside in ({}, without_proxy, {**inside, "https_proxy": "http://proxy.example.com:8080"}):
        assert not in_sandbox(outside)
        assert sandbox_home(outside) is None


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("example.com", 443)])
def test_no_test_reaches_another_machine(address: tuple[str, int]) -> None:
    with socket.socket() as connection, pytest.raises(Exception, match="a test tried to connect") as caught:
        connection.connect(address)
    assert type(caught.value).__name__ == "LeavesThisMachine"


def test_no_test_asks_for_the_address_of_another_machine() -> None:
    with pytest.raises(socket.gaierror, match="a test tried to connect"):
        socket.getaddrinfo("example.com", 443)
    assert socket.getaddrinfo("localhost", 443)
