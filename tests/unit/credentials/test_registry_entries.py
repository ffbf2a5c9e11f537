"""The registry credentials of a rendered manifest are exactly those that the device will use for its images."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import inputs_of

from manifestgen.credentials.logins import Logins, inline, placeholders
from manifestgen.credentials.source import Inputs, Login, Wanted
from manifestgen.credentials.sources import SOURCES
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.registries import repositories
from manifestgen.project import Project, load
from manifestgen.render import render_project
from manifestgen.secret import Secret

HUB = "https://index.docker.io/v1/"
SYSTEM = ("mcr.microsoft.com/azureiotedge-agent:1.6", "mcr.microsoft.com/azureiotedge-hub:1.6")

# Image, the address that edgeAgent looks for, whether images of that registry are private unless told otherwise.
IMAGES = {
    "acme.azurecr.io/scorer:1": ("acme.azurecr.io", True),
    "Acme.azurecr.io/team/other:2": ("acme.azurecr.io", True),
    "acme.azurecr.cn/scorer@sha256:" + "a" * 64: ("acme.azurecr.cn", True),
    "registry.example.com:5000/x/y/z": ("registry.example.com:5000", True),
    "user/image:1": (HUB, False),
    "docker.io/user/image:1": ("docker.io", False),
    "ubuntu:22.04": (None, False),
    "localhost/image:1": (HUB, False),
    "localhost:5000/image:1": ("localhost:5000", False),
    "ghcr.io/org/image:1": ("ghcr.io", False),
    "mcr.microsoft.com/azureiotedge-diagnostics:1.6": ("mcr.microsoft.com", False),
    "$upstream:443/scorer:1": ("$upstream:443", False),
}


def address_looked_for(image: str) -> str | None:
    """DockerUtil.TryParseDomainFromImage of edgeAgent, written down once more."""
    parts = image.split("/")
    if len(parts) == 1:
        return None
    return parts[0] if "." in parts[0] or ":" in parts[0] else HUB


def entries_used(manifest: Manifest, images: tuple[str, ...]) -> dict[str, list[str]]:
    """For each image the keys of the entries that edgeAgent may pull it with: those whose address is the image's."""
    entries = manifest.data["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"].get(
        "registryCredentials", {}
    )
    return {
        image: [key for key, entry in entries.items() if entry["address"].upper() == (looked_for or "").upper()]
        for image in images
        for looked_for in [address_looked_for(image)]
    }


def project_of(folder: Path, images: tuple[str, ...], registry: str) -> Project:
    modules = {
        f"module{number}": {
            "type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
            "settings": {"image": image, "createOptions": "{}"},
        }
        for number, image in enumerate(images)
    }  # fmt: skip
    (folder / "all.json.j2").write_text(
        '{% extends "runtime-only.json.j2" %}\n{% block modules %}' + json.dumps(modules)[1:-1] + "{% endblock %}\n"
    )
    (folder / "manifestgen.yaml").write_text(f"version: 1\nmanifest: {{template: all.json.j2}}\nregistry: {registry}\n")
    return load(folder)


ENVIRON = {
    f"ACR_{what}_{name}": f"{what.lower()}-of-{name.lower()}"
    for what in ("USERNAME", "PASSWORD")
    for name in ("ACME", "ACME_AZURECR_IO", "ACME_AZURECR_CN", "REGISTRY", "UPSTREAM", "DOCKER", "MCR")
}


def credentials_of(manifest: Manifest) -> dict[str, Any]:
    settings = manifest.data["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"]
    found: dict[str, Any] = settings.get("registryCredentials", {})
    return found


_FIVE = tuple(IMAGES)
_SETS = [
    *((image,) for image in IMAGES),
    *itertools.combinations(
        ("acme.azurecr.io/scorer:1", "acme.azurecr.cn/scorer@sha256:" + "a" * 64, "user/image:1"), 2
    ),
    _FIVE,
]


@pytest.mark.parametrize("image", IMAGES)
def test_the_table_agrees_with_what_edge_agent_does(image: str) -> None:
    assert (IMAGES[image][0] or "") == (address_looked_for(image) or "").lower()


