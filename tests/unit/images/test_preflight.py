"""Which credential an image is asked for with, and what is said of what the registries answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from fakes.distribution import FakeDistribution

from manifestgen.cloud.distribution import Platform, Trouble
from manifestgen.errors import FoundError, InputError
from manifestgen.images.preflight import Pull, State, device_platform, digests, locked_images, preflight, require_found
from manifestgen.manifest.manifest import Manifest
from manifestgen.report import preflight as report

ACME = "acme.azurecr.io"
HUB = "https://index.docker.io/v1/"


def manifest(*images: str, layered: bool = False, policy: str | None = None, **addresses: str) -> Manifest:
    """A manifest of these images, with a registry credential for each address: user `KEY-user`, password `KEY-pass`."""
    entries = {
        key: {"address": address, "username": f"{key}-user", "password": f"{key}-pass"}
        for key, address in addresses.items()
    }
    more = {"imagePullPolicy": policy} if policy else {}
    modules = {f"m{number}": {"settings": {"image": image}, **more} for number, image in enumerate(images)}
    if layered:
        pieces = {f"properties.desired.modules.{name}": module for name, module in modules.items()}
        return Manifest.of({"modulesContent": {"$edgeAgent": pieces}})
    desired = {"runtime": {"settings": {"registryCredentials": entries}}, "modules": modules}
    return Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": desired}}})


@pytest.fixture
def registries() -> FakeDistribution:
    fake = FakeDistribution(logins={ACME: {"acme-user": "acme-pass"}})
    fake.push(f"{ACME}/scorer:1.4.2")
    fake.push(f"{ACME}/scorer:1.4.1", digest="b")
    fake.push(f"{ACME}/gateway:2", "linux/amd64", "linux/arm64", "linux/arm/v7", digest="c")
    fake.push("ubuntu:22.04", digest="d")
    fake.push("team/private:1", digest="e")
    return fake


def one(registries: FakeDistribution, asked: Manifest, platform: str | None = None) -> Pull:
    (pull,) = preflight(asked, registries, Platform.parse(platform) if platform else None)
    return pull


# Case by case the runtime's rule: DockerUtil.cs and CombinedDockerConfigProvider.cs of edgeAgent.
@pytest.mark.parametrize(
    ("image", "addresses", "user"),
    [
        (f"{ACME}/scorer:1.4.2", {"acme": ACME}, "acme-user"),
        (f"{ACME}/scorer:1.4.2", {"acme": "Acme.AzureCR.io"}, "acme-user"),
        ("ACME.azurecr.io/scorer:1.4.2", {"acme": ACME}, "acme-user"),
        (f"{ACME}/scorer:1.4.2", {"other": "other.azurecr.io", "acme": ACME}, "acme-user"),
        (f"{ACME}/scorer:1.4.2", {"acme": ACME, "second": ACME}, "acme-user"),
        (f"{ACME}/scorer:1.4.2", {"acme": f"https://{ACME}"}, ""),
        (f"{ACME}/scorer:1.4.2", {"acme": f"{ACME}/"}, ""),
        (f"{ACME}/scorer:1.4.2", {"acme": f"{ACME}:443"}, ""),
        (f"{ACME}/scorer:1.4.2", {"acme": f" {ACME}"}, ""),
        ("team/private:1", {"hub": HUB}, "hub-user"),
        ("team/private:1", {"hub": "docker.io"}, ""),
        ("docker.io/team/private:1", {"hub": "docker.io"}, "hub-user"),
        ("docker.io/team/private:1", {"hub": HUB}, ""),
        ("index.docker.io/team/private:1", {"hub": "index.docker.io"}, "hub-user"),
        ("ubuntu:22.04", {"hub": HUB}, ""),
        ("localhost/team/private:1", {"hub": HUB}, "hub-user"),
        ("localhost:5000/private:1", {"local": "localhost:5000"}, "local-user"),
        ("localhost:5000/private:1", {"local": "localhost"}, ""),
    ],
)
def test_an_image_is_asked_for_as_the_runtime_would(
    image: str, addresses: dict[str, Any], user: str, registries: FakeDistribution
) -> None:
    pull = one(registries, manifest(image, **addresses))
    assert registries.asked == [(image, user)]
    assert pull.username == user
    assert (pull.entry is None) == (user == "")


def test_what_is_found_is_reported(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/gateway:2", acme=ACME), "linux/arm64")
    assert (pull.state, pull.trouble, pull.fix) == (State.FOUND, None, "")
    assert pull.remote is not None
    assert pull.remote.digest == "sha256:" + "c" * 64
    assert pull.remote.platform == Platform("linux", "arm64")


def test_the_same_image_is_asked_for_once(registries: FakeDistribution) -> None:
    image = f"{ACME}/scorer:1.4.2"
    pull = one(registries, manifest(image, image, f" {image}", acme=ACME))
    assert pull.modules == ("m0", "m1", "m2")
    assert len(registries.asked) == 1


def test_thirty_images_are_asked_for_side_by_side(
    registries: FakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody gets an answer before all have asked: one after the other, this would break the barrier.
    together = threading.Barrier(30)
    find = registries.find

    def waiting(*asked: Any) -> Any:
        together.wait(30)
        return find(*asked)

    monkeypatch.setattr(registries, "find", waiting)
    images = [f"r{number % 3}.azurecr.io/module:{number}" for number in range(30)]
    for image in images:
        registries.push(image)
    assert {pull.state for pull in preflight(manifest(*images), registries)} == {State.FOUND}


def test_images_come_in_the_manifests_order(registries: FakeDistribution) -> None:
    images = [f"{ACME}/scorer:1.4.2", "ubuntu:22.04", f"{ACME}/gateway:2", "team/private:1"]
    pulls = preflight(manifest(*images, acme=ACME), registries)
    assert [pull.image for pull in pulls] == images


@pytest.mark.parametrize(
    "address",
    [f"https://{ACME}", f"http://{ACME}/", f"{ACME}/", f"{ACME}:443", f" {ACME} ", f"{ACME}/v2/", f"{ACME}:5000"],
)
def test_an_address_that_never_equals_the_host_is_named(address: str, registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.2", acme=address))
    assert (pull.state, pull.trouble) == (State.FAILED, Trouble.LOGIN_REQUIRED)
    assert f"no registry credential matches '{ACME}': 'acme' has the address {address!r}" in pull.words
    assert pull.fix == f"change the address of 'acme' to '{ACME}'"


@pytest.mark.parametrize("address", ["docker.io", "index.docker.io", "https://registry-1.docker.io", "hub.docker.com"])
def test_docker_hubs_own_address_is_advised(address: str, registries: FakeDistribution) -> None:
    registries.logins = {"registry-1.docker.io": {}}
    pull = one(registries, manifest("team/private:1", hub=address))
    assert pull.fix == f"change the address of 'hub' to {HUB!r}"


def test_another_registry_on_the_same_host_is_not_taken_for_a_mistake(registries: FakeDistribution) -> None:
    registries.logins = {"plant:5000": {"one-user": "one-pass"}, "plant:6000": {}}
    registries.push("plant:5000/a:1")
    first, second = preflight(manifest("plant:5000/a:1", "plant:6000/a:1", one="plant:5000"), registries)
    assert first.state is State.FOUND
    assert second.fix == "add a registry credential whose address is 'plant:6000'"


def test_wrong_settings_of_this_machine_are_no_failed_pull(
    registries: FakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*asked: Any) -> Any:
        raise InputError("the proxy is none that can be used", where="HTTPS_PROXY", fix="write it as http://HOST:PORT")

    monkeypatch.setattr(registries, "find", find)
    with pytest.raises(InputError, match="HTTPS_PROXY"):
        preflight(manifest(f"{ACME}/scorer:1.4.2"), registries)


def test_without_any_entry_one_is_advised(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.2", other="other.azurecr.io"))
    assert f"no registry credential matches '{ACME}'" in pull.words
    assert pull.fix == f"add a registry credential whose address is '{ACME}'"


def test_an_image_of_one_segment_never_gets_a_login(registries: FakeDistribution) -> None:
    registries.logins = {"registry-1.docker.io": {}}
    pull = one(registries, manifest("ubuntu:22.04", hub=HUB))
    assert "without a '/' anonymously" in pull.words


def test_a_layer_may_have_its_credentials_in_the_base(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.2", layered=True))
    assert "this layer has no registry credential" in pull.words
    assert "base deployment" in pull.fix


def test_a_refused_login_names_its_entry(registries: FakeDistribution) -> None:
    registries.logins = {ACME: {"acme-user": "another"}}
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.2", acme=ACME))
    assert pull.trouble is Trouble.LOGIN_REFUSED
    assert "registry credential 'acme'" in pull.words
    assert "may have expired" in pull.fix


def test_an_admins_password_does_not_expire(registries: FakeDistribution) -> None:
    registries.logins = {ACME: {"acme": "another"}}
    desired = {"acme": {"address": ACME, "username": "acme", "password": "wrong-password"}}
    content = manifest(f"{ACME}/scorer:1.4.2", acme=ACME).content
    content["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"]["registryCredentials"] = (
        desired
    )
    pull = one(registries, Manifest.of(content))
    assert pull.fix == "correct its user name and password"


def test_a_repository_out_of_scope_is_not_a_wrong_password(registries: FakeDistribution) -> None:
    registries.scopes = {"acme-user": frozenset({"gateway"})}
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.2", acme=ACME))
    assert pull.trouble is Trouble.NOT_ALLOWED


def test_a_missing_tag_comes_with_the_closest(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.3", acme=ACME))
    assert pull.trouble is Trouble.TAG_NOT_FOUND
    assert "closest tags: '1.4.2', '1.4.1'" in pull.words
    assert "'1.4.2'" in pull.fix


def test_tags_that_may_not_be_listed_are_left_out(
    registries: FakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.cloud.distribution import PullError

    def refuse(image: str, credential: object) -> tuple[str, ...]:
        raise PullError(Trouble.NOT_ALLOWED, "you may not list", fix="ask")

    monkeypatch.setattr(registries, "tags", refuse)
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.3", acme=ACME))
    assert (pull.trouble, pull.words) == (Trouble.TAG_NOT_FOUND, "there is no tag '1.4.3'")


def test_a_missing_digest_has_no_neighbours(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/scorer@sha256:{'0' * 64}", acme=ACME))
    assert pull.trouble is Trouble.DIGEST_NOT_FOUND
    assert "closest" not in pull.words


def test_an_index_without_the_platform_fails_at_the_pull(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/gateway:2", acme=ACME), "linux/s390x")
    assert pull.trouble is Trouble.PLATFORM_MISSING
    assert "the pull would fail" in pull.words


def test_a_single_image_for_another_platform_fails_at_the_start(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/scorer:1.4.2", acme=ACME), "linux/arm64")
    assert pull.trouble is Trouble.PLATFORM_MISSING
    assert "exec format error" in pull.words


def test_a_registry_in_trouble_is_a_failed_pull(registries: FakeDistribution) -> None:
    registries.broken = {ACME: Trouble.UNREACHABLE, "localhost:5000": Trouble.UNREACHABLE}
    far, near = preflight(manifest(f"{ACME}/scorer:1.4.2", "localhost:5000/scorer:1"), registries)
    assert (far.trouble, near.trouble) == (Trouble.UNREACHABLE, Trouble.UNREACHABLE)
    assert "means the device itself" in near.fix
    assert "means the device itself" not in far.fix


@pytest.mark.parametrize(
    "image", [f"{ACME}/Scorer:1", f"{ACME}/a b", f"{ACME}/:1", f"{ACME}/scorer:1.4.2@sha256:{'a' * 64}"]
)
def test_what_is_not_an_image_name_fails(image: str, registries: FakeDistribution) -> None:
    assert one(registries, manifest(image)).trouble is Trouble.NO_IMAGE_NAME


def test_the_parents_images_cannot_be_asked_for(registries: FakeDistribution) -> None:
    pull = one(registries, manifest("$upstream:443/scorer:1", up="$upstream:443"))
    assert pull.state is State.NOT_ASKED
    assert pull.entry == "up"
    assert registries.asked == []


def test_an_image_that_is_never_pulled_is_not_asked_for(registries: FakeDistribution) -> None:
    pull = one(registries, manifest(f"{ACME}/scorer:9", policy="Never"))
    assert (pull.state, registries.asked) == (State.NOT_ASKED, [])


def test_a_manifest_without_images_is_fine(registries: FakeDistribution) -> None:
    assert preflight(manifest(), registries) == ()
    assert report.text(()) == "0 of 0 images would be pulled"


def test_requiring_names_the_first_failure(registries: FakeDistribution) -> None:
    pulls = preflight(manifest(f"{ACME}/scorer:1.4.2", f"{ACME}/scorer:9", f"{ACME}/scorer:8", acme=ACME), registries)
    with pytest.raises(
        FoundError, match=r"acme\.azurecr\.io/scorer:9: there is no tag '9'.*\(and 1 more of 3 images\)"
    ):
        require_found(pulls)
    require_found(pulls[:1])


def test_found_images_go_into_the_lock_file_by_their_tags(registries: FakeDistribution) -> None:
    digest = "sha256:" + "a" * 64
    asked = manifest(f"{ACME}/gateway:2", f"{ACME}/scorer@{digest}", f"{ACME}/scorer:9", acme=ACME)
    pulls = preflight(asked, registries)
    assert set(digests(pulls)) == {f"{ACME}/gateway:2", f"{ACME}/scorer@{digest}"}
    (locked,) = locked_images(pulls).items()
    assert locked[0] == f"{ACME}/gateway:2"
    assert locked[1].platforms == ("linux/amd64", "linux/arm64", "linux/arm/v7")


@pytest.mark.parametrize(
    ("architecture", "platform"),
    [
        ("x86_64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("arm64v8", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("arm", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("i686", "linux/386"),
        ("riscv64", "linux/riscv64"),
    ],
)
def test_a_device_reports_its_platform_in_its_own_words(architecture: str, platform: str) -> None:
    reported = {"runtime": {"platform": {"os": "linux", "architecture": architecture}}}
    assert str(device_platform(reported)) == platform


@pytest.mark.parametrize(
    "reported",
    [{}, {"runtime": None}, {"runtime": {"platform": {}}}, {"runtime": {"platform": {"os": "", "architecture": ""}}}],
)
def test_a_device_that_never_ran_has_no_platform(reported: Mapping[str, Any]) -> None:
    with pytest.raises(InputError, match="has not reported its platform") as caught:
        device_platform(reported)
    assert "--platform" in caught.value.fix


def test_no_report_shows_a_password(registries: FakeDistribution) -> None:
    pulls = preflight(manifest(f"{ACME}/scorer:1.4.2", f"{ACME}/scorer:9", acme=ACME), registries)
    shown = report.text(pulls) + json.dumps(report.data(pulls, None)) + repr(pulls)
    assert "acme-pass" not in shown
    assert "acme-user" in shown


def test_a_hostile_name_does_not_drive_the_terminal(registries: FakeDistribution) -> None:
    assert "\x1b" not in report.text(preflight(manifest("acme.azurecr.io/\x1b[31mred:1"), registries))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (999, "999 B"),
        (1_000, "1 kB"),
        (45_123_456, "45.1 MB"),
        (1_234_567_890, "1.23 GB"),
    ],
)
def test_sizes_are_readable(size: int, words: str) -> None:
    assert report._size(size, None, 1) == f", {words}"
