from __future__ import annotations

import re

import pytest
from fakes.services import FakeServices

from manifestgen.cloud.distribution import ImageContents, Layer, PullError
from manifestgen.context.base import Base, base_of, resolve
from manifestgen.context.dockerfile import dockerfile
from manifestgen.errors import InputError
from manifestgen.project.lock import LockedBase

BASE = Base("docker.io/library/python:3.12-slim", "3.12", "sha256:" + "a" * 64)
AMD64 = ("linux/amd64",)


def test_layers_go_from_the_most_to_the_least_stable() -> None:
    text = dockerfile(BASE, {}, {})
    copied = re.findall(r"(?m)^COPY (\S+)", text)
    assert copied == ["packages/linux-${TARGETARCH}/", "requirements.lock", "app/", "model/"]
    assert f"FROM docker.io/library/python:3.12-slim@sha256:{'a' * 64}\n" in text
    assert not re.search(r"(?m)^(RUN|ADD)", text)


def test_it_runs_as_a_number_and_stops_on_sigterm() -> None:
    lines = dockerfile(BASE, {}, {}).splitlines()
    assert "USER 10001:10001" in lines and "STOPSIGNAL SIGTERM" in lines
    assert 'ENTRYPOINT ["python", "-m", "manifestgen_runner"]' in lines


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a b", '"a b"'),
        ('say "x"', r'"say \"x\""'),
        ("$HOME", r'"\$HOME"'),
        ("a\\b", r'"a\\b"'),
        ("a\nRUN x", '"a RUN x"'),
    ],
)
def test_a_value_cannot_become_an_instruction_or_a_variable(value: str, written: str) -> None:
    assert dockerfile(BASE, {}, {"key": value}).endswith(f"LABEL key={written}\n")


def test_the_base_is_pythons_own_image_of_the_wanted_version() -> None:
    services = FakeServices()
    assert base_of(None, "", services, AMD64) == Base("docker.io/library/python:3.12-slim", "3.12")
    assert base_of(None, "3.11", services, AMD64) == Base("docker.io/library/python:3.11-slim", "3.11")
    assert services.distribution.asked == []


def test_a_base_of_the_users_own_says_which_python_it_has() -> None:
    services = FakeServices()
    assert base_of("python:3.10-bookworm", "", services, AMD64).image == "docker.io/library/python:3.10-bookworm"
    image = "acme.azurecr.io/base:1"
    services.distribution.push(image)
    layer = Layer("sha256:1", 1)
    services.distribution.described[image, "linux/amd64"] = ImageContents(
        "sha256:2", layer, (layer,), {"PYTHON_VERSION": "3.13.1"}
    )
    assert base_of(image, "", services, AMD64) == Base(image, "3.13")
    with pytest.raises(InputError, match=r"has Python 3\.13, but the requirements name 3\.11"):
        base_of(image, "3.11", services, AMD64)


def test_a_base_without_a_known_python_needs_one_in_the_conda_file() -> None:
    services = FakeServices()
    services.distribution.push("acme.azurecr.io/base:1")
    assert base_of("acme.azurecr.io/base:1", "3.11", services, AMD64).python == "3.11"
    with pytest.raises(InputError, match="cannot tell which Python"):
        base_of("acme.azurecr.io/base:1", "", services, AMD64)


def test_alpine_is_rejected() -> None:
    with pytest.raises(InputError, match="Alpine") as caught:
        base_of("python:3.12-alpine", "", FakeServices(), AMD64)
    assert "python:3.12-slim" in caught.value.fix


def test_the_digest_of_the_last_build_is_used_again_without_asking() -> None:
    services = FakeServices()
    locked = LockedBase(image=BASE.image, digest="sha256:locked")
    assert resolve(Base(BASE.image, "3.12"), locked, services, AMD64).digest == "sha256:locked"
    assert services.distribution.asked == []
    services.distribution.push(BASE.image, "linux/amd64", "linux/arm64")
    other = LockedBase(image="docker.io/library/python:3.11-slim", digest="sha256:locked")
    assert resolve(Base(BASE.image, "3.12"), other, services, AMD64).digest == "sha256:" + "a" * 64


def test_a_digest_in_the_project_file_is_used_as_it_is() -> None:
    image = f"docker.io/library/python:3.12-slim@sha256:{'b' * 64}"
    base = resolve(base_of(image, "", FakeServices(), AMD64), None, FakeServices(), AMD64)
    assert base.pinned == image
    assert base.digest == f"sha256:{'b' * 64}"


def test_a_base_that_is_missing_or_for_another_platform_is_named() -> None:
    services = FakeServices()
    with pytest.raises(PullError) as missing:
        resolve(Base(BASE.image, "3.12"), None, services, AMD64)
    assert missing.value.where == f"base image {BASE.image}"
    services.distribution.push(BASE.image)
    with pytest.raises(InputError, match="is for linux/amd64, not linux/arm64"):
        resolve(Base(BASE.image, "3.12"), None, services, ("linux/amd64", "linux/arm64"))
