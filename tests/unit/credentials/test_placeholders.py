"""Placeholders of registry credentials are filled in before a manifest is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from manifestgen.check import Kind, check
from manifestgen.credentials.placeholders import fill_placeholders
from manifestgen.errors import InputError
from manifestgen.manifest.document import Document, read
from manifestgen.manifest.manifest import Manifest
from manifestgen.secret import Secret


def document(**entries: tuple[str, str, str]) -> Document:
    credentials = {
        key: {"address": address, "username": username, "password": password}
        for key, (address, username, password) in entries.items()
    }
    agent = {"runtime": {"type": "docker", "settings": {"registryCredentials": credentials}}}
    return read(json.dumps({"modulesContent": {"$edgeAgent": {"properties.desired": agent}}}), "a.json")


def logins_of(found: Document) -> dict[str, tuple[str, str]]:
    assert found.manifest is not None
    return {key: (one.username, one.password.reveal()) for key, one in found.manifest.credentials().items()}


ACME = ("acme.azurecr.io", "${ACR_USERNAME_ACME}", "${ACR_PASSWORD_ACME}")
OTHER = ("other.azurecr.io", "${ACR_USERNAME_OTHER}", "${ACR_PASSWORD_OTHER}")
PLAIN = ("plain.azurecr.io", "user", "canary-in-the-manifest")


class Elsewhere:
    """Logins from elsewhere, and what was asked of it."""

    def __init__(self, **logins: tuple[str, str]) -> None:
        self.logins = {f"{name}.azurecr.io": (user, Secret(password)) for name, (user, password) in logins.items()}
        self.asked: list[list[str]] = []

    def __call__(self, manifest: Manifest, hosts: Sequence[str]) -> Any:
        self.asked.append(list(hosts))
        return self.logins


def test_the_environment_wins_and_is_enough() -> None:
    elsewhere = Elsewhere(acme=("x", "y"))
    environ = {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "canary"}
    assert logins_of(fill_placeholders(document(acme=ACME), environ, elsewhere)) == {"acme": ("u", "canary")}
    assert elsewhere.asked == []


def test_what_the_environment_lacks_is_asked_for_once_and_nothing_else() -> None:
    elsewhere = Elsewhere(other=("token", "of-elsewhere"))
    environ = {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "canary", "ACR_PASSWORD_OTHER": " "}
    found = fill_placeholders(document(acme=ACME, other=OTHER, plain=PLAIN), environ, elsewhere)
    assert logins_of(found) == {
        "acme": ("u", "canary"), "other": ("token", "of-elsewhere"), "plain": ("user", "canary-in-the-manifest")
    }  # fmt: skip
    assert elsewhere.asked == [["other.azurecr.io"]]


def test_what_is_found_nowhere_names_the_variable() -> None:
    with pytest.raises(InputError, match="ACR_USERNAME_ACME is not set") as caught:
        fill_placeholders(document(acme=ACME), {}, Elsewhere())
    assert caught.value.where == "a.json"


def test_a_manifest_without_placeholders_stays_as_it_is() -> None:
    given, elsewhere = document(plain=PLAIN), Elsewhere()
    assert fill_placeholders(given, {}, elsewhere) is given
    assert elsewhere.asked == []


def test_places_stay_those_of_the_file() -> None:
    data = document(acme=ACME).data
    data["modulesContent"]["$edgeHub"] = {"properties.desired": {"schemaVersion": "1.1", "routes": {"up": "x"}}}
    given = read(json.dumps(data, indent=7), "a.json")
    filled = fill_placeholders(given, {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "canary"})

    (finding,) = check(filled, select=["route-syntax"])
    assert given.text.splitlines()[finding.line - 1].strip() == '"up": "x"'
    assert (given.kind, filled.kind) == (Kind.TEMPLATE, Kind.MANIFEST)


def test_a_key_that_is_there_twice_is_found_after_filling_in_too() -> None:
    text = json.dumps(document(acme=ACME).data).replace('"type": "docker"', '"type": "docker", "type": "docker"')
    filled = fill_placeholders(read(text, "a.json"), {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "canary"})
    assert [finding.rule for finding in check(filled, select=["duplicate-key"])] == ["duplicate-key"]
