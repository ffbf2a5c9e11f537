from __future__ import annotations

import pytest
from fakes.registry import FakeRegistry, registry_id

from manifestgen.cloud import RegistryInfo
from manifestgen.credentials import admin_credentials
from manifestgen.errors import DeniedError, NotFoundError


class Unlisted(FakeRegistry):
    """A registry that the caller may read by its id only: whoever may use a workspace need not see registries."""

    def by_host(self, login_server: str) -> RegistryInfo:
        raise NotFoundError(f"no registry answers under {login_server!r}", fix="check the image's name")


def never() -> str | None:
    raise AssertionError("the workspace need not be asked")


def test_each_host_gets_its_registrys_admin_user() -> None:
    registry = FakeRegistry.of("acme", "other")
    found = admin_credentials(["acme.azurecr.io", "other.azurecr.io"], registry, never)
    assert {host: credential.username for host, credential in found.items()} == {
        "acme.azurecr.io": "acme",
        "other.azurecr.io": "other",
    }
    assert found["acme.azurecr.io"].password.reveal() == "password-of-acme.azurecr.io"


def test_no_host_asks_nobody() -> None:
    assert admin_credentials([], FakeRegistry(), never) == {}


def test_a_registry_that_cannot_be_listed_is_found_through_the_workspace() -> None:
    registry = Unlisted.of("acme")
    found = admin_credentials(["Acme.azurecr.io"], registry, lambda: registry_id("acme"))
    assert found["Acme.azurecr.io"].username == "acme"


@pytest.mark.parametrize("workspace", [None, registry_id("other")], ids=["without a registry", "with another one"])
def test_the_workspaces_registry_is_used_for_its_own_host_only(workspace: str | None) -> None:
    registry = Unlisted.of("acme", "other")
    with pytest.raises(NotFoundError, match=r"acme\.azurecr\.io"):
        admin_credentials(["acme.azurecr.io"], registry, lambda: workspace)


def test_an_admin_user_that_is_off_stays_off_unless_it_is_asked_for() -> None:
    registry = FakeRegistry.of("acme", admin=False)
    with pytest.raises(DeniedError) as caught:
        admin_credentials(["acme.azurecr.io"], registry, never)
    assert "--enable-admin" in caught.value.fix
    assert registry.enabled == []


def test_enable_admin_switches_it_on_and_says_so() -> None:
    registry = FakeRegistry.of("acme", admin=False)
    said: list[str] = []
    found = admin_credentials(["acme.azurecr.io"], registry, never, enable_admin=True, report=said.append)
    assert found["acme.azurecr.io"].username == "acme"
    assert registry.enabled == [registry_id("acme")]
    assert said == ["admin user of registry acme.azurecr.io switched on"]


def test_enable_admin_leaves_an_admin_user_alone_that_is_on() -> None:
    registry = FakeRegistry.of("acme")
    said: list[str] = []
    admin_credentials(["acme.azurecr.io"], registry, never, enable_admin=True, report=said.append)
    assert registry.enabled == []
    assert said == []
