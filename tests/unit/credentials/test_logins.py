"""The way from registry hosts to logins: each looked up once, and only where it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.credential_inputs import NOW, FakeServices, inputs_of
from fakes.registry import FakeRegistry
from fakes.vaults import FakeVaults

from manifestgen.credentials.acr_token import create
from manifestgen.credentials.hosts import check_host, comparable
from manifestgen.credentials.logins import Logins, for_placeholders, inline, needed_hosts, token_hosts
from manifestgen.errors import InputError, NotFoundError
from manifestgen.manifest.document import read
from manifestgen.manifest.manifest import Manifest
from manifestgen.project import Project, load

ACME, OTHER, CHINA, HUB = "acme.azurecr.io", "other.azurecr.io", "acme.azurecr.cn", "docker.io"
NOTHING: frozenset[str] = frozenset()


def project_of(folder: Path, registry: str) -> Project:
    (folder / "manifestgen.yaml").write_text(
        f"version: 1\nmanifest: {{module: machinelearningmodule}}\nregistry: {registry}\n"
    )
    return load(folder)


def variables(*names: str) -> dict[str, str]:
    return {f"ACR_{what}_{name}": f"{what.lower()}-of-{name}" for name in names for what in ("USERNAME", "PASSWORD")}


def test_a_login_is_looked_up_once(tmp_path: Path) -> None:
    vaults = FakeVaults().put("pwd", "canary")
    project = project_of(tmp_path, "{credentials: keyvault, keyvault: {vault: contoso, name: pwd, username: u}}")
    logins = Logins(inputs_of(project, FakeServices(vaults=vaults)))
    assert logins.find({ACME: NOTHING}) == logins.find({ACME: NOTHING})
    assert vaults.asked == ["pwd"]
    # A second registry that comes later would get the same password.
    with pytest.raises(InputError, match="would both get it"):
        logins.find({OTHER: NOTHING})
    assert vaults.asked == ["pwd"]
    assert list(logins.find({ACME: NOTHING})) == [ACME]


def test_variables_are_named_by_all_registries_of_the_manifest_each_time(tmp_path: Path) -> None:
    environ = variables("ACME", "ACME_AZURECR_IO", "ACME_AZURECR_CN")
    logins = Logins(inputs_of(project_of(tmp_path, "{credentials: env}"), environ=environ))
    assert logins.find({ACME: NOTHING})[ACME].username == "username-of-ACME"
    both = logins.find({ACME: NOTHING, CHINA: NOTHING})
    assert [one.username for one in both.values()] == ["username-of-ACME_AZURECR_IO", "username-of-ACME_AZURECR_CN"]
    assert list(logins.find({CHINA: NOTHING}, beside=[ACME])) == [CHINA]
    assert logins.find({CHINA: NOTHING}, beside=[ACME])[CHINA].username == "username-of-ACME_AZURECR_CN"


def test_placeholders_of_a_file_get_logins_and_entries_with_a_password_are_not_looked_up(tmp_path: Path) -> None:
    modules = ", ".join(
        f'"m{number}": {{"settings": {{"image": "{host}/m:1"}}}}'
        for number, host in enumerate(("Acme.azurecr.io", CHINA))
    )
    agent = f'{{"$edgeAgent": {{"properties.desired": {{"modules": {{{modules}}}}}}}}}'
    manifest = read(f'{{"modulesContent": {agent}}}', "m.json").manifest
    assert manifest is not None
    project = project_of(tmp_path, f"{{credentials: admin, sources: {{{ACME}: file}}, file: r.env}}")
    lines = ("ACR_USERNAME_ACME_AZURECR_IO=robot", "ACR_PASSWORD_ACME_AZURECR_IO=canary-of-a-line")
    (tmp_path / "r.env").write_text("\n".join(lines))
    # Azure must not be asked for the other registry, whose entry has its password.
    found = for_placeholders(manifest, [ACME], Logins(inputs_of(project)))
    assert {host: (name, secret.reveal()) for host, (name, secret) in found.items()} == {
        ACME: ("robot", "canary-of-a-line")
    }


def test_a_public_registry_gets_a_login_from_this_machine_and_none_from_azure(tmp_path: Path) -> None:
    given = Logins(inputs_of(project_of(tmp_path, "{credentials: env}"), environ=variables("DOCKER")))
    assert list(given.find({HUB: NOTHING})) == [HUB]
    assert Logins(inputs_of(project_of(tmp_path, "{credentials: env}"))).find({HUB: NOTHING}) == {}
    for source in ("admin", "token", "{credentials: keyvault"):
        more = ", keyvault: {vault: contoso, name: pwd, username: u}}" if source.startswith("{") else "}"
        section = f"{{credentials: {source.removeprefix('{credentials: ')}{more}"
        assert Logins(inputs_of(project_of(tmp_path, section))).find({HUB: NOTHING}) == {}


def test_microsofts_registry_gets_none_even_if_it_is_named(tmp_path: Path) -> None:
    project = project_of(tmp_path, "{sources: {mcr.microsoft.com: env}}")
    assert Logins(inputs_of(project, environ=variables("MCR"))).find({"mcr.microsoft.com": NOTHING}) == {}


def test_a_mistake_on_this_machine_is_found_before_azure_is_asked(tmp_path: Path) -> None:
    project = project_of(tmp_path, f"{{credentials: admin, sources: {{{OTHER}: env}}}}")
    inputs = inputs_of(project, environ={"ACR_USERNAME_OTHER": "u"})
    with pytest.raises(InputError, match="ACR_USERNAME_OTHER is set, but ACR_PASSWORD_OTHER is not"):
        Logins(inputs).find({ACME: NOTHING, OTHER: NOTHING})


def test_a_token_is_created_only_if_that_is_allowed_and_the_repositories_are_known(tmp_path: Path) -> None:
    project, registry, said = project_of(tmp_path, "{credentials: token}"), FakeRegistry.of("acme"), list[str]()
    services = FakeServices(registry)
    for allowed, repositories in ((False, frozenset({"scorer"})), (True, NOTHING)):
        inputs = inputs_of(project, services, root=tmp_path, create_token=allowed)
        with pytest.raises(InputError, match="no password of token"):
            Logins(inputs).find({ACME: repositories})
    assert registry.tokens == {}
    inputs = inputs_of(project, services, root=tmp_path, create_token=True, report=said.append)
    found = Logins(inputs).find({ACME: frozenset({"scorer"})})
    assert found[ACME].username == "manifestgen-machinelearningmodule"
    assert any("created token" in text for text in said)


def test_an_expiry_that_is_near_is_reported_once(tmp_path: Path) -> None:
    project, registry, said = project_of(tmp_path, "{credentials: token}"), FakeRegistry.of("acme"), list[str]()
    name = "manifestgen-machinelearningmodule"
    create(registry, registry.by_host(ACME), name, ["scorer"], root=tmp_path, days=9, now=NOW)
    logins = Logins(inputs_of(project, root=tmp_path, report=said.append))
    logins.find({ACME: NOTHING})
    logins.find({ACME: NOTHING})
    assert said == [
        f"the password of token {name}, for {ACME}, expires on 2026-09-10, in 9 days; "
        "renew it with 'manifestgen credentials rotate'"
    ]


def test_what_azure_rejects_comes_through(tmp_path: Path) -> None:
    inputs = inputs_of(project_of(tmp_path, "{}"), FakeServices())
    with pytest.raises(NotFoundError, match="no registry answers"):
        Logins(inputs).find({ACME: NOTHING})


@pytest.mark.parametrize(
    ("section", "fix"),
    [
        ("{credentials: env}", "set ACR_USERNAME_ACME and ACR_PASSWORD_ACME"),
        ("{credentials: file, file: r.env}", "add acme.azurecr.io with its user name and password to"),
        ("{credentials: admin}", "choose another source"),
        ("{credentials: token}", "manifestgen credentials create-token"),
        ("{credentials: keyvault, keyvault: {vault: contoso, name: p, username: u}}", "choose another source"),
    ],
)
def test_a_manifest_that_lacks_a_login_gets_the_advice_of_its_source(section: str, fix: str, tmp_path: Path) -> None:
    settings = project_of(tmp_path, section).registry_settings
    modules = f'{{"m": {{"settings": {{"image": "{ACME}/m:1"}}}}}}'
    manifest = read(
        f'{{"modulesContent": {{"$edgeAgent": {{"properties.desired": {{"modules": {modules}}}}}}}}}', "m.json"
    ).manifest
    assert manifest is not None
    with pytest.raises(InputError, match=f"no credential for registry {ACME}") as caught:
        inline(settings, lambda hosts: {})(manifest)
    assert fix in caught.value.fix
    assert caught.value.where == settings.file


def manifest_of(*hosts: str) -> Manifest:
    modules = {f"m{number}": {"settings": {"image": f"{host}/m{number}:1"}} for number, host in enumerate(hosts)}
    return Manifest.of({"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": modules}}}})


def test_a_token_is_for_the_private_registries_whose_source_it_is(tmp_path: Path) -> None:
    settings = project_of(tmp_path, f"{{credentials: token, sources: {{{OTHER}: env}}}}").registry_settings
    manifest = manifest_of(ACME, OTHER, "mcr.microsoft.com")
    assert needed_hosts(settings, manifest) == (ACME, OTHER)
    assert token_hosts(settings, manifest) == {ACME: frozenset({"m0"})}
    with pytest.raises(InputError, match="no registry of the manifest has the source token") as caught:
        token_hosts(settings, manifest_of(OTHER))
    assert "credentials: token" in caught.value.fix


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "Docker.io"])
def test_docker_hub_has_one_name(name: str) -> None:
    assert comparable(name) == "docker.io"
    check_host(name, "here")


@pytest.mark.parametrize("host", ["", "acme.azurecr.io/", "https://acme.azurecr.io", "acme:99999999", "-acme"])
def test_what_can_be_no_host_is_refused_where_it_stands(host: str) -> None:
    with pytest.raises(InputError, match="is not a registry host") as caught:
        check_host(host, "here")
    assert caught.value.where == "here"
