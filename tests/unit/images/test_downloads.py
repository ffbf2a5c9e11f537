"""What a device downloads of the images that it is to run, from what registries say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from fakes.distribution import FakeDistribution

from manifestgen.cloud import Twin
from manifestgen.cloud.distribution import ImageContents, Layer, Platform
from manifestgen.images.downloads import Download, downloads
from manifestgen.images.models import models_of
from manifestgen.manifest.manifest import Manifest
from manifestgen.project.lock import Lock, LockedModel
from manifestgen.report import downloads as report

ARM = Platform.parse("linux/arm64")
HOST = "acme.azurecr.io"
ENTRY = {"address": HOST, "username": "robot", "password": "canary"}


def manifest(*, login: bool = True, **images: str) -> Manifest:
    modules = {name: {"settings": {"image": image}} for name, image in images.items()}
    runtime = {"settings": {"registryCredentials": {"acme": ENTRY} if login else {}}}
    desired = {"runtime": runtime, "modules": modules}
    return Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": desired}}})


def contents(config: int, *layers: str, labels: Mapping[str, str] | None = None) -> ImageContents:
    """An image whose layers have one letter and 1000 bytes each."""
    parts = tuple(Layer(f"sha256:{letter * 64}", 1000) for letter in layers)
    return ImageContents("sha256:" + "d" * 64, Layer(f"sha256:{config:064}", 10), parts, labels=labels or {})


@pytest.fixture
def registries() -> FakeDistribution:
    found = FakeDistribution(logins={HOST: {ENTRY["username"]: ENTRY["password"]}})
    for tag, config, layers in (("1", 1, "abc"), ("2", 2, "abd"), ("3", 3, "xyz")):
        found.push(f"{HOST}/scorer:{tag}", "linux/arm64")
        found.described[f"{HOST}/scorer:{tag}", "linux/arm64"] = contents(config, *layers)
    return found


def test_only_the_layers_that_the_former_image_lacks_are_downloaded(registries: FakeDistribution) -> None:
    before, after = manifest(m=f"{HOST}/scorer:1"), manifest(m=f"{HOST}/scorer:2")
    (found,) = downloads(before, after, registries, ARM)
    previous = (f"{HOST}/scorer:1",)
    assert found == Download(f"{HOST}/scorer:2", ("m",), ARM, previous, 3010, 1010, 3, 2)
    assert [*report.lines([found])] == [
        f"download {HOST}/scorer:2: 1.01 kB of 3.01 kB compressed for linux/arm64 (the device has 2 of 3 layers)"
    ]
    (document,) = report.data([found])
    assert (document["size"], document["pulled"], document["layers_reused"]) == (3010, 1010, 2)


def test_an_image_that_the_device_has_is_not_downloaded(registries: FakeDistribution) -> None:
    before, after = manifest(m=f"{HOST}/scorer:1"), manifest(m=f"{HOST}/scorer:1", other=f"{HOST}/scorer:1")
    assert downloads(before, after, registries, ARM) == ()


def test_a_new_module_downloads_all_of_its_image(registries: FakeDistribution) -> None:
    (found,) = downloads(manifest(), manifest(one=f"{HOST}/scorer:1", two=f"{HOST}/scorer:1"), registries, ARM)
    assert (found.modules, found.previous, found.pulled) == (("one", "two"), (), 3010)
    assert [*report.lines([found])] == [f"download {HOST}/scorer:1: 3.01 kB compressed for linux/arm64"]


def test_several_former_images_count_together(registries: FakeDistribution) -> None:
    before = manifest(one=f"{HOST}/scorer:1", two=f"{HOST}/scorer:3")
    (found,) = downloads(before, manifest(one=f"{HOST}/scorer:2", two=f"{HOST}/scorer:2"), registries, ARM)
    assert (found.pulled, found.reused) == (1010, 2)


def test_a_former_image_that_is_gone_leaves_the_size_of_the_new_one(registries: FakeDistribution) -> None:
    (found,) = downloads(manifest(m=f"{HOST}/scorer:gone"), manifest(m=f"{HOST}/scorer:1"), registries, ARM)
    assert (found.size, found.pulled) == (3010, None)
    assert "up to 3.01 kB" in next(iter(report.lines([found]))) and f"{HOST}/scorer:gone" in found.trouble


def test_a_registry_that_cannot_be_asked_is_said_and_nothing_more(registries: FakeDistribution) -> None:
    (found,) = downloads(manifest(), manifest(login=False, m=f"{HOST}/scorer:1"), registries, ARM)
    assert found.size is None and found.trouble
    assert "size unknown: " in next(iter(report.lines([found])))


class TestModels:
    """Of a device's images."""

    LABELS: Mapping[str, str] = {
        "manifestgen.model.name": "best",
        "manifestgen.model.version": "7",
        "manifestgen.model.sha256": "ab" * 32,
    }
    MODEL = LockedModel(name="best", version="7", sha256="ab" * 32)

    def twin(self, **changes: Any) -> Twin:
        reported = {"runtime": {"platform": {"os": "linux", "architecture": "aarch64"}}}
        desired = manifest().data["modulesContent"]["$edgeAgent"]["properties.desired"]
        return Twin("$edgeAgent", **{"desired": desired, "desired_version": 1, "reported": reported, **changes})

    def lock(self, **changes: Any) -> Lock:
        fields = {"builder": "local", "image": f"{HOST}/scorer:9", "inputs": "", "built_at": "", "manifestgen": "0"}
        return Lock(**{**fields, "model": self.MODEL, "digest": "sha256:" + "e" * 64, **changes})

    def test_come_from_the_lock_file_and_nobody_is_asked(self) -> None:
        def nobody() -> Any:
            raise AssertionError("asked")

        images = [f"{HOST}/scorer:9", f"{HOST}/scorer@sha256:{'e' * 64}", "mcr.microsoft.com/azureiotedge-hub:1.5"]
        assert models_of(images, [self.lock()], nobody, nobody) == dict.fromkeys(images[:2], self.MODEL)

    def test_come_from_labels_else_and_each_image_is_asked_for_once(self, registries: FakeDistribution) -> None:
        registries.described[f"{HOST}/scorer:1", "linux/arm64"] = contents(1, "a", labels=self.LABELS)
        images = [f"{HOST}/scorer:1", f"{HOST}/scorer:1", f"{HOST}/scorer:2", f"{HOST}/scorer:gone"]
        found = models_of(images, [self.lock()], self.twin, lambda: registries)
        assert found == {f"{HOST}/scorer:1": self.MODEL}
        assert len(registries.asked) == 3

    @pytest.mark.parametrize("changes", [{"reported": {}}, None], ids=["no platform", "no twin"])
    def test_are_unknown_for_a_device_that_has_not_run(self, changes: Any) -> None:
        def nobody() -> Any:
            raise AssertionError("asked")

        twin = None if changes is None else self.twin(**changes)
        assert models_of([f"{HOST}/scorer:1"], (), lambda: twin, nobody) == {}
