from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import NOW, FakeServices, inputs_of
from fakes.vaults import FakeVaults

from manifestgen.credentials.logins import Logins, hosts_of
from manifestgen.credentials.source import Login, Standing
from manifestgen.credentials.standing import standings
from manifestgen.errors import CloudError, InputError, NotFoundError
from manifestgen.project import Project, load
from manifestgen.render import render_project
from manifestgen.secret import redact

ACME = "acme.example.com"


def project_of(
    folder: Path, keyvault: str = "{vault: contoso, name: acme-pwd, username: robot}", more: str = ""
) -> Project:
    (folder / "manifestgen.yaml").write_text(
        f"version: 1\nregistry:\n  credentials: keyvault\n  keyvault: {keyvault}\n{more}"
        f"image: {{builder: none, reference: '{ACME}/scorer:1'}}\nmanifest: {{template: single-module}}\n"
    )
    return load(folder)


def days(number: float) -> datetime:
    return NOW + timedelta(days=number)


def vault_credentials(hosts: list[str], project: Project, vaults: FakeVaults) -> dict[str, Login]:
    """The logins that are found for registry hosts in the key vault."""
    return Logins(inputs_of(project, FakeServices(vaults=vaults))).find({host: frozenset() for host in hosts})


def test_the_password_is_in_a_secret_and_the_user_name_in_the_project(tmp_path: Path) -> None:
    vaults = FakeVaults().put("acme-pwd", " canary-of-a-vault\n")
    found = vault_credentials([ACME], project_of(tmp_path), vaults)[ACME]
    assert (found.username, found.expiry) == ("robot", None)
    assert found.password.reveal() == "canary-of-a-vault"
    assert redact("it is canary-of-a-vault") == "it is ***"
    assert "canary" not in repr(found) + repr(vaults.vaults)


def test_a_user_name_in_a_secret_is_not_hidden(tmp_path: Path) -> None:
    vaults = FakeVaults().put("acme-pwd", "canary-2", days(9)).put("acme-usr", "acmename", days(3))
    project = project_of(tmp_path, "{vault: contoso, name: acme-pwd, username_secret: acme-usr}")
    found = vault_credentials([ACME], project, vaults)[ACME]
    assert (found.username, found.expiry) == ("acmename", days(3))
    assert redact("acmename.example.com") == "acmename.example.com"


def test_each_registry_has_its_own_secrets(tmp_path: Path) -> None:
    vaults = FakeVaults().put("acme-pwd", "canary-one").put("hub-pwd", "canary-two")
    keyvault = "{vault: contoso, name: acme-pwd, username: a, secrets: {docker.io: {name: hub-pwd, username: h}}}"
    found = vault_credentials([ACME, "https://index.docker.io/v1/"], project_of(tmp_path, keyvault), vaults)
    assert [(one.username, one.password.reveal()) for one in found.values()] == [
        ("a", "canary-one"),
        ("h", "canary-two"),
    ]


def test_one_secret_is_not_given_to_two_registries_and_nothing_is_asked(tmp_path: Path) -> None:
    vaults = FakeVaults().put("acme-pwd", "canary-one")
    with pytest.raises(InputError, match="would both get it"):
        vault_credentials([ACME, "other.example.com"], project_of(tmp_path), vaults)
    assert vaults.asked == []