@pytest.mark.parametrize("images", _SETS, ids=lambda images: f"{len(images)} {images[0][:24]}")
def test_each_private_host_has_the_one_entry_that_the_device_will_use(tmp_path: Path, images: tuple[str, ...]) -> None:
    project = project_of(tmp_path, images, "{credentials: env}")
    private = {address for image in images for address, private in [IMAGES[image]] if private}
    settings = project.registry_settings
    for logins in (placeholders(settings), inline(settings, Logins(inputs_of(project, environ=ENVIRON)).find)):
        manifest = render_project(project, logins).manifest
        used = entries_used(manifest, (*SYSTEM, *images))
        for image, keys in used.items():
            needed = image in IMAGES and IMAGES[image][1]
            # A login that the environment holds for a public registry does no harm and may be needed; two never.
            assert len(keys) == 1 if needed else len(keys) <= 1, image
        entries = credentials_of(manifest)
        assert {key for keys in used.values() for key in keys} == set(entries)
        assert {entry["address"].lower() for entry in entries.values()} >= private
        assert not any(entry["address"] == "mcr.microsoft.com" for entry in entries.values())
        assert all(not set(key) & set(".$# ") and key for key in entries)


def test_placeholders_are_for_private_registries_and_those_that_the_project_names(tmp_path: Path) -> None:
    images = tuple(IMAGES)
    plain = credentials_of(_placeholders(tmp_path, images, "{credentials: env}"))
    assert [entry["address"] for entry in plain.values()] == [
        "acme.azurecr.io", "acme.azurecr.cn", "registry.example.com:5000"
    ]  # fmt: skip
    named = credentials_of(_placeholders(tmp_path, images, "{sources: {docker.io: env, '$upstream:443': env}}"))
    assert {entry["address"] for entry in named.values()} - {entry["address"] for entry in plain.values()} == {
        HUB, "docker.io", "$upstream:443"
    }  # fmt: skip
    assert named["upstream"]["password"] == "${ACR_PASSWORD_UPSTREAM}"


def _placeholders(folder: Path, images: tuple[str, ...], registry: str) -> Manifest:
    project = project_of(folder, images, registry)
    return render_project(project, placeholders(project.registry_settings)).manifest


def test_each_source_is_asked_for_its_own_registries_with_their_repositories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = ("acme.azurecr.io/scorer:1", "Acme.azurecr.io/team/other:2", "registry.example.com:5000/x/y/z")
    project = project_of(tmp_path, images, "{credentials: token, sources: {'registry.example.com:5000': env}}")
    asked: list[Wanted] = []

    def logins(wanted: Sequence[Wanted], inputs: Inputs) -> dict[str, Login]:
        asked.extend(wanted)
        return {one.host: Login("u", Secret("p")) for one in wanted}

    monkeypatch.setattr(SOURCES["token"], "logins", logins)
    manifest = render_project(project, lambda _: {}).manifest
    only_other = {name: value for name, value in ENVIRON.items() if name.endswith("_REGISTRY")}
    found = inline(project.registry_settings, Logins(inputs_of(project, environ=only_other)).find)(manifest)
    assert asked == [Wanted("acme.azurecr.io", "ACME", frozenset({"scorer", "team/other"}), required=True)]
    assert {host: login.username for host, login in found.items()} == {
        "acme.azurecr.io": "u", "registry.example.com:5000": "username-of-registry"
    }  # fmt: skip


def test_repositories_are_those_that_a_token_must_allow(tmp_path: Path) -> None:
    manifest = render_project(project_of(tmp_path, tuple(IMAGES), "{}"), lambda _: {}).manifest
    found = repositories(manifest)
    assert found["acme.azurecr.io"] == {"scorer", "team/other"}
    assert found["acme.azurecr.cn"] == {"scorer"}
    assert found["registry.example.com:5000"] == {"x/y/z"}
    assert found["$upstream:443"] == {"scorer"}
    assert found[HUB] == {"user/image", "localhost/image"}
