"""Finding registries when not all of ARM answers."""

from __future__ import annotations

import os
from typing import Any

import pytest
from fakes.hurry import hurry

from manifestgen.azure.acr import Registries
from manifestgen.errors import CloudError, DeniedError, NotFoundError


@pytest.fixture
def registries(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    hurry(monkeypatch)
    registries = Registries()
    yield registries
    registries.close()


def test_the_environments_credential_is_used_by_default(registries: Registries, sandbox: Any) -> None:
    names = sandbox.world.names
    assert registries.by_host(names.login_server).id == names.registry_arm_id


def test_a_subscription_that_may_not_be_read_is_the_reason_given(registries: Registries, sandbox: Any) -> None:
    sandbox.fault("status", path="/registries$", status=403, code="AuthorizationFailed", message="no permission")
    with pytest.raises(DeniedError, match="no permission") as caught:
        registries.by_host("acme.azurecr.io")
    assert "Reader" in caught.value.fix


def test_an_outage_while_looking_is_not_a_missing_registry(registries: Registries, sandbox: Any) -> None:
    sandbox.fault("status", path="/subscriptions$", status=418, times="forever", message="maintenance")
    with pytest.raises(CloudError, match="maintenance") as caught:
        registries.by_host("acme.azurecr.io")
    assert not isinstance(caught.value, NotFoundError)


def test_a_missing_registry_says_where_was_looked(registries: Registries) -> None:
    with pytest.raises(NotFoundError, match=r"was found in the 1 subscription that the identity can read$"):
        registries.by_host("acme.azurecr.io")


def test_a_missing_registry_in_the_sandbox_names_the_one_that_is_there(
    registries: Registries, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANIFESTGEN_SANDBOX_PROXY", os.environ.get("https_proxy") or os.environ["HTTPS_PROXY"])
    with pytest.raises(NotFoundError) as caught:
        registries.by_host("acme.azurecr.io")
    assert sandbox.world.names.login_server in caught.value.fix


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> None:
    """Two subscriptions besides the sandbox's own, which answers last."""
    from manifestgen.sandbox.arm.request import page

    def more(entries: list[dict[str, Any]]) -> Any:
        return page([{"subscriptionId": "first"}, {"subscriptionId": "second"}, *entries])

    monkeypatch.setattr("manifestgen.sandbox.arm.service.page", more)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")


def test_a_subscription_that_cannot_be_searched_does_not_hide_the_registry(
    registries: Registries, sandbox: Any, three: None
) -> None:
    sandbox.fault("status", path="/subscriptions/first/.*/registries$", status=418, times="forever")
    assert registries.nearby(sandbox.world.names.login_server) is None
    assert registries.by_host(sandbox.world.names.login_server).id == sandbox.world.names.registry_arm_id
    assert registries.nearby(sandbox.world.names.login_server) is not None  # known by now


def test_an_outage_of_one_subscription_is_not_a_missing_registry(
    registries: Registries, sandbox: Any, three: None
) -> None:
    sandbox.fault("status", path="/subscriptions/first/.*/registries$", status=418, times="forever", message="closed")
    with pytest.raises(CloudError, match="closed") as caught:
        registries.by_host("acme.azurecr.io")
    assert not isinstance(caught.value, NotFoundError)


def test_the_projects_subscription_comes_before_that_of_the_environment(
    sandbox: Any, three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "second")
    registries = Registries(subscription=sandbox.world.names.subscription_id)
    assert registries.nearby(sandbox.world.names.login_server) is not None
    registries.close()
    assert [entry["path"] for entry in sandbox.admin("GET", "/requests") if "/second/" in entry["path"]] == []


def test_throttling_without_end_says_to_wait(registries: Registries, sandbox: Any) -> None:
    info = registries.by_id(sandbox.world.names.registry_arm_id)
    sandbox.fault("status", path="listCredentials", status=429, times="forever")
    with pytest.raises(CloudError, match="too many requests") as caught:
        registries.admin_credential(info)
    assert "wait a minute" in caught.value.fix


def test_an_unreachable_arm_names_the_proxy(registries: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    registries._credential.get_token("https://management.azure.com/.default")  # before the way there is cut
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(CloudError, match="could not be reached") as caught:
        registries.by_host("acme.azurecr.io")
    assert "HTTPS_PROXY" in caught.value.fix