@pytest.mark.parametrize(
    ("value", "expiry", "begins", "what", "fix"),
    [
        ("canary", days(0), None, "the secret expired on 2026-09-01", "--vault-name contoso --name acme-pwd --expires"),
        ("canary", days(-400), None, "the secret expired on 2025-07-28", "--expires"),
        ("canary", days(9), days(1), "the secret is not valid before 2026-09-02 12:00 UTC", "wait until then"),
        (" \n", None, None, "the secret is blank", "set --vault-name contoso --name acme-pwd"),
        ("-----BEGIN\ncanary", None, None, "the secret holds several lines", "alone"),
        ('{"username": "u", "password": "canary"}', None, None, "the secret holds JSON", "alone"),
    ],
)  # fmt: skip
def test_a_secret_that_is_unusable_says_what_to_do_and_shows_nothing_of_it(
    tmp_path: Path, value: str, expiry: Any, begins: Any, what: str, fix: str
) -> None:
    vaults = FakeVaults().put("acme-pwd", value, expiry, begins)
    with pytest.raises(InputError, match=what) as caught:
        vault_credentials([ACME], project_of(tmp_path), vaults)
    assert fix in caught.value.fix
    assert caught.value.where == "secret acme-pwd of key vault contoso"
    assert "canary" not in f"{caught.value} {caught.value.fix} {caught.value.__cause__}"


@pytest.mark.parametrize("value", ["{canary", "}{", "a b"])
def test_a_password_may_look_like_the_beginning_of_json(tmp_path: Path, value: str) -> None:
    vaults = FakeVaults().put("acme-pwd", value)
    found = vault_credentials([ACME], project_of(tmp_path), vaults)
    assert found[ACME].password.reveal() == value


def test_a_user_name_that_has_expired_is_refused_too(tmp_path: Path) -> None:
    vaults = FakeVaults().put("acme-pwd", "canary").put("acme-usr", "robot", days(-1))
    project = project_of(tmp_path, "{vault: contoso, name: acme-pwd, username_secret: acme-usr}")
    with pytest.raises(InputError) as caught:
        vault_credentials([ACME], project, vaults)
    assert "acme-usr" in caught.value.where


def test_what_the_vault_refuses_comes_through(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such secret"):
        vault_credentials([ACME], project_of(tmp_path), FakeVaults())
    with pytest.raises(CloudError, match="no vault"):
        vault_credentials([ACME], project_of(tmp_path), FakeVaults({}))


@pytest.mark.parametrize(
    ("left", "warn_days", "warned"), [(20, 14, False), (13.9, 14, True), (None, 14, False), (20, 30, True)]
)
def test_an_expiry_is_warned_of_only_when_it_is_near(
    tmp_path: Path, left: float | None, warn_days: int, warned: bool
) -> None:
    project = project_of(tmp_path, more=f"  warn_days: {warn_days}\n")
    vaults = FakeVaults().put("acme-pwd", "canary", None if left is None else days(left))
    said: list[str] = []
    Logins(inputs_of(project, FakeServices(vaults=vaults), report=said.append)).find({ACME: frozenset()})
    assert len(said) == warned
    for words in said:
        assert words.startswith(f"secret acme-pwd of key vault contoso, for {ACME}, expires on 2026-09-")
        assert "az keyvault secret set --vault-name contoso --name acme-pwd --expires" in words


class TestOverview:
    def look(self, project: Project, vaults: FakeVaults) -> Standing:
        manifest = render_project(project, lambda manifest: {}).manifest
        (found,) = standings(hosts_of(manifest), inputs_of(project, FakeServices(vaults=vaults)))
        return found

    def test_says_where_the_password_is_and_until_when(self, tmp_path: Path) -> None:
        found = self.look(project_of(tmp_path), FakeVaults().put("acme-pwd", "canary", days(9)))
        assert found == Standing(ACME, "keyvault", "robot", "key vault", days(9), renewal=found.renewal)
        assert "az keyvault secret set --vault-name contoso --name acme-pwd" in found.renewal

    def test_says_what_keeps_a_device_from_logging_in(self, tmp_path: Path) -> None:
        found = self.look(project_of(tmp_path), FakeVaults())
        assert (found.username, found.found) == ("robot", "nowhere")
        assert "the vault has no such secret" in found.problem and found.fix

    def test_a_vault_is_not_asked_for_registries_with_another_source(self, tmp_path: Path) -> None:
        project = project_of(tmp_path, more=f"  sources: {{{ACME}: env}}\n")
        vaults = FakeVaults()
        assert self.look(project, vaults).source == "env"
        assert vaults.asked == []
