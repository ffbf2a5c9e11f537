"""`-e NAME` and `MANIFESTGEN_ENVIRONMENT` choose a project's environment, in every command that reads a project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.fix_texts import ALL

from manifestgen.cli import run
from manifestgen.cli._completing import environments as complete
from manifestgen.cli._completing import modules
from manifestgen.errors import InputError
from manifestgen.project.beside import project_of
from manifestgen.services import open_hub

TEXT = """\
version: 1
image: {builder: none, reference: mcr.microsoft.com/scorer:1.4.2}
environments:
  dev:
    hub: {host: contoso-dev.azure-devices.net}
    target: {device: edge-01}
    manifest: {values: {ttl: 60}}
  prod:
    hub: {host: contoso.azure-devices.net}
    target: {device: edge-77}
"""
DEV = "HostName=contoso-dev.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=MDEyMzQ1Njc4OTAxMjM0NTY3ODk="


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "manifestgen.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _context(**params: object) -> object:
    """What click hands a completion: the command's arguments and options so far."""
    return type("Context", (), {"params": params, "args": []})


def _ttl(file: Path) -> object:
    content = json.loads(file.read_text())
    return content["modulesContent"]["$edgeHub"]["properties.desired"]["storeAndForwardConfiguration"]["timeToLiveSecs"]


def test_every_command_that_reads_a_project_takes_it() -> None:
    for path, command in ALL.items():
        names = {name for option in command.params for name in (option.name, *option.opts)}
        if {"project", "--hub", "--project"} & names and path != ("init",):
            assert {"-e", "--environment"} <= names, path


