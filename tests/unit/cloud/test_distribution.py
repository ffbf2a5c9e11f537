"""Where Docker looks for an image, and which platforms run what."""

from __future__ import annotations

import pytest

from manifestgen.cloud.distribution import DOCKER_HUB_HOST, Location, Platform, locate
from manifestgen.errors import InputError

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "location"),
    [
        ("acme.azurecr.io/scorer:1.4.2", Location("acme.azurecr.io", "scorer", "1.4.2")),
        ("ACME.azurecr.io/team/scorer", Location("acme.azurecr.io", "team/scorer", "latest")),
        (f"acme.azurecr.io/scorer@{DIGEST}", Location("acme.azurecr.io", "scorer", DIGEST)),
        (f"acme.azurecr.io/scorer:1@{DIGEST}", Location("acme.azurecr.io", "scorer", DIGEST)),
        ("localhost/scorer:1", Location("localhost", "scorer", "1")),
        ("localhost:5000/scorer:1", Location("localhost:5000", "scorer", "1")),
        ("[::1]:5000/scorer:1", Location("[::1]:5000", "scorer", "1")),
        ("ubuntu", Location(DOCKER_HUB_HOST, "library/ubuntu", "latest")),
        ("docker.io/ubuntu:22.04", Location(DOCKER_HUB_HOST, "library/ubuntu", "22.04")),
        ("team/scorer:1", Location(DOCKER_HUB_HOST, "team/scorer", "1")),
        ("index.docker.io/team/scorer", Location(DOCKER_HUB_HOST, "team/scorer", "latest")),
        (" quay.io/a/b__c-d.e:v_1 ", Location("quay.io", "a/b__c-d.e", "v_1")),
    ],
)
def test_an_image_is_where_docker_looks_for_it(image: str, location: Location) -> None:
    assert locate(image) == location
    assert location.by_digest == ("@" in image)


@pytest.mark.parametrize(
    "image",
    [
        "",
        "a:b:c/d",
        "acme.azurecr.io/",
        "acme.azurecr.io/Scorer:1",
        "a b",
        "a/../b",
        "a//b",
        "-a",
        "a@sha256:12",
        "a:" + "t" * 129,
        "evil.example/x?y",
        "user@evil.example/x:1",
        "https://acme.azurecr.io/scorer:1",
        "acme.azurecr.io:999999/scorer",
    ],
)
def test_what_is_not_an_image_is_wrong_input(image: str) -> None:
    with pytest.raises(InputError, match="is not an image reference"):
        locate(image)


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"])
def test_a_platform_is_written_as_it_is_read(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
    ],
)
def test_one_platform_has_several_names(text: str, same: str) -> None:
    assert str(Platform.parse(text)) == same


@pytest.mark.parametrize("text", ["", "linux", "arm64", "a/b/c/d", "linux/", "linux/arm 64"])
def test_what_is_not_a_platform_is_wrong_input(text: str) -> None:
    with pytest.raises(InputError, match="is not a platform"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("device", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/386"], "linux/386"),
        ("linux/386", ["linux/amd64"], None),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64"], "linux/arm64"),
        ("linux/arm64", ["linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v5"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm/v7", ["linux/arm64"], None),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/riscv64", ["linux/riscv64"], "linux/riscv64"),
        ("linux/amd64", [], None),
    ],
)
def test_a_device_takes_the_best_that_it_can_run(device: str, offered: list[str], chosen: str | None) -> None:
    found = Platform.parse(device).choose([Platform.parse(text) for text in offered])
    assert (str(found) if found else None) == chosen
