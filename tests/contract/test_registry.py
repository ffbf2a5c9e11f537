"""What every `Registry` does: the fake in memory, and Microsoft's SDK on the sandbox."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from fakes.registry import FakeRegistry, registry_id

from manifestgen.cloud import Credential, Registry, RegistryInfo, Token
from manifestgen.errors import CloudError, DeniedError, InputError, NotFoundError
from manifestgen.sandbox.arm import provider
from manifestgen.secret import Secret, redact


@dataclass
class Cloud:
    """A registry adapter, what it should find, and the switches of what it talks to."""

    registry: Registry
    id: str
    host: str
    switch_admin: Callable[[bool], None]
    push: Callable[[str], str]


def _fake() -> Cloud:
    fake = FakeRegistry.of("acme")

    def switch_admin(enabled: bool) -> None:
        info = fake.registries[registry_id("acme")]
        fake.registries[info.id] = RegistryInfo(info.id, info.login_server, enabled)

    def push(image: str) -> str:
        fake.images[f"acme.azurecr.io/{image}"] = "sha256:" + "a" * 64
        return fake.images[f"acme.azurecr.io/{image}"]

    return Cloud(fake, registry_id("acme"), "acme.azurecr.io", switch_admin, push)


def _sdk(sandbox: Any) -> Cloud:
    from azure.identity import EnvironmentCredential

    from manifestgen.azure.acr import Registries

    names = sandbox.world.names

    def push(image: str) -> str:
        return str(sandbox.admin("PUT", f"/images/{names.login_server}/{image}")["digest"])

    return Cloud(
        Registries(EnvironmentCredential()),
        names.registry_arm_id,
        names.login_server,
        lambda enabled: sandbox.admin("PUT", f"/registries/{names.registry}", {"admin_enabled": enabled}),
        push,
    )


@pytest.fixture(params=["fake", "sdk"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "sdk":
        # ARM's operations are done at once here; clients that are told nothing else ask again after half a minute.
        request.getfixturevalue("monkeypatch").setattr(provider, "_RETRY_AFTER", "0")
    cloud = _fake() if request.param == "fake" else _sdk(request.getfixturevalue("sandbox"))
    cloud.switch_admin(True)
    yield cloud
    cloud.switch_admin(True)
    if request.param == "sdk":
        cloud.registry.close()  # type: ignore[attr-defined] # the fake has nothing to close


@pytest.fixture
def sdk(sandbox: Any) -> Iterator[Cloud]:
    """The real adapter only: for what comes from the network."""
    cloud = _sdk(sandbox)
    yield cloud
    cloud.registry.close()  # type: ignore[attr-defined] # not part of the Protocol


def test_a_registry_is_found_by_its_full_id(cloud: Cloud) -> None:
    assert cloud.registry.by_id(cloud.id) == RegistryInfo(cloud.id, cloud.host, True)


def test_a_registry_is_found_by_its_host_in_any_case(cloud: Cloud) -> None:
    assert cloud.registry.by_host(cloud.host.upper()).id == cloud.id


def test_a_registry_of_the_projects_subscription_is_nearby(cloud: Cloud) -> None:
    found = cloud.registry.nearby(cloud.host.upper())
    assert found is not None and found.id == cloud.id
    assert cloud.registry.nearby("nosuch.azurecr.io") is None


def test_an_unknown_id_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(NotFoundError):
        cloud.registry.by_id(cloud.id + "x")


def test_an_id_of_something_else_is_wrong_input(cloud: Cloud) -> None:
    with pytest.raises(InputError, match="not the ID of a container registry"):
        cloud.registry.by_id("/subscriptions/1/resourceGroups/2")


def test_an_unknown_host_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(NotFoundError, match=r"nosuch\.azurecr\.io"):
        cloud.registry.by_host("nosuch.azurecr.io")


def test_the_admin_credential_has_the_login_server_as_its_address(cloud: Cloud) -> None:
    credential = cloud.registry.admin_credential(cloud.registry.by_id(cloud.id))
    assert (credential.address, credential.username) == (cloud.host, cloud.id.rpartition("/")[2])
    assert redact(credential.password.reveal()) == "***"


def test_without_the_admin_user_the_error_names_the_switch(cloud: Cloud) -> None:
    info = cloud.registry.by_id(cloud.id)
    cloud.switch_admin(False)
    with pytest.raises(DeniedError, match="is disabled") as caught:
        cloud.registry.admin_credential(info)
    assert "--enable-admin" in caught.value.fix


def test_the_admin_user_can_be_switched_on(cloud: Cloud) -> None:
    cloud.switch_admin(False)
    info = cloud.registry.by_id(cloud.id)
    assert not info.admin_enabled
    assert cloud.registry.enable_admin(info).admin_enabled
    assert cloud.registry.admin_credential(info).password


def test_an_image_has_the_digest_that_its_registry_tells(cloud: Cloud) -> None:
    digest = cloud.push("scorer:1.4.2")
    credential = cloud.registry.admin_credential(cloud.registry.by_id(cloud.id))
    assert cloud.registry.digest(f"{cloud.host}/scorer:1.4.2", credential) == digest


def test_a_missing_image_has_no_digest(cloud: Cloud) -> None:
    credential = cloud.registry.admin_credential(cloud.registry.by_id(cloud.id))
    assert cloud.registry.digest(f"{cloud.host}/scorer:none", credential) is None


def test_a_wrong_password_is_denied_and_not_shown(cloud: Cloud) -> None:
    cloud.push("scorer:1.4.2")
    wrong = Credential(cloud.host, cloud.id.rpartition("/")[2], Secret("canary-password-1"))
    with pytest.raises(DeniedError) as caught:
        cloud.registry.digest(f"{cloud.host}/scorer:1.4.2", wrong)
    assert "canary-password-1" not in repr(caught.value) + str(caught.value)


def test_a_private_image_is_denied_to_the_public(cloud: Cloud) -> None:
    cloud.push("scorer:1.4.2")
    with pytest.raises(DeniedError):
        cloud.registry.digest(f"{cloud.host}/scorer:1.4.2", None)


def test_a_public_image_needs_no_login(sdk: Cloud) -> None:
    digest = sdk.registry.digest("mcr.microsoft.com/azureiotedge-agent:1.6", None)
    assert digest is not None
    assert sdk.registry.digest(f"mcr.microsoft.com/azureiotedge-agent@{digest}", None) == digest


def test_a_login_server_that_does_not_begin_with_the_name_is_found(sdk: Cloud, sandbox: Any) -> None:
    sandbox.admin("PUT", "/registries/elsewhere", {"group": "other", "login_server": "acme-x7f3.azurecr.cn"})
    info = sdk.registry.by_host("acme-x7f3.azurecr.cn")
    assert "/resourceGroups/other/" in info.id
    assert sdk.registry.admin_credential(info).address == "acme-x7f3.azurecr.cn"


def test_a_forbidden_registry_names_the_missing_role(sdk: Cloud, sandbox: Any) -> None:
    info = sdk.registry.by_id(sdk.id)
    words = "The client does not have authorization to perform action 'listCredentials'"
    sandbox.fault("status", path="listCredentials", status=403, code="AuthorizationFailed", message=words)
    with pytest.raises(DeniedError, match="does not have authorization") as caught:
        sdk.registry.admin_credential(info)
    assert "Contributor" in caught.value.fix


def test_an_expired_token_is_denied(sdk: Cloud, sandbox: Any) -> None:
    sdk.registry.by_id(sdk.id)
    sandbox.admin("POST", "/tokens/expire")
    with pytest.raises(DeniedError, match="was rejected"):
        sdk.registry.by_id(sdk.id)


@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_a_broken_connection_is_tried_again(sdk: Cloud, sandbox: Any, kind: str) -> None:
    sandbox.fault(kind, host="management.azure.com", path="/registries/")
    assert sdk.registry.by_id(sdk.id).login_server == sdk.host


def test_throttling_is_waited_for(sdk: Cloud, sandbox: Any) -> None:
    sandbox.fault("status", host="management.azure.com", status=429, retry_after=1, times=1)
    assert sdk.registry.by_id(sdk.id).login_server == sdk.host


def test_an_outage_that_does_not_end_is_an_error_with_the_services_words(sdk: Cloud, sandbox: Any) -> None:
    sandbox.fault("status", path="/registries/", status=409, message="The registry is being moved.", times="forever")
    with pytest.raises(CloudError, match="The registry is being moved"):
        sdk.registry.by_id(sdk.id)


def test_a_registry_that_answers_with_errors_is_an_error(sdk: Cloud, sandbox: Any) -> None:
    credential = sdk.registry.admin_credential(sdk.registry.by_id(sdk.id))
    sandbox.fault("status", path="/manifests/", status=418, times="forever")
    with pytest.raises(CloudError, match="status 418"):
        sdk.registry.digest(f"{sdk.host}/scorer:1", credential)


def test_a_host_without_a_registry_cannot_be_reached(sdk: Cloud) -> None:
    with pytest.raises(CloudError, match="could not be reached"):
        sdk.registry.digest("nosuch.azurecr.io/scorer:1", None)


_EXPIRY = datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
_numbers = itertools.count(1)


@pytest.fixture
def info(cloud: Cloud) -> RegistryInfo:
    return cloud.registry.by_id(cloud.id)


def _made(cloud: Cloud, info: RegistryInfo, repository: str) -> Token:
    """A token of its own with a scope map of its own."""
    name = f"puller-{next(_numbers)}"
    cloud.registry.put_scope_map(info, name, [f"repositories/{repository}/content/read"])
    return cloud.registry.create_token(info, name, name)


def test_what_is_not_there_is_none(cloud: Cloud, info: RegistryInfo) -> None:
    assert cloud.registry.scope_map(info, "nobody-made") is None
    assert cloud.registry.token(info, "nobody-made") is None


def test_a_scope_map_is_created_and_replaced(cloud: Cloud, info: RegistryInfo) -> None:
    for repositories in (["one"], ["one", "team/two"]):
        actions = frozenset(f"repositories/{name}/content/read" for name in repositories)
        cloud.registry.put_scope_map(info, "replaced", actions)
        assert cloud.registry.scope_map(info, "replaced") == actions


def test_a_new_token_has_no_password_and_is_read_as_it_was_created(cloud: Cloud, info: RegistryInfo) -> None:
    token = _made(cloud, info, "scorer")
    assert (token.registry, token.scope_map, token.enabled, token.passwords) == (info, token.name, True, ())
    assert cloud.registry.token(info, token.name) == token


def test_a_password_has_the_expiry_it_was_made_with_and_is_known_to_redact(cloud: Cloud, info: RegistryInfo) -> None:
    token = _made(cloud, info, "scorer")
    made = cloud.registry.generate_password(token, "password1", _EXPIRY)
    assert (made.name, made.expiry) == ("password1", _EXPIRY)
    assert redact(made.value.reveal()) == "***"
    found = cloud.registry.token(info, token.name)
    assert found is not None
    assert [(one.name, one.expiry) for one in found.passwords] == [("password1", _EXPIRY)]


def test_creating_a_token_again_keeps_its_passwords(cloud: Cloud, info: RegistryInfo) -> None:
    token = _made(cloud, info, "scorer")
    cloud.registry.generate_password(token, "password2", None)
    again = cloud.registry.create_token(info, token.name, token.name)
    assert [(one.name, one.expiry) for one in again.passwords] == [("password2", None)]


def test_both_passwords_work_until_one_is_dropped(cloud: Cloud, info: RegistryInfo) -> None:
    digest = cloud.push("scorer:7")
    image = f"{cloud.host}/scorer:7"
    token = _made(cloud, info, "scorer")
    logins = {
        name: Credential(cloud.host, token.name, cloud.registry.generate_password(token, name, _EXPIRY).value)
        for name in ("password1", "password2")
    }
    assert [cloud.registry.digest(image, login) for login in logins.values()] == [digest, digest]
    cloud.registry.drop_password(token, "password1")
    cloud.registry.drop_password(token, "password1")  # once is enough, twice is no error
    with pytest.raises(DeniedError):
        cloud.registry.digest(image, logins["password1"])
    assert cloud.registry.digest(image, logins["password2"]) == digest


def test_a_new_password_replaces_the_previous_one(cloud: Cloud, info: RegistryInfo) -> None:
    cloud.push("scorer:7")
    token = _made(cloud, info, "scorer")
    first, second = (cloud.registry.generate_password(token, "password1", None).value for _ in range(2))
    with pytest.raises(DeniedError):
        cloud.registry.digest(f"{cloud.host}/scorer:7", Credential(cloud.host, token.name, first))
    assert cloud.registry.digest(f"{cloud.host}/scorer:7", Credential(cloud.host, token.name, second))


def test_a_token_reads_no_other_repository(cloud: Cloud, info: RegistryInfo) -> None:
    cloud.push("other:1")
    token = _made(cloud, info, "scorer")
    login = Credential(cloud.host, token.name, cloud.registry.generate_password(token, "password1", None).value)
    with pytest.raises(DeniedError):
        cloud.registry.digest(f"{cloud.host}/other:1", login)


def test_who_may_not_make_tokens_is_told_the_role(sdk: Cloud, sandbox: Any) -> None:
    info = sdk.registry.by_id(sdk.id)
    sandbox.fault("status", path="/tokens/", status=403, code="AuthorizationFailed", message="You may not write")
    with pytest.raises(DeniedError, match="You may not write") as caught:
        sdk.registry.create_token(info, "puller-denied", "_repositories_pull")
    assert "Contributor" in caught.value.fix


def test_a_token_without_its_scope_map_is_refused_in_the_services_words(sdk: Cloud) -> None:
    with pytest.raises(CloudError, match="scope map"):
        sdk.registry.create_token(sdk.registry.by_id(sdk.id), "puller-lost", "nobody-made")