class TestChoosing:
    def test_each_environment_renders_into_its_own_file(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run(["render", "-e", "dev"]) == 0
        assert "rendered deployment.dev.json" in capsys.readouterr().out
        before = (folder / "deployment.dev.json").read_bytes()
        monkeypatch.setenv("MANIFESTGEN_ENVIRONMENT", "prod")
        assert run(["render"]) == 0
        assert (_ttl(folder / "deployment.dev.json"), _ttl(folder / "deployment.prod.json")) == (60, 7200)
        assert (folder / "deployment.dev.json").read_bytes() == before
        assert run(["render", "--environment", "dev", "-o", "again.json"]) == 0
        assert (folder / "again.json").read_bytes() == before

    def test_an_unknown_one_is_two_lines(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["render", "-e", "prd"]) == 2
        assert capsys.readouterr().err.splitlines() == [
            "error: manifestgen.yaml:3:1: there is no environment 'prd'",
            "  fix: did you mean 'prod'?",
        ]

    def test_an_empty_one_is_not_none(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["render", "-e", ""]) == 2
        assert "--environment: the name of the environment is empty" in capsys.readouterr().err

    def test_an_option_without_a_project_is_an_error_and_the_variable_is_not(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IOTHUB_CONNECTION_STRING", DEV)
        assert run(["render", "-o", "deployment.json", "-q"]) == 0
        (folder / "elsewhere").mkdir()
        monkeypatch.chdir(folder / "elsewhere")
        assert run(["status", "--device", "edge-01", "-e", "prod"]) == 2
        assert "there is no project here, so there is no environment 'prod'" in capsys.readouterr().err
        assert run(["check", "../deployment.json", "-e", "prod"]) == 2
        monkeypatch.setenv("MANIFESTGEN_ENVIRONMENT", "prod")
        assert run(["check", "../deployment.json"]) == 0

    def test_check_of_another_project_reads_that_one_alone(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "other").mkdir()
        (folder / "other" / "manifestgen.yaml").write_text(TEXT.replace("  dev:", "  lab:"))
        assert run(["check", "other", "-e", "lab"]) == 0
        assert run(["check", "other/manifestgen.yaml", "-e", "lab"]) == 0
        capsys.readouterr()
        assert run(["check", "other", "-e", "dev"]) == 2
        assert "other/manifestgen.yaml:3:1: there is no environment 'dev'" in capsys.readouterr().err
        (folder / "manifestgen.yaml").write_text("broken: [")
        monkeypatch.setenv("MANIFESTGEN_ENVIRONMENT", "lab")
        assert run(["check", "other"]) == 0
        monkeypatch.chdir(folder / "other")
        assert run(["check", "../other", "-e", "lab"]) == 0
        (folder / "manifestgen.yaml").unlink()
        monkeypatch.chdir(folder)
        assert run(["check", "other", "-e", "lab"]) == 0

    def test_what_the_rest_of_the_file_lacks_names_the_environments(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)
        assert run(["status", "--device", "edge-01"]) == 2
        assert "or choose an environment with --environment: dev, prod" in capsys.readouterr().err

    def test_a_shell_offers_the_names(self, folder: Path) -> None:
        context = _context()
        assert complete(context, None, "") == ["dev", "prod"]
        assert complete(_context(project=folder / "manifestgen.yaml"), None, "p") == ["prod"]
        (folder / "manifestgen.yaml").write_text("environments: [")
        assert complete(context, None, "") == []

    def test_a_shell_offers_the_modules_of_the_environment(self, folder: Path) -> None:
        def offered(incomplete: str = "", **params: object) -> list[str]:
            return modules(_context(**params), None, incomplete)

        more = "environments: {dev: {modules: {extra: {image: {builder: none, reference: s:2}}}}}\n"
        text = "version: 1\nmodules: {cam: {image: {builder: none, reference: s:1}}}\n"
        (folder / "manifestgen.yaml").write_text(text + more)
        assert (offered(), offered(environment="dev"), offered("e", environment="dev")) == (
            ["cam"],
            ["cam", "extra"],
            ["extra"],
        )
        (folder / "manifestgen.yaml").write_text("modules: [")
        assert offered() == offered(project=folder / "nowhere") == []


class TestHub:
    @pytest.mark.parametrize("command", [["status", "--device", "edge-77"], ["device", "list"], ["deploy", "--yes"]])
    def test_another_one_in_the_environment_of_the_process_is_an_error_that_names_both(
        self, folder: Path, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IOTHUB_CONNECTION_STRING", DEV)
        assert run([*command, "-e", "prod"]) == 2
        error, fix = capsys.readouterr().err.splitlines()[-2:]
        assert "the hub contoso-dev.azure-devices.net" in error
        assert "the project's hub in environment prod is contoso.azure-devices.net" in error
        assert "--hub contoso-dev.azure-devices.net or --hub contoso.azure-devices.net" in fix

    def test_the_same_one_is_fine(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IOTHUB_CONNECTION_STRING", DEV)
        project = project_of(Path("deployment.dev.json"))
        assert open_hub(None, project).host == "contoso-dev.azure-devices.net"


class TestManifest:
    def test_the_name_says_which_environment_it_is_of(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "lab.yaml").write_text(TEXT)
        (folder / "old.yaml").write_text("version: 1\n")
        (folder / "old.lock.json").write_text("{}")
        found = {}
        for name in ("", "prod.", "lab.dev.", "old.", "nothing.", "lab.nothing."):
            project = project_of(folder / f"deployment.{name}json")
            assert project is not None
            found[name] = (project.path.name, project.environment)
        assert found == {
            "": ("manifestgen.yaml", None),
            "prod.": ("manifestgen.yaml", "prod"),
            "lab.dev.": ("lab.yaml", "dev"),
            "old.": ("old.yaml", None),
            "nothing.": ("manifestgen.yaml", None),
            "lab.nothing.": ("manifestgen.yaml", None),
        }
        monkeypatch.setenv("MANIFESTGEN_ENVIRONMENT", "dev")
        with pytest.raises(InputError, match="this is the manifest of environment 'prod', and 'dev' is chosen"):
            project_of(folder / "deployment.prod.json")
