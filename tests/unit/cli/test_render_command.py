from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from manifestgen.cli import run

PROJECT = """\
version: 1
image: {builder: none, reference: "acme.azurecr.io/scorer:1.4.2"}
registry: {credentials: env}
"""
CANARY = "canary-registry-password"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACR_USERNAME_ACME", "acme-user")
    monkeypatch.setenv("ACR_PASSWORD_ACME", CANARY)


def test_the_manifest_lies_beside_the_project_file_for_its_owner_only(
    folder: Path, login: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["render"]) == 0
    target = folder / "deployment.json"
    if os.name == "posix":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert CANARY in target.read_text()
    out, err = capsys.readouterr()
    assert "rendered deployment.json: edgeAgent, edgeHub, scorer" in out
    assert CANARY not in out + err


def test_a_manifest_without_secrets_is_for_all(folder: Path) -> None:
    assert run(["render", "--secrets", "placeholder"]) == 0
    text = (folder / "deployment.json").read_text()
    assert "${ACR_PASSWORD_ACME}" in text
    if os.name == "posix":
        other = folder / "other"
        other.touch(mode=0o644)
        assert stat.S_IMODE((folder / "deployment.json").stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_stdout_gets_placeholders_without_being_asked(
    folder: Path, login: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["render", "-o", "-"]) == 0
    out, err = capsys.readouterr()
    manifest = json.loads(out)
    credentials = manifest["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"][
        "registryCredentials"
    ]
    assert credentials["acme"]["password"] == "${ACR_PASSWORD_ACME}"
    assert CANARY not in out + err


def test_stdout_gets_secrets_only_when_asked(folder: Path, login: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "-o", "-", "--secrets", "inline"]) == 0
    assert CANARY in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="/dev/stdout of POSIX")
@pytest.mark.parametrize("output", ["text", "json"])
def test_stdout_by_its_path_gets_the_manifest_and_nothing_else(folder: Path, login: None, output: str) -> None:
    command = [sys.executable, "-m", "manifestgen", "render", "-o", "/dev/stdout", "--output", output]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "modulesContent" in json.loads(ended.stdout)
    assert CANARY not in ended.stdout


@pytest.mark.skipif(os.name != "posix", reason="/dev/stdout of POSIX")
def test_a_device_is_shown_like_stdout_and_not_replaced(folder: Path, login: None) -> None:
    assert run(["render", "-o", "/dev/null"]) == 0
    assert not Path("/dev/null").is_file()


def test_json_output_is_one_document(folder: Path, login: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "--output", "json"]) == 0
    out, _ = capsys.readouterr()
    document = json.loads(out)
    assert document["path"] == "deployment.json"
    assert document["registries"] == ["acme.azurecr.io"]
    assert document["secrets"] is True
    assert [module["name"] for module in document["modules"]] == ["edgeAgent", "edgeHub", "scorer"]


def test_the_manifest_is_the_one_document_with_json_on_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "-o", "-", "--output", "json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["modulesContent"]


def test_options_win_over_files_and_files_over_the_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "manifestgen.yaml").write_text(PROJECT + "manifest: {values: {ttl: 1, env: {A: 1, B: 1, C: 1}}}\n")
    (folder / "a.yaml").write_text("ttl: 2\nenv: {B: 2, C: 2}\n")
    (folder / "b.json").write_text('{"env": {"C": 3}}')
    sets = ["--set", "env.D=x", "--set", "runtime='1.5'", "--image", "acme.azurecr.io/other:2"]
    assert run(["render", "-o", "-", "--values", "a.yaml", "--values", "b.json", *sets]) == 0
    out = capsys.readouterr().out
    content = json.loads(out)["modulesContent"]
    module = content["$edgeAgent"]["properties.desired"]["modules"]["scorer"]
    assert {name: entry["value"] for name, entry in module["env"].items()} == {"A": 1, "B": 2, "C": 3, "D": "x"}
    assert content["$edgeHub"]["properties.desired"]["storeAndForwardConfiguration"] == {"timeToLiveSecs": 2}
    assert module["settings"]["image"] == "acme.azurecr.io/other:2"
    assert "azureiotedge-agent:1.5" in out


def test_manifest_output_says_where_it_goes(folder: Path, login: None) -> None:
    (folder / "manifestgen.yaml").write_text(PROJECT + "manifest: {output: out.json}\n")
    assert run(["render"]) == 0
    assert (folder / "out.json").is_file()


def test_without_an_image_the_command_that_makes_one_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builds = "image: {builder: package, name: n, entry_script: score.py, conda_file: myenv.yml}\n"
    (folder / "manifestgen.yaml").write_text(f"version: 1\nmodel: {{name: m}}\n{builds}")
    assert run(["render", "-o", "-"]) == 2
    assert capsys.readouterr().err == (
        "error: manifestgen.yaml: the model image has not been built yet\n"
        "  fix: run 'manifestgen image' to build it, or give --image REF\n"
    )


