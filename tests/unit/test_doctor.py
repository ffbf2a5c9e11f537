from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fakes.builder import FakeBuilder, FakeModels
from fakes.distribution import FakeDistribution
from fakes.hub import FakeHub
from fakes.registry import FakeRegistry, registry_id
from fakes.vaults import FakeVaults

from manifestgen.cloud import Credential
from manifestgen.credentials.acr_token import create, name_of
from manifestgen.doctor import Row, examine
from manifestgen.errors import CloudError, DeniedError, NotFoundError
from manifestgen.project.load import Project, load

DEVICE = "edge-01"
ON = "source admin, user acme, password in Azure, admin user enabled"

_BUILDS = """\
version: 1
model: {name: m, path: model.pkl}
image: {builder: package, name: anomaly, entry_script: score.py, conda_file: myenv.yml}
target: {device: edge-01}
"""
_ELSEWHERE = """\
version: 1
image: {builder: none, reference: "acme.azurecr.io/scorer:1"}
target: {device: edge-01}
"""


def _builder(models: FakeModels) -> FakeBuilder:
    builder = FakeBuilder(models)
    builder.registry = registry_id("acme")
    return builder


@dataclass
class Services:
    """Services in memory."""

    models: FakeModels = field(default_factory=FakeModels)
    registry: FakeRegistry = field(default_factory=lambda: FakeRegistry.of("acme"))
    hub: FakeHub = field(default_factory=lambda: FakeHub(DEVICE))
    vaults: FakeVaults = field(default_factory=FakeVaults)
    distribution: FakeDistribution = field(default_factory=FakeDistribution)

    def __post_init__(self) -> None:
        self.builder: FakeBuilder = _builder(self.models)

    def of(self, module: str) -> Services:
        return self

    def credentials(self, hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Credential]:
        return {}


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "model.pkl").write_bytes(b"model")
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    (tmp_path / "myenv.yml").write_text("dependencies: [python=3.11]\n")
    return _load(tmp_path, _BUILDS)


def _load(folder: Path, text: str) -> Project:
    (folder / "manifestgen.yaml").write_text(text)
    return load(folder)


def logged_in() -> None:
    """A credential that gives tokens."""


def rows(project: Project, services: Services, device: str | None = None) -> dict[str, Row]:
    services.builder.project = project
    return {row.subject: row for row in examine(project, services, logged_in, device)}


def failed(found: dict[str, Row]) -> list[str]:
    return [subject for subject, row in found.items() if row.state == "failed"]


def test_a_project_that_lacks_nothing(project: Project, services: Services) -> None:
    services.hub.report(DEVICE, "$edgeAgent", {"version": {"version": "1.5.9"}})
    found = rows(project, services)
    assert failed(found) == []
    assert list(found)[-3:] == ["hub", "device edge-01", "runtime"]
    assert found["workspace"].words == "0 registered models"
    assert found["registry acme.azurecr.io"].words == ON
    assert found["runtime"].words == "connected, edgeAgent 1.5.9"
    assert all(row.fix == "" for row in found.values())


