"""What every `Distribution` does: the fake in memory, and the real client on the sandbox and on a real registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.distribution import FakeDistribution
from fakes.registry_server import PASSWORD, USER, RegistryServer, registry_server, require_programs

from manifestgen.cloud import Credential
from manifestgen.cloud.distribution import Distribution, Platform, PullError, Trouble
from manifestgen.errors import InputError
from manifestgen.secret import Secret

AMD64, ARM64, S390X = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "s390x")


@dataclass
class Cloud:
    """A distribution, and a registry with `scorer:1` for amd64 and `gateway:2` for three platforms."""

    distribution: Distribution
    host: str
    credential: Credential


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    require_programs()
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        running.push("scorer:1")
        running.push("gateway:2", ("linux/amd64", "linux/arm64/v8", "linux/arm/v7"))
        yield running


def _fake() -> Cloud:
    host = "acme.azurecr.io"
    fake = FakeDistribution(logins={host: {USER: PASSWORD}})
    fake.push(f"{host}/scorer:1")
    fake.push(f"{host}/gateway:2", "linux/amd64", "linux/arm64", "linux/arm/v7", digest="b")
    return Cloud(fake, host, Credential(host, USER, Secret(PASSWORD)))


def _sandbox(sandbox: Any) -> Cloud:
    from manifestgen.azure.registry_api import ImageRegistries
    from manifestgen.sandbox.accounts import admin_passwords

    world, names = sandbox.world, sandbox.world.names
    host = names.login_server
    sandbox.admin("PUT", f"/images/{host}/scorer:1", {})
    platforms = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
    sandbox.admin("PUT", f"/images/{host}/gateway:2", {"platforms": platforms})
    password = admin_passwords(world, names.registry)[0]["value"]
    return Cloud(ImageRegistries(), host, Credential(host, names.registry, Secret(password)))


def _real(server: RegistryServer) -> Cloud:
    from manifestgen.azure.registry_api import ImageRegistries

    registries = ImageRegistries(environ={"SSL_CERT_FILE": str(server.ca)})
    return Cloud(registries, server.host, Credential(server.host, USER, Secret(PASSWORD)))


@pytest.fixture(params=["fake", "sandbox", "registry"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    make: dict[str, Callable[[], Cloud]] = {
        "fake": _fake,
        "sandbox": lambda: _sandbox(request.getfixturevalue("sandbox")),
        "registry": lambda: _real(request.getfixturevalue("server")),
    }
    cloud = make[request.param]()
    yield cloud
    if request.param != "fake":
        cloud.distribution.close()


def trouble(ask: Callable[[], object]) -> Trouble:
    with pytest.raises(PullError) as caught:
        ask()
    return caught.value.trouble


def test_an_image_for_one_platform_is_described(cloud: Cloud) -> None:
    found = cloud.distribution.find(f"{cloud.host}/scorer:1", cloud.credential)
    assert found.digest.startswith("sha256:")
    assert (found.platforms, found.index) == ((Platform("linux", "amd64"),), False)
    assert found.size is not None
    assert found.size > 0


def test_an_index_names_its_platforms_in_order(cloud: Cloud) -> None:
    found = cloud.distribution.find(f"{cloud.host}/gateway:2", cloud.credential)
    assert list(map(str, found.platforms)) == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert (found.index, str(found.platform)) == (True, "linux/amd64")
    assert found.size


def test_an_index_tells_the_size_for_the_wanted_platform(cloud: Cloud) -> None:
    assert cloud.distribution.find(f"{cloud.host}/gateway:2", cloud.credential, ARM64).platform == ARM64
    without = cloud.distribution.find(f"{cloud.host}/gateway:2", cloud.credential, S390X)
    assert (without.platform, without.size, len(without.platforms)) == (None, None, 3)


def test_an_image_is_found_by_its_digest_too(cloud: Cloud) -> None:
    found = cloud.distribution.find(f"{cloud.host}/gateway:2", cloud.credential)
    assert cloud.distribution.find(f"{cloud.host}/gateway@{found.digest}", cloud.credential) == found


def test_an_image_consists_of_its_configuration_and_layers(cloud: Cloud) -> None:
    found = cloud.distribution.contents(f"{cloud.host}/gateway:2", cloud.credential, ARM64)
    assert found.digest.startswith("sha256:") and found.config.digest.startswith("sha256:")
    assert found.layers and all(layer.size > 0 for layer in found.layers)
    assert found.size == cloud.distribution.find(f"{cloud.host}/gateway:2", cloud.credential, ARM64).size
    assert found.bytes_to_pull(found) == 0
    single = cloud.distribution.contents(f"{cloud.host}/scorer:1", cloud.credential, AMD64)
    assert single.size == cloud.distribution.find(f"{cloud.host}/scorer:1", cloud.credential).size


def test_the_contents_of_an_image_for_another_platform_are_not_there(cloud: Cloud) -> None:
    image = f"{cloud.host}/gateway:2"
    assert trouble(lambda: cloud.distribution.contents(image, cloud.credential, S390X)) is Trouble.PLATFORM_MISSING


def test_a_missing_tag_is_told_from_a_missing_digest(cloud: Cloud) -> None:
    find = cloud.distribution.find
    assert trouble(lambda: find(f"{cloud.host}/scorer:9", cloud.credential)) is Trouble.TAG_NOT_FOUND
    missing = f"{cloud.host}/scorer@sha256:{'0' * 64}"
    assert trouble(lambda: find(missing, cloud.credential)) is Trouble.DIGEST_NOT_FOUND


def test_tags_are_listed(cloud: Cloud) -> None:
    assert cloud.distribution.tags(f"{cloud.host}/scorer:9", cloud.credential) == ("1",)


def test_a_missing_repository_has_no_tags(cloud: Cloud) -> None:
    tags = cloud.distribution.tags
    assert trouble(lambda: tags(f"{cloud.host}/nosuch:1", cloud.credential)) is Trouble.REPOSITORY_NOT_FOUND


def test_a_wrong_password_is_refused_and_not_shown(cloud: Cloud) -> None:
    wrong = Credential(cloud.host, cloud.credential.username, Secret("canary-wrong-password"))
    with pytest.raises(PullError) as caught:
        cloud.distribution.find(f"{cloud.host}/scorer:1", wrong)
    assert caught.value.trouble is Trouble.LOGIN_REFUSED
    assert "canary" not in repr(caught.value) + str(caught.value) + caught.value.fix


def test_the_public_needs_a_login(cloud: Cloud) -> None:
    assert trouble(lambda: cloud.distribution.find(f"{cloud.host}/scorer:1", None)) is Trouble.LOGIN_REQUIRED


def test_what_is_no_image_is_wrong_input(cloud: Cloud) -> None:
    with pytest.raises(InputError, match="is not an image reference"):
        cloud.distribution.find(f"{cloud.host}/Scorer:1", cloud.credential)


def test_tags_come_page_by_page(sandbox: Any, tmp_path: Path) -> None:
    cloud = _sandbox(sandbox)
    for number in range(5):
        sandbox.admin("PUT", f"/images/{cloud.host}/paged:{number}", {})
    from manifestgen.azure import registry_api

    listed: list[str] = []
    original = registry_api.ImageRegistries._get

    def two_at_a_time(self: Any, url: str, *rest: Any, **named: Any) -> Any:
        listed.append(url)
        return original(self, url.replace("n=1000", "n=2"), *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry_api.ImageRegistries, "_get", two_at_a_time)
        assert cloud.distribution.tags(f"{cloud.host}/paged:9", cloud.credential) == tuple("01234")
    assert len(listed) == 3
    cloud.distribution.close()


def test_a_public_image_needs_no_login(sandbox: Any) -> None:
    cloud = _sandbox(sandbox)
    found = cloud.distribution.find("mcr.microsoft.com/azureiotedge-agent:1.6", None, ARM64)
    assert (found.platform, len(found.platforms)) == (ARM64, 3)
    cloud.distribution.close()