def test_without_an_image_section_the_section_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "manifestgen.yaml").write_text("version: 1\n")
    assert run(["render", "-o", "-"]) == 2
    assert capsys.readouterr().err == (
        "error: manifestgen.yaml: the template needs an image, and the project names none\n"
        "  fix: add an 'image' section to the project file, or give --image REF\n"
    )


def test_a_missing_login_names_its_variables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "--output", "json"]) == 2
    out, err = capsys.readouterr()
    assert "no credential for registry acme.azurecr.io" in err
    assert "ACR_USERNAME_ACME" in json.loads(out)["error"]["fix"]
    assert not (folder / "deployment.json").exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nowhere"], "project file not found"),
        (["--set", "x"], "is not KEY=VALUE"),
        (["--values", "nope.yaml"], "values file not found"),
        (["-o", "no/such/folder/x.json", "--secrets", "placeholder"], "output folder not found"),
        (["-o", ".", "--secrets", "placeholder"], "output is a folder"),
        (["--secrets", "maybe"], "secrets"),
    ],
)
def test_wrong_input_is_two_lines_and_exit_2(
    folder: Path, arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["render", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ")
    assert what in lines[0]
    assert lines[1].startswith("  fix: ")
    assert len(lines) == 2


def test_a_files_content_does_not_reach_stdout_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "key").write_text("canary-of-a-mounted-file")
    (folder / "manifestgen.yaml").write_text(PROJECT + "manifest: {values: {env: {KEY: '${file:key}'}}}\n")
    assert run(["render", "-o", "-"]) == 2
    out, err = capsys.readouterr()
    assert "canary" not in out + err
    assert "--secrets inline" in err


def test_a_failing_template_shows_no_password(folder: Path, login: None, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.json.j2").write_text(
        '{"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {"m": {"settings": '
        '{"image": "acme.azurecr.io/a:1"}}}}}{% for k, c in registry_credentials.items() %}'
        '"{{ c.password }}"{% endfor %}}}'
    )
    (folder / "manifestgen.yaml").write_text(PROJECT + "manifest: {template: t.json.j2}\n")
    assert run(["render", "-vv"]) == 2
    out, err = capsys.readouterr()
    assert "t.json.j2:1: the template's output is not JSON" in err
    assert CANARY not in out + err


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
class TestGit:
    @pytest.fixture(autouse=True)
    def _repository(self, folder: Path, login: None) -> None:
        subprocess.run(["git", "init", "-q", str(folder)], check=True)

    def test_a_file_with_secrets_that_git_would_take_is_warned_of(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["render"]) == 0
        assert "warning: deployment.json holds secrets and git does not ignore it" in capsys.readouterr().err

    def test_no_warning_where_git_ignores_it(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / ".gitignore").write_text("deployment.json\n")
        assert run(["render"]) == 0
        assert "warning" not in capsys.readouterr().err

    def test_no_warning_without_secrets(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["render", "--secrets", "placeholder"]) == 0
        assert "warning" not in capsys.readouterr().err

    def test_no_warning_where_git_is_not_installed(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        assert run(["render"]) == 0
        assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("out", ["manifestgen.yaml", "./manifestgen.yaml", "t.json.j2", "values.yaml"])
def test_an_output_that_is_an_input_stays_what_it_is(
    folder: Path, login: None, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "t.json.j2").write_text('{"modulesContent": {}}')
    (folder / "values.yaml").write_text("a: 1\n")
    (folder / "manifestgen.yaml").write_text(PROJECT + "manifest: {template: t.json.j2}\n")
    before = (folder / out).read_text()
    assert run(["render", "--values", "values.yaml", "-o", out]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert "the output is also an input" in first
    assert second == "  fix: give another file with -o"
    assert (folder / out).read_text() == before


def test_a_plan_does_not_replace_its_manifest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "m.json").write_text('{"modulesContent": {}}')
    assert run(["plan", "m.json", "--device", "edge-01", "--out", "m.json"]) == 2
    assert "the output is also an input" in capsys.readouterr().err
    assert (folder / "m.json").read_text() == '{"modulesContent": {}}'


@pytest.mark.skipif(os.name != "posix", reason="a device without end")
@pytest.mark.parametrize("command", [["check"], ["plan", "--device", "edge-01"], ["apply", "--device", "edge-01"]])
def test_a_manifest_without_end_is_an_error(
    command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command[0], "/dev/zero", *command[1:]]) == 2
    assert "larger than" in capsys.readouterr().err