def test_an_sdk_that_is_missing_says_how_to_install(
    project: Project, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("azureml-core", "azure-identity"):
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = rows(project, services)
    assert found["azureml-core"].fix == "run: pip install 'manifestgen[azureml]'"
    assert found["azure-identity"].fix == "run: pip install manifestgen"


def test_an_entry_script_that_is_not_fit(project: Project, services: Services) -> None:
    (project.root / "score.py").write_text("def init(): pass\n")
    found = rows(project, services)
    assert failed(found) == ["entry script and conda file"]
    assert "run" in found["entry script and conda file"].words


def test_without_a_credential_what_needs_one_is_not_asked(project: Project, services: Services) -> None:
    def refused() -> None:
        raise DeniedError("no credential", where="Azure login", fix="run 'az login'")

    found = {row.subject: row for row in examine(project, services, refused)}
    assert found["credential"] == Row("credential", "failed", "Azure login: no credential", "run 'az login'")
    assert found["workspace"].state == found["registry"].state == "skipped"
    assert not any(subject.startswith("registry ") for subject in found)
    # The hub may have a connection string.
    assert found["hub"].state == "ok"


def test_a_workspace_that_cannot_be_read_does_not_hide_the_rest(project: Project, services: Services) -> None:
    services.models.trouble = DeniedError("403", where="workspace w", fix="ask for the role 'AzureML Data Scientist'")
    found = rows(project, services)
    assert failed(found) == ["workspace"]
    assert "AzureML Data Scientist" in found["workspace"].fix
    assert found["registry acme.azurecr.io"].state == "ok"


def test_a_workspace_without_a_registry_yet_is_fine(project: Project, services: Services) -> None:
    services.builder.registry = None
    assert rows(project, services)["registry"].state == "ok"


def test_an_admin_user_that_is_off_names_the_switch_and_the_other_sources(project: Project, services: Services) -> None:
    services.registry = FakeRegistry.of("acme", admin=False)
    row = rows(project, services)["registry acme.azurecr.io"]
    assert row.state == "failed"
    assert "--enable-admin" in row.fix
    assert "registry.credentials" in row.fix


def test_another_source_of_credentials_needs_no_admin_user(project: Project, services: Services) -> None:
    services.registry = FakeRegistry.of("acme", admin=False)
    other = _load(project.root, _BUILDS + "registry: {credentials: env}\n")
    environ = {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "canary"}
    found = {row.subject: row for row in examine(other, services, logged_in, environ=environ)}
    assert found["registry acme.azurecr.io"] == Row(
        "registry acme.azurecr.io", "ok", "source env, user u, password in the environment, admin user disabled"
    )


def test_an_image_built_elsewhere_needs_no_workspace(tmp_path: Path, services: Services) -> None:
    found = rows(_load(tmp_path, _ELSEWHERE), services)
    assert failed(found) == []
    assert {"workspace", "azureml-core", "entry script and conda file"} & set(found) == set()
    assert found["registry acme.azurecr.io"].words == ON


def test_a_registry_that_answers_under_no_such_host(tmp_path: Path, services: Services) -> None:
    found = rows(_load(tmp_path, _ELSEWHERE.replace("acme", "nobody")), services)
    assert failed(found) == ["registry nobody.azurecr.io"]
    assert "no registry answers under 'nobody.azurecr.io'" in found["registry nobody.azurecr.io"].words


def test_a_template_that_goes_wrong_does_not_hide_the_rest(tmp_path: Path, services: Services) -> None:
    found = rows(_load(tmp_path, _ELSEWHERE + "manifest: {template: none.json.j2}\n"), services)
    assert failed(found) == ["manifest"]
    assert "none.json.j2" in found["manifest"].words
    assert found["registry credentials"] == Row("registry credentials", "skipped", "needs the manifest")
    assert found["hub"].state == "ok"


def test_a_project_without_an_image_has_no_registry_to_look_at(tmp_path: Path, services: Services) -> None:
    found = rows(_load(tmp_path, "version: 1\nmanifest: {template: runtime-only}\n"), services)
    assert failed(found) == []
    assert not any("registry" in subject for subject in found)


def test_an_image_that_the_template_needs_and_the_project_does_not_name(tmp_path: Path, services: Services) -> None:
    found = rows(_load(tmp_path, "version: 1\n"), services)
    assert failed(found) == ["manifest"]
    assert found["manifest"].fix == "add an 'image' section to the project file"


def test_template_and_values_are_looked_at(project: Project, services: Services) -> None:
    row = rows(project, services)["manifest"]
    assert row == Row("manifest", "ok", "template single-module and its values give 3 modules")


def test_a_value_that_is_missing_is_found_also_before_the_first_image(project: Project, services: Services) -> None:
    (project.root / "own.json.j2").write_text('{"modulesContent": {"$edgeAgent": {{ [image, threshold] | tojson }} }}')
    found = rows(_load(project.root, _BUILDS + "manifest: {template: own.json.j2}\n"), services)
    assert failed(found) == ["manifest"]
    assert "threshold" in found["manifest"].words


def test_what_check_finds_in_the_manifest_is_a_failure(tmp_path: Path, services: Services) -> None:
    found = rows(_load(tmp_path, _ELSEWHERE.replace("scorer:1", "Scorer:1")), services)
    assert failed(found) == ["manifest"]
    assert "Scorer" in found["manifest"].words and found["manifest"].fix


def test_a_public_image_needs_neither_registry_nor_login(tmp_path: Path, services: Services) -> None:
    text = _ELSEWHERE.replace(
        "acme.azurecr.io/scorer:1", "mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"
    )

    def refused() -> None:
        raise DeniedError("no credential", where="Azure login", fix="run 'az login'")

    found = {row.subject: row for row in examine(_load(tmp_path, text), services, refused)}
    assert set(found) == {"manifest", "hub client", "hub", "device edge-01", "runtime"}
    assert failed(found) == []


def test_logins_from_variables_need_no_login_to_azure(
    tmp_path: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACR_USERNAME_ACME", "u")
    monkeypatch.setenv("ACR_PASSWORD_ACME", "canary")

    def refused() -> None:
        raise DeniedError("no credential", where="Azure login", fix="run 'az login'")

    project = _load(tmp_path, _ELSEWHERE + "registry: {credentials: env}\n")
    found = {row.subject: row for row in examine(project, services, refused)}
    assert failed(found) == []
    assert "credential" not in found
    assert found["registry acme.azurecr.io"].words == "source env, user u, password in the environment"


def test_a_hub_that_is_reached_with_the_credential_is_not_asked_without_one(tmp_path: Path, services: Services) -> None:
    def refused() -> None:
        raise DeniedError("no credential", where="Azure login", fix="run 'az login'")

    project = _load(tmp_path, "version: 1\nmanifest: {template: runtime-only}\ntarget: {device: edge-01}\n")
    found = {row.subject: row for row in examine(project, services, refused, hub_login=True)}
    assert failed(found) == ["credential"]
    assert found["hub"] == Row("hub", "skipped", "needs a credential")
    assert found["device"] == Row("device", "skipped", "needs the hub")


def test_a_workspace_that_does_not_exist_is_reported_once(project: Project, services: Services) -> None:
    wrong = NotFoundError("no such workspace", where="workspace w", fix="correct 'workspace:'")
    services.models.trouble = wrong
    services.builder.registry_trouble = wrong
    found = rows(project, services)
    assert failed(found) == ["workspace"]
    assert found["registry"] == Row("registry", "skipped", "needs the workspace")


@pytest.mark.parametrize(
    ("package", "skipped"),
    [
        ("azureml-core", {"workspace": "needs azureml-core"}),
        ("azure-mgmt-containerregistry", {"registry acme.azurecr.io": "needs azure-mgmt-containerregistry"}),
        ("azure-identity", {"credential": "needs azure-identity", "workspace": "needs a credential"}),
    ],
)
def test_what_needs_a_package_that_is_missing_is_skipped(
    package: str, skipped: dict[str, str], project: Project, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = rows(project, services)
    assert failed(found) == [package]
    assert {subject: found[subject] for subject in skipped} == {
        subject: Row(subject, "skipped", why) for subject, why in skipped.items()
    }


def test_a_device_that_is_not_there(project: Project, services: Services) -> None:
    services.hub.trouble["device"] = [NotFoundError("404", where="device 'edge-01' in fake-hub", fix="check the id")]
    found = rows(project, services)
    assert found["hub"].state == "ok"
    assert found["device"].state == "failed"
    assert found["device"].fix == "check the id"
    assert "runtime" not in found


def test_a_hub_that_does_not_answer(project: Project, services: Services) -> None:
    services.hub.trouble["device"] = [CloudError("no answer", where="fake-hub", fix="check the network")]
    found = rows(project, services)
    assert found["hub"].state == "failed"
    assert found["device"].state == "skipped"


def test_a_project_without_a_device_still_asks_the_hub(tmp_path: Path, services: Services) -> None:
    project = _load(tmp_path, "version: 1\n")
    assert rows(project, services)["hub"].state == "ok"
    services.hub.trouble["devices"] = [CloudError("no answer", where="fake-hub", fix="check the network")]
    found = rows(project, services)
    assert found["hub"].state == "failed"
    assert found["device"].state == "skipped"


def test_another_device_may_be_looked_at(project: Project, services: Services) -> None:
    services.hub.add("edge-02", edge=False)
    found = rows(project, services, "edge-02")
    assert found["device edge-02"].state == "failed"
    assert "manifestgen device register" in found["device edge-02"].fix


def test_a_runtime_that_is_not_connected_is_a_warning(project: Project, services: Services) -> None:
    services.hub.connect(DEVICE, connected=False)
    row = rows(project, services)["runtime"]
    assert row.state == "warning"
    assert "manifestgen device connection-string" in row.fix


class TestToken:
    NOW = datetime(2026, 9, 1, tzinfo=timezone.utc)

    @pytest.fixture
    def with_token(self, project: Project) -> Project:
        return _load(project.root, _BUILDS + "registry: {credentials: token}\n")

    def look(self, project: Project, services: Services, *, after: int = 0) -> Row:
        now = self.NOW + timedelta(days=after)
        found = {
            row.subject: row for row in examine(project, services, logged_in, root=project.root / "state", now=now)
        }
        row = found["registry acme.azurecr.io"]
        assert row.words.startswith("source token, user manifestgen-anomaly")
        assert "admin user enabled" in row.words
        return row

    def made(self, project: Project, services: Services) -> None:
        info = services.registry.by_host("acme.azurecr.io")
        name = name_of(project.registry_settings)
        create(services.registry, info, name, ["scorer"], root=project.root / "state", days=30, now=self.NOW)

    def test_one_that_is_missing_says_how_to_make_it(self, with_token: Project, services: Services) -> None:
        row = self.look(with_token, services)
        assert row.state == "failed"
        assert "create-token" in row.fix

    @pytest.mark.parametrize(
        ("after", "state", "words"),
        [(0, "ok", "in 30 days"), (17, "warning", "in 13 days"), (30, "failed", "expired on 2026-10-01")],
    )
    def test_its_password_is_warned_of_before_it_expires(
        self, after: int, state: str, words: str, with_token: Project, services: Services
    ) -> None:
        self.made(with_token, services)
        row = self.look(with_token, services, after=after)
        assert (row.state, words in row.words) == (state, True)
        assert ("rotate" in row.fix) == (state != "ok")

    def test_a_password_that_is_stored_elsewhere_is_a_failure_for_this_machine(
        self, with_token: Project, services: Services
    ) -> None:
        self.made(with_token, services)
        shutil.rmtree(with_token.root / "state")
        row = self.look(with_token, services)
        assert row.state == "failed" and "no password of the token is stored on this machine" in row.words
        assert "ACR_PASSWORD_" in row.fix

    def test_a_password_that_was_replaced_elsewhere_is_a_failure(self, with_token: Project, services: Services) -> None:
        self.made(with_token, services)
        (token,) = services.registry.tokens.values()
        services.registry.generate_password(token, "password1", self.NOW + timedelta(days=77))
        row = self.look(with_token, services)
        assert row.state == "failed" and "replaced" in row.words


_IN_VAULT = (
    _ELSEWHERE
    + """\
manifest: {template: two.json.j2}
registry:
  credentials: keyvault
  keyvault: {vault: contoso, name: acme-pwd, username: a, secrets: {docker.io: {name: hub-pwd, username: h}}}
"""
)
_TWO_IMAGES = """\
{% extends "runtime-only.json.j2" %}
{% block modules %}"scorer": {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
  "settings": {"image": {{ image | tojson }}, "createOptions": "{}"}},
"camera": {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
  "settings": {"image": "docker.io/contoso/camera:1", "createOptions": "{}"}}{% endblock %}
"""


def in_vault(folder: Path) -> Project:
    (folder / "two.json.j2").write_text(_TWO_IMAGES)
    return _load(folder, _IN_VAULT)


def test_each_login_of_a_key_vault_is_looked_at(tmp_path: Path, services: Services) -> None:
    now = datetime(2026, 9, 1, tzinfo=timezone.utc)
    services.vaults.put("hub-pwd", "canary-of-the-hub", now + timedelta(days=9)).put("acme-pwd", "canary-of-acme")
    found = {one.subject: one for one in examine(in_vault(tmp_path), services, logged_in, now=now)}
    assert found["registry acme.azurecr.io"] == Row(
        "registry acme.azurecr.io", "ok", "source keyvault, user a, password in the key vault, admin user enabled"
    )
    hub = found["registry docker.io"]
    assert hub.state == "warning"
    assert hub.words == "source keyvault, user h, password in the key vault, expires on 2026-09-10, in 9 days"
    assert "az keyvault secret set --vault-name contoso --name hub-pwd" in hub.fix
    assert "canary" not in str(found)


def test_a_secret_that_is_missing_does_not_keep_the_others_from_being_looked_at(
    tmp_path: Path, services: Services
) -> None:
    services.vaults.put("acme-pwd", "canary-of-acme")
    found = rows(in_vault(tmp_path), services)
    assert failed(found) == ["registry docker.io"]
    assert found["registry docker.io"].fix == "set it"
    assert "secret hub-pwd of key vault contoso" in found["registry docker.io"].words


def test_a_key_vault_is_not_asked_without_a_credential(tmp_path: Path, services: Services) -> None:
    def nobody() -> None:
        raise DeniedError("no Azure credential was found", fix="run 'az login'")

    found = {one.subject: one for one in examine(in_vault(tmp_path), services, nobody)}
    assert found["registry acme.azurecr.io"].state == found["registry docker.io"].state == "skipped"
    assert services.vaults.asked == []


def test_the_key_vaults_sdk_says_how_to_install_only_where_it_is_needed(
    tmp_path: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == "azure-keyvault-secrets":
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = rows(in_vault(tmp_path), services)
    assert found["azure-keyvault-secrets"].fix == "run: pip install 'manifestgen[keyvault]'"
    assert "azure-keyvault-secrets" not in rows(_load(tmp_path, _ELSEWHERE), services)
