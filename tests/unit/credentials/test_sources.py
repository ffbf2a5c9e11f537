from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import inputs_of

from manifestgen.credentials.logins import Logins, may_ask_azure
from manifestgen.credentials.section import names
from manifestgen.credentials.source import Login, Wanted
from manifestgen.credentials.sources.file import read
from manifestgen.credentials.sources.keyvault import VaultLogin, assigned
from manifestgen.credentials.variables import login, suffixes
from manifestgen.errors import InputError
from manifestgen.project import Project, load
from manifestgen.secret import redact

NOTHING: frozenset[str] = frozenset()
HUB = "https://index.docker.io/v1/"
ACME = "acme.azurecr.io"


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ([ACME], ["ACME"]),
        (["ghcr.io", HUB], ["GHCR", "DOCKER"]),
        (["$upstream:443"], ["UPSTREAM"]),
        (["localhost:5000", "my-reg.example.com:5000"], ["LOCALHOST", "MY_REG"]),
        ([ACME, "acme.azurecr.cn", "other.azurecr.io"], ["ACME_AZURECR_IO", "ACME_AZURECR_CN", "OTHER"]),
        ([ACME, ACME], ["ACME"]),
    ],
)
def test_variables_are_named_by_the_registry(hosts: Any, names: Any) -> None:
    assert list(suffixes(hosts).values()) == names


def test_variables_give_logins_and_unset_ones_none() -> None:
    variables = {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": " canary \n"}
    found = login(ACME, "ACME", variables, "the environment")
    assert found is not None
    assert (found[0], found[1].reveal()) == ("u", "canary")
    assert "canary" not in repr(found)
    assert login("other.azurecr.io", "OTHER", variables, "the environment") is None


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"ACR_USERNAME_ACME": "u"}, "ACR_PASSWORD_ACME"),
        ({"ACR_PASSWORD_ACME": "p"}, "ACR_USERNAME_ACME"),
        ({"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "  "}, "ACR_PASSWORD_ACME"),
    ],
)
def test_half_a_login_names_the_missing_half(variables: Any, missing: str) -> None:
    with pytest.raises(InputError, match=missing):
        login(ACME, "ACME", variables, "the environment")


def from_file(path: Path, hosts: list[str]) -> dict[str, Login]:
    """What the source `file` finds in a file."""
    names = suffixes(hosts)
    return read(path, [Wanted(host, names[host], NOTHING, required=True) for host in hosts])


def on_this_machine(project: Project, hosts: list[str], environ: dict[str, str]) -> dict[str, Login]:
    """The logins that are found without Azure; a host that has none there must be asked of Azure, or has none."""
    found: dict[str, Login] = {}
    for host in hosts:
        try:
            beside = [other for other in hosts if other != host]
            found |= Logins(inputs_of(project, environ=environ)).find({host: NOTHING}, beside)
        except AssertionError as error:
            assert "Azure was asked" in str(error)
    return found


def test_a_file_of_lines_is_read(tmp_path: Path) -> None:
    path = tmp_path / "acr.env"
    path.write_text("# registry\n\nexport ACR_USERNAME_ACME=u\nACR_PASSWORD_ACME='a=b'\nOTHER=x\n")
    logins = from_file(path, [ACME])
    assert (logins[ACME].username, logins[ACME].password.reveal()) == ("u", "a=b")


def docker(auths: Any, **more: Any) -> Any:
    return json.dumps({"auths": auths, **more})


