from __future__ import annotations

import pytest

from manifestgen.errors import InputError
from manifestgen.manifest.image import DOCKER_HUB, ImageReference, is_private, registry_host


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("ubuntu", "ubuntu", "", ""),
        (" ea:t1 ", "ea", "t1", ""),
        ("\u00a0ea:t1\u2003", "ea", "t1", ""),
        ("localhost:9000/comp/ea:tag1", "localhost:9000/comp/ea", "tag1", ""),
        ("acme.azurecr.io/a/b", "acme.azurecr.io/a/b", "", ""),
        ("acme.azurecr.io/a@sha256:abc", "acme.azurecr.io/a", "", "sha256:abc"),
        ("$upstream:443/a:1", "$upstream:443/a", "1", ""),
        ("repo/my img:1.0", "repo/my img", "1.0", ""),
        ("https://acme.azurecr.io/a:1", "https://acme.azurecr.io/a", "1", ""),
    ],
)
def test_image_is_read_as_edge_agent_does(text: str, repository: str, tag: str, digest: str) -> None:
    image = ImageReference.parse(text)

    assert (image.repository, image.tag, image.digest) == (repository, tag, digest)
    assert str(image) == image.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "a:t1:t2",
        "mcr.ms.com/ea:t1:t2",
        "repo/img:",
        "repo/",
        "repo/img:1@sha256:abc",
        "$upstream/a:1",
        "$upstream:0/a:1",
        "${MODULES.a}",
        "$REGISTRY/a:1",
        "\x1cea:a:b",
    ],
)
def test_image_that_edge_agent_refuses_says_what_to_do(text: str) -> None:
    with pytest.raises(InputError) as caught:
        ImageReference.parse(text)

    assert caught.value.fix


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("ubuntu:22.04", None),
        ("user/image", DOCKER_HUB),
        ("localhost/image", DOCKER_HUB),
        ("localhost:5000/image", "localhost:5000"),
        ("acme.azurecr.io/a/b:1", "acme.azurecr.io"),
        ("acme.azurecr.io:443/a:1", "acme.azurecr.io:443"),
        (" docker.io/user/a:1", "docker.io"),
        ("$upstream:443/a", "$upstream:443"),
    ],
)
def test_registry_host_is_the_one_that_credentials_are_compared_with(image: str, host: str | None) -> None:
    assert registry_host(image) == host
    assert ImageReference.parse(image).host == host


@pytest.mark.parametrize("host", ["acme.azurecr.io", "ACME.azurecr.cn", "registry.local:5000", "10.0.0.4:5000"])
def test_private_registries_need_a_credential(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize(
    "host", [None, DOCKER_HUB, "mcr.microsoft.com", "MCR.Microsoft.com", "eu.gcr.io", "localhost:5000", "$upstream:443"]
)
def test_public_registries_need_none(host: str | None) -> None:
    assert not is_private(host)


@pytest.mark.parametrize(("text", "floating"), [("a", True), ("a:latest", True), ("a:1", False), ("a@sha256:1", False)])
def test_image_without_a_fixed_tag_floats(text: str, floating: bool) -> None:
    assert ImageReference.parse(text).floating is floating
