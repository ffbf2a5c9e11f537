from __future__ import annotations

import pytest

from manifestgen.manifest.credentials import RegistryCredential, key_for, match
from manifestgen.manifest.image import DOCKER_HUB
from manifestgen.secret import Secret


def credential(key: str, address: str) -> RegistryCredential:
    return RegistryCredential(key, address, "user", Secret("canary-password"))


@pytest.mark.parametrize(
    ("address", "image", "matches"),
    [
        ("acme.azurecr.io", "acme.azurecr.io/a:1", True),
        ("ACME.azurecr.io", "acme.azurecr.io/a:1", True),
        ("https://acme.azurecr.io", "acme.azurecr.io/a:1", False),
        ("acme.azurecr.io/", "acme.azurecr.io/a:1", False),
        ("acme.azurecr.io:443", "acme.azurecr.io/a:1", False),
        ("docker.io", "user/a:1", False),
        ("docker.io", "docker.io/user/a:1", True),
        (DOCKER_HUB, "user/a:1", True),
        (DOCKER_HUB, "a:1", False),
    ],
)
def test_whole_address_must_equal_the_registry_host(address: str, image: str, matches: bool) -> None:
    assert match({"x": credential("x", address)}, image) == ("x" if matches else None)


@pytest.mark.parametrize(
    ("host", "taken", "key"),
    [
        ("acme.azurecr.io", (), "acme"),
        ("acme.azurecr.io", ("acme",), "acme_1"),
        ("acme.azurecr.io", ("acme", "acme_1"), "acme_2"),
        ("localhost:5000", (), "localhost"),
        (DOCKER_HUB, (), "docker"),
        ("$upstream:443", (), "upstream"),
        ("bücher.example", (), "b_cher"),
        ("", (), "registry"),
    ],
)
def test_key_is_one_that_iot_hub_takes(host: str, taken: tuple[str, ...], key: str) -> None:
    assert key_for(host, taken) == key


def test_password_is_in_no_repr() -> None:
    assert "canary-password" not in repr(credential("x", "acme.azurecr.io"))