def encoded(text: str) -> Any:
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_a_docker_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        docker(
            {
                "https://acme.azurecr.io/v2/": encoded("u:p:q"),
                "other.azurecr.io": {"username": "o", "password": "pw-o"},
                HUB: encoded("hub:pw-hub"),
                "unused.azurecr.io": {},
            }
        )
    )
    logins = from_file(path, ["ACME.azurecr.io", "other.azurecr.io", HUB, "none.azurecr.io"])
    assert {host: (login.username, login.password.reveal()) for host, login in logins.items()} == {
        "ACME.azurecr.io": ("u", "p:q"),
        "other.azurecr.io": ("o", "pw-o"),
        HUB: ("hub", "pw-hub"),
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON"),
        ("{}", "no 'auths'"),
        ("{" + '"a":[' * 100_000, "not JSON"),
        (docker({ACME: {}}), "no user name and password"),
        (docker({ACME: {"auth": "canary!"}}), "not base64"),
        (docker({ACME: {"auth": "canary-ü"}}), "not base64"),
        (docker({ACME: encoded("canary-without-colon")}), "no user name and password"),
        (docker({ACME: {}}, credsStore="desktop"), "credential helper"),
        (docker({}, credHelpers={"Acme.azurecr.io": "x"}), "helpers are not run"),
        (json.dumps({"credHelpers": {ACME: "canary"}}), "helpers are not run"),
        (docker({ACME: {**encoded("robot:"), "identitytoken": "canary"}}), "identity token"),
        (docker({ACME: encoded("00000000-0000-0000-0000-000000000000:canary")}), "az acr login"),
        ("canary\n", "not a line NAME=VALUE"),
        ("A B=canary\n", "not a line NAME=VALUE"),
    ],
)
def test_a_file_that_cannot_be_understood_says_so_and_shows_nothing_of_it(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(InputError, match=what) as caught:
        from_file(path, [ACME])
    error = caught.value
    assert "canary" not in f"{error} {error.fix} {error.__cause__}"
    assert error.where.startswith(str(path))


@pytest.mark.parametrize(
    "text", ['{"credsStore": "desktop"}', docker({ACME: encoded("u:pw-acme")}, credsStore="desktop")]
)
def test_a_store_for_all_registries_is_not_a_login_of_one_that_docker_never_logged_in_to(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    assert from_file(path, [HUB, "ghcr.io"]) == {}


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="registry credentials file not found"):
        from_file(tmp_path / "no", [ACME])


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("", None),
        ("registry: {credentials: admin}", None),
        ("registry: {credentials: env}", "u"),
        ("registry: {credentials: file, file: acr.env}", "f"),
        ("registry: {credentials: token}", "u"),
        ("registry: {credentials: env, sources: {ACME.azurecr.io: admin}}", None),
        ("registry: {sources: {acme.azurecr.io: file}, file: acr.env}", "f"),
        ("registry: {credentials: file, file: acr.env, sources: {acme.azurecr.io: env}}", "u"),
    ],
)
def test_the_project_names_the_source(tmp_path: Path, registry: str, expected: Any) -> None:
    (tmp_path / "acr.env").write_text("ACR_USERNAME_ACME=f\nACR_PASSWORD_ACME=p\n")
    environ = {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "p"}
    logins = on_this_machine(project_of(tmp_path, registry), [ACME], environ)
    assert (ACME in logins and logins[ACME].username) == (expected or False)


def project_of(folder: Path, registry: str) -> Any:
    (folder / "manifestgen.yaml").write_text(f"version: 1\n{registry}\n")
    return load(folder)


def test_each_registry_has_the_source_that_is_named_for_it_or_else_the_common_one(tmp_path: Path) -> None:
    project = project_of(
        tmp_path, "registry: {credentials: token, sources: {docker.io: env, '$upstream:443': env, ghcr.io: admin}}"
    )
    hosts = ["acme.azurecr.io", HUB, "docker.io", "index.docker.io", "$upstream:443", "$upstream:444", "GHCR.io"]
    registry = project.registry_settings.registry
    assert [registry.source_of(host) for host in hosts] == ["token", "env", "env", "env", "env", "token", "admin"]
    assert [names(registry, host) for host in hosts] == [False, True, True, True, True, False, True]
    assert project_of(tmp_path, "").registry_settings.registry.source_of(ACME) == "admin"


