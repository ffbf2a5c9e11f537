"""Images by digest."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.images.pin import Moved, moved, pin
from manifestgen.manifest.image import ImageReference
from manifestgen.manifest.manifest import Manifest

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def manifest(**images: str) -> Manifest:
    modules = {name: {"settings": {"image": image}} for name, image in images.items()}
    system = {"edgeAgent": {"settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}}}
    desired = {"systemModules": system, "modules": modules}
    return Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": desired}}})


def images(found: Manifest) -> dict[str, str | None]:
    return {module.name: module.image_text for module in found.modules()}


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("acme.azurecr.io/scorer:1.4.2", f"acme.azurecr.io/scorer@{NEW}"),
        ("acme.azurecr.io/scorer", f"acme.azurecr.io/scorer@{NEW}"),
        ("localhost:5000/scorer:1", f"localhost:5000/scorer@{NEW}"),
        ("ubuntu:22.04", f"ubuntu@{NEW}"),
        (f"acme.azurecr.io/scorer@{OLD}", f"acme.azurecr.io/scorer@{OLD}"),
    ],
)
def test_a_tag_becomes_a_digest(image: str, pinned: str) -> None:
    before = manifest(m=image)
    kept = copy.deepcopy(before.content)
    assert images(pin(before, {image: NEW}))["m"] == pinned
    assert before.content == kept


def test_system_modules_are_pinned_too_and_others_stay() -> None:
    found = images(pin(manifest(m="a/b:1"), {"mcr.microsoft.com/azureiotedge-agent:1.6": NEW}))
    assert found == {"edgeAgent": f"mcr.microsoft.com/azureiotedge-agent@{NEW}", "m": "a/b:1"}


def test_keys_in_any_case_are_found_as_the_runtime_finds_them() -> None:
    modules = {"m": {"Settings": {"IMAGE": " acme.azurecr.io/scorer:1 "}}}
    before = Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": modules}}}})
    found = pin(before, {"acme.azurecr.io/scorer:1": NEW})
    assert images(found) == {"m": f"acme.azurecr.io/scorer@{NEW}"}


def test_a_layer_is_pinned_and_stays_a_layer() -> None:
    content = {"$edgeAgent": {"properties.desired.modules.m": {"settings": {"image": "a.io/b:1"}}}}
    found = pin(Manifest.of({"modulesContent": content}), {"a.io/b:1": NEW})
    assert found.layered
    assert images(found) == {"m": f"a.io/b@{NEW}"}


@given(st.from_regex(r"([a-z]{1,5}\.io(:[0-9]{2,4})?/)?[a-z]{1,5}(/[a-z]{1,5})?(:[a-z0-9.]{1,5})?", fullmatch=True))
def test_what_is_pinned_is_what_the_runtime_accepts(image: str) -> None:
    (module,) = (module for module in pin(manifest(m=image), {image: NEW}).modules() if module.name == "m")
    reference = ImageReference.parse(module.image_text or "")
    assert (reference.digest, reference.tag) == (NEW, "")
    assert reference.host == ImageReference.parse(image).host


def test_a_tag_that_names_another_image_has_moved() -> None:
    assert moved({"a:1": OLD, "b:1": OLD, "c:1": OLD}, {"a:1": NEW, "b:1": OLD, "d:1": NEW}) == (
        Moved("a:1", OLD, NEW),
    )
