"""How the services of a project are chosen and opened, without connecting to any."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from manifestgen.azure import auth, iot_hub
from manifestgen.azure.aml_container_image import ContainerImageBuilder
from manifestgen.azure.aml_models import WorkspaceModels
from manifestgen.azure.aml_package import PackageBuilder
from manifestgen.azure.azureml2_models import WorkspaceModels2
from manifestgen.errors import DeniedError, InputError
from manifestgen.hub_name import hub_identity
from manifestgen.project.load import Project, load
from manifestgen.services import (
    CONNECTION_STRING,
    ProjectServices,
    log_in,
    open_distribution,
    open_hub,
)
from manifestgen.services.module import open_builder

STRING = "HostName=fromtheenvironment.azure-devices.net;SharedAccessKeyName=a;SharedAccessKey=Y2FuYXJ5"
PROJECT = """\
version: 1
model: {name: m}
image: {builder: package, name: anomaly, entry_script: score.py, conda_file: myenv.yml}
hub: {host: fromtheproject.azure-devices.net}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    return load(tmp_path)


class TestHub:
    @pytest.fixture(autouse=True)
    def _connecting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Connected(str):
            __slots__ = ()

            @property
            def host(self) -> str:
                return hub_identity(self.partition("=")[2])

        def connect(*, host: str | None = None, credential: Any = None, connection_string: Any = None) -> str:
            return Connected(f"{host} by login" if host else connection_string.reveal().partition(";")[0])

        monkeypatch.setattr(iot_hub, "connect", connect)
        monkeypatch.setattr(auth, "credential", lambda: None)

    def test_a_host_that_is_given_wins(self, project: Project) -> None:
        assert str(open_hub("given", project, {CONNECTION_STRING: STRING})) == "given by login"

    def test_the_environment_is_used_without_a_project(self) -> None:
        found = open_hub(None, None, {CONNECTION_STRING: STRING})
        assert str(found) == "HostName=fromtheenvironment.azure-devices.net"

    def test_two_different_hubs_are_an_error_that_names_both(self, project: Project) -> None:
        with pytest.raises(InputError) as caught:
            open_hub(None, project, {CONNECTION_STRING: STRING})
        both = ("fromtheenvironment.azure-devices.net", "fromtheproject.azure-devices.net")
        assert all(hub in caught.value.what and f"--hub {hub}" in caught.value.fix for hub in both)
        assert CONNECTION_STRING in caught.value.what
        assert caught.value.where == str(project.path)
        assert "Y2FuYXJ5" not in f"{caught.value} {caught.value.fix}"

    @pytest.mark.parametrize(
        ("variable", "configured"),
        [
            ("contoso.azure-devices.net", "contoso.azure-devices.net"),
            ("contoso.azure-devices.net", "contoso.service.azure-devices.net"),
            ("contoso.service.azure-devices.net", "contoso.azure-devices.net"),
            ("Contoso.azure-devices.net", "contoso.service.azure-devices.net"),
        ],
    )
    def test_all_names_of_a_hub_count_as_one(self, project: Project, variable: str, configured: str) -> None:
        project.path.write_text(PROJECT.replace("fromtheproject.azure-devices.net", configured))
        text = STRING.replace("fromtheenvironment.azure-devices.net", variable)
        assert str(open_hub(None, load(project.root), {CONNECTION_STRING: text})) == f"HostName={variable}"

    def test_the_projects_is_last(self, project: Project) -> None:
        assert str(open_hub(None, project, {})) == "fromtheproject.azure-devices.net by login"

    def test_without_any_it_says_the_three_ways(self) -> None:
        with pytest.raises(InputError, match="no IoT hub is specified") as caught:
            open_hub(None, None, {})
        assert all(way in caught.value.fix for way in ("--hub", CONNECTION_STRING, "hub:"))

    def test_this_process_is_asked_by_default(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        text = STRING.replace("fromtheenvironment", "fromtheproject")
        monkeypatch.setenv(CONNECTION_STRING, text)
        for found in (open_hub(None, project), ProjectServices(project).hub):
            assert str(found) == "HostName=fromtheproject.azure-devices.net"
        assert str(ProjectServices(project, environ={}).hub) == "fromtheproject.azure-devices.net by login"
        assert str(ProjectServices(project, "given").hub) == "given by login"


class TestBuilder:
    @pytest.mark.parametrize(
        ("name", "kind"), [("package", PackageBuilder), ("container-image", ContainerImageBuilder)]
    )
    def test_it_is_the_one_that_the_project_names(self, project: Project, name: str, kind: type) -> None:
        services = ProjectServices(project.built_by(name))
        assert isinstance(services.builder, kind)
        assert services.builder is services.builder
        assert isinstance(services.models, WorkspaceModels)

    @pytest.mark.parametrize(
        ("installed", "kind"),
        [
            ({"azure.ai.ml", "azureml"}, WorkspaceModels2),
            ({"azure.ai.ml"}, WorkspaceModels2),
            ({"azureml"}, WorkspaceModels),
            (set(), WorkspaceModels2),
        ],
    )
    def test_models_for_other_builders_come_through_the_sdk_that_is_installed(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, installed: set[str], kind: type
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
        text = PROJECT.replace("builder: package", "builder: local, registry: acme.azurecr.io")
        project.path.write_text(text + "workspace: {subscription_id: s, resource_group: g, name: w}\n")
        assert isinstance(ProjectServices(load(project.root)).models, kind)

    def test_a_project_that_builds_none_has_none(self, tmp_path: Path) -> None:
        for text in ("version: 1\n", "version: 1\nimage: {builder: none, reference: a/b:1}\n"):
            (tmp_path / "manifestgen.yaml").write_text(text)
            made = load(tmp_path)
            with pytest.raises(ValueError, match=r"builds no image|built elsewhere"):
                open_builder(made, ProjectServices(made))

    def test_azure_ml_builds_models_of_azure_ml_only(self, project: Project) -> None:
        builder = PackageBuilder(lambda: object())  # type: ignore[arg-type, return-value]
        with pytest.raises(InputError, match="Azure ML builds only models of its own workspaces"):
            builder.registry_id()


class TestConnections:
    def test_nothing_is_connected_before_it_is_used(self, project: Project) -> None:
        connected: list[int] = []
        with ProjectServices(project, connecting=lambda: connected.append(1)) as services:
            assert connected == []
            first = services.distribution
            assert services.distribution is first
            assert connected == [1]
            assert services.registry is services.registry
            assert services.vaults is services.vaults
            assert connected == [1, 1, 1]

    def test_what_was_opened_is_closed(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        from manifestgen.azure.registry_api import ImageRegistries

        closed: list[object] = []
        monkeypatch.setattr(ImageRegistries, "close", lambda self: closed.append(self))
        with ProjectServices(project):
            pass
        assert closed == []
        with ProjectServices(project) as services:
            opened = services.distribution
        with open_distribution() as alone:
            pass
        assert closed == [opened, alone]

    def test_a_login_that_fails_is_an_error_of_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(scope: str) -> str:
            raise DeniedError(f"no token for {scope}", fix="run 'az login'")

        monkeypatch.setattr(auth, "token", refuse)
        with pytest.raises(DeniedError, match=r"management\.azure\.com"):
            log_in()


def test_importing_it_reads_no_environment_and_no_sdk() -> None:
    code = (
        "import os, sys\n"
        "class Spy(dict):\n"
        "    def get(self, name, default=None): raise SystemExit(f'read {name}')\n"
        "    __getitem__ = get\n"
        "os.environ = Spy()\n"
        "import manifestgen.services\n"
        "foreign = {'azure', 'azureml', 'click', 'requests', 'msgspec'}\n"
        "print(sorted(foreign & {name.partition('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "[]"), ended.stderr