def test_variables_of_registries_with_another_source_are_not_looked_at(tmp_path: Path) -> None:
    project = project_of(tmp_path, "registry: {sources: {acme.azurecr.cn: env}}")
    hosts = [ACME, "acme.azurecr.cn"]
    environ = {"ACR_PASSWORD_ACME_AZURECR_IO": "half", "ACR_USERNAME_ACME_AZURECR_CN": "u"}
    # The name has the whole host in it, since another registry of the manifest begins alike.
    logins = on_this_machine(project, hosts, {**environ, "ACR_PASSWORD_ACME_AZURECR_CN": "p"})
    assert list(logins) == ["acme.azurecr.cn"]


def test_microsofts_registry_gets_no_login_whatever_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(docker({"mcr.microsoft.com": encoded("u:p"), "ghcr.io": encoded("u:p")}))
    project = project_of(tmp_path, "registry: {credentials: file, file: config.json}")
    assert list(on_this_machine(project, ["mcr.microsoft.com", "ghcr.io"], {})) == ["ghcr.io"]


def test_a_password_is_hidden_in_the_form_that_docker_keeps_it_in(tmp_path: Path) -> None:
    entry = encoded("user:canary-of-docker")
    (tmp_path / "config.json").write_text(docker({ACME: entry}))
    from_file(tmp_path / "config.json", [ACME])
    assert redact(f"read {entry['auth']} and canary-of-docker") == "read *** and ***"


def test_each_registry_has_the_secret_that_is_named_for_it_or_else_the_common_one(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        "registry:\n  credentials: keyvault\n  keyvault:\n    {vault: contoso, name: acme-pwd, "
        "username_secret: acme-usr, secrets: {docker.io: {name: hub-pwd, username: bot}}}",
    )
    settings = project.registry_settings
    assert may_ask_azure({ACME: NOTHING}, settings)
    assert [names(settings.registry, host) for host in (HUB, ACME)] == [True, False]
    assert on_this_machine(project, [ACME], {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "p"}) == {}
    assert assigned([HUB, ACME, "Acme.azurecr.io"], settings) == {
        HUB: VaultLogin(name="hub-pwd", username="bot"),
        ACME: VaultLogin(name="acme-pwd", username_secret="acme-usr"),
        "Acme.azurecr.io": VaultLogin(name="acme-pwd", username_secret="acme-usr"),
    }


@pytest.mark.parametrize(
    ("names", "hosts", "what"),
    [
        ("name: pwd, username: u", [ACME, "ghcr.io"], f"{ACME} and ghcr.io would both get it"),
        ("secrets: {ghcr.io: {name: pwd, username: u}}", ["ghcr.io", ACME], f"no secret for registry {ACME}"),
    ],
)
def test_a_password_is_given_to_no_registry_that_it_is_not_said_to_be_for(
    tmp_path: Path, names: str, hosts: list[str], what: str
) -> None:
    project = project_of(tmp_path, f"registry:\n  credentials: keyvault\n  keyvault: {{vault: contoso, {names}}}")
    with pytest.raises(InputError, match=what) as caught:
        assigned(hosts, project.registry_settings)
    assert "secrets" in caught.value.fix


VAULT = "keyvault, keyvault: {vault: contoso, name: p, username: u}"


@pytest.mark.parametrize(
    ("source", "asks"),
    [("env", False), ("file, file: r.env", False), ("admin", True), ("token", True), (VAULT, True)],
)
def test_only_the_sources_in_azure_may_ask_azure(source: str, asks: bool, tmp_path: Path) -> None:
    settings = project_of(tmp_path, f"registry: {{credentials: {source}}}").registry_settings
    assert may_ask_azure({ACME: NOTHING}, settings) is asks


@pytest.mark.parametrize(("section", "days"), [("{credentials: token}", 90), ("{credentials: token, days: 30}", 30)])
def test_the_project_says_how_long_a_tokens_password_lasts(section: str, days: int, tmp_path: Path) -> None:
    assert project_of(tmp_path, f"registry: {section}").registry_settings.registry.setting("days") == days
