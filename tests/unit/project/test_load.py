from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.project import load
from manifestgen.project.load import read
from manifestgen.secret import redact

GOOD = """\
version: 1
workspace: {config: config.json}
model:
  name: best_model
  path: model.pkl
  version: 3
  tags: {area: anomaly, type: classification}
  description: Sample anomaly detection model
image:
  builder: package
  name: tempanomalydetection
  entry_script: score.py
  conda_file: myenv.yml
  tags: {area: iot}
registry:
  credentials: admin
manifest:
  template: anomaly-detection
  module: machinelearningmodule
  runtime: "1.6"
  values: {ttl: 7200, site: "${env:SITE}"}
hub: {host: contoso.azure-devices.net}
target:
  device: edge-01
check:
  ignore: {floating-tag: lab devices}
"""
ENVIRON = {"SITE": "hall-3", "PRIORITY": "7", "SECRET": "canary-secret"}


def reading(text: str, root: Path = Path("/p")) -> Any:
    return read(text, root / "manifestgen.yaml", ENVIRON)


def test_every_section_is_read_and_paths_are_relative_to_the_file() -> None:
    project = reading(GOOD)
    assert project.root == Path("/p")
    assert project.workspace.config == Path("/p/config.json")
    assert (project.model.name, project.model.path, project.model.wanted) == ("best_model", Path("/p/model.pkl"), "3")
    assert project.model.tags == {"area": "anomaly", "type": "classification"}
    assert project.image.entry_script == Path("/p/score.py")
    assert project.registry.credentials == "admin"
    assert project.manifest.values == {"ttl": 7200, "site": "hall-3"}
    assert project.hub.host == "contoso.azure-devices.net"
    assert project.target.device == "edge-01"
    assert project.check.ignore == {"floating-tag": "lab devices"}


@pytest.mark.parametrize(
    ("model", "name", "version"),
    [
        ("{name: m, version: 3}", "m", "3"),
        ("{name: m, version: '3'}", "m", "3"),
        ("{name: m, version: v3}", "m", "v3"),
        ("{path: models/best.pkl}", "best", None),
        ("{path: models/mlflow-model}", "mlflow-model", None),
    ],
)
def test_a_model_has_a_name_and_its_version_is_a_string(model: str, name: str, version: str | None) -> None:
    project = reading(f"version: 1\nmodel: {model}\n")
    assert (project.model.name, project.model.wanted) == (name, version)


def test_sections_that_are_absent_or_empty_are_none() -> None:
    project = reading("version: 1\nmodel:\nhub: ~\n")
    assert (project.model, project.hub, project.image, project.manifest, project.target) == (None,) * 5


def test_a_deployment_without_a_priority_gets_one() -> None:
    project = reading("version: 1\ntarget: {deployment: lab, condition: tags.site = 'lab'}\n")
    assert project.target.priority == 10


def test_a_whole_number_may_come_from_a_variable() -> None:
    project = reading("version: 1\ntarget: {deployment: lab, condition: '*', priority: '${env:PRIORITY}'}\n")
    assert project.target.priority == 7


@pytest.mark.parametrize(
    ("old", "new", "where", "what", "fix"),
    [
        ("version: 1\n", "", "1:1", "'version' is missing", "version: 1"),
        ("version: 1", "version: 2", "1:10", "unknown version 2 of the project file", "version: 1"),
        ("version: 1", "version: one", "1:10", "version is a string, not a whole number", "whole number"),
        ("builder: package", "builder: packag", "10:12", "image.builder is 'packag'", "'package'"),
        ("builder: package", "builder: docker", "10:12", "is 'docker'", "package, container-image, acr, local, none"),
        ("builder: package", "bilder: package", "10:3", "unknown key 'bilder' in 'image'", "'builder'"),
        ("registry:", "registri:", "15:1", "unknown key 'registri'", "'registry'"),
        ("registry:", "device: x\nregistry:", "15:1", "unknown key 'device'", "target"),
        ("registry:", "zzzz: x\nregistry:", "15:1", "unknown key 'zzzz'", "known keys: version"),
        ("{area: iot}", "{area, type}", "14:14", "image.tags.area is empty", "tags: {area: VALUE}"),
        ("{area: iot}", "[area, type]", "14:9", "image.tags is a list", "tags: {KEY: VALUE}"),
        ("{area: iot}", "!!set {area, type}", "14:9", "tag", "for a mapping, write {KEY: VALUE}"),
        ("{area: iot}", "{area: 1.10}", "14:16", "image.tags.area is a number (1.10)", '"1.10"'),
        ('"1.6"', "1.10", "20:12", "manifest.runtime is a number (1.10), not a string", '"1.10"'),
        ("version: 3", "version: 0", "6:12", "model.version is 0", "at least 1"),
        ("version: 3", "version: ''", "6:12", "model.version is empty", "value"),
        ("version: 3", "version: 1.10", "6:12", "model.version is a number (1.10), not a whole number or a", '"1.10"'),
        ("name: best_model", "name:", "4:8", "model.name is empty", "value"),
        ("name: best_model", "name: ''", "4:9", "model.name is empty", "value"),
        ("name: best_model", "name: [x]", "4:9", "model.name is a list, not a string", "write a string"),
        (
            "  name: best_model\n  path: model.pkl\n",
            "",
            "3:1",
            "neither a name nor a path",
            "'name: …' of a registered",
        ),
        ("path: model.pkl", "path: 3", "5:9", "model.path is a whole number (3)", '"3"'),
        ("path: model.pkl", "path: ''", "5:9", "model.path is empty", "value"),
        ("credentials: admin", "credentials: docker", "16:16", "is 'docker'", "admin, token, env, file, keyvault"),
        ("credentials: admin", "credentials: vault", "16:16", "is 'vault'", "did you mean 'keyvault'"),
        ("credentials: admin", "sources: {a.io: admn}", "16:19", "registry.sources.a.io is 'admn'", "'admin'"),
        ("credentials: admin", "sources: {a.io: }", "16:19", "registry.sources.a.io is empty", "value"),
        (
            "credentials: admin",
            "sources: {'https://a.io/': env}",
            "16:13",
            "'https://a.io/' is not a registry host",
            "docker.io",
        ),
        ("credentials: admin", "sources: {a.io: file}", "15:1", "registry.file is missing", "file: PATH"),
        (
            "credentials: admin",
            "token: my_token",
            "16:10",
            "registry.token 'my_token' is not a valid token name",
            "5 to 50 letters",
        ),
        ("credentials: admin", "days: 0", "16:9", "registry.days is 0", "at least 1"),
        ("credentials: admin", "credentials: file", "15:1", "registry.file is missing", "file: PATH"),
        ("credentials: admin", "file: x", "15:1", "registry.file is given", "credentials: file"),
        (
            "tempanomalydetection",
            "TempAnomaly",
            "11:9",
            "image.name 'TempAnomaly' is not a valid image name",
            "lower-case",
        ),
        ("machinelearningmodule", "my module", "19:11", "'my module' is not a valid module name", "letters, digits"),
        ("  name: tempanomalydetection\n", "", "9:1", "image.name is missing", "add 'name: …'"),
        ("  entry_script: score.py\n", "", "9:1", "image.entry_script is missing", "entry_script"),
        ("builder: package", "builder: none", "9:1", "image.reference is missing", "reference"),
        ("  name: temp", "  reference: a/b:1\n  name: temp", "11:3", "image.reference is set", "builder: none"),
        (
            "{config: config.json}",
            "{name: a}",
            "2:1",
            "workspace is only partly given, or given twice",
            "subscription_id",
        ),
        ("{config: config.json}", "5", "2:12", "workspace is a whole number (5), not a mapping", "key: value"),
        ("${env:SITE}", "${env:NOPE}", "21:29", "variable 'NOPE' is not set", "set NOPE"),
        ("${env:SITE}", "${env:}", "21:29", "has no variable name", "${env:NAME}"),
        ("${env:SITE}", "${file:nope}", "21:29", "${file:nope}: file not found", "path"),
        ("device: edge-01", "deployment: lab", "23:1", "target.condition is missing", "condition"),
        ("device: edge-01", "condition: x", "23:1", "neither a device nor a deployment", "device: ID"),
        ("device: edge-01", "device: a\n  deployment: lab", "23:1", "both", "device: ID"),
        (
            "device: edge-01",
            "device: a\n  priority: 1",
            "23:1",
            "condition and priority are for a deployment",
            "remove",
        ),
        ("lab devices", "''", "26:26", "check.ignore.floating-tag is empty", "reason"),
        ("  name: best_model", "  name: a\n  name: b", "5:3", "'name' is given twice, first in line 4", "one of"),
    ],
)
def test_a_mistake_says_where_what_and_what_to_do(old: str, new: str, where: str, what: str, fix: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(InputError) as caught:
        reading(GOOD.replace(old, new, 1))
    assert caught.value.where == f"/p/manifestgen.yaml:{where}"
    assert what in caught.value.what
    assert fix in caught.value.fix


NO_VAULT = "is not a valid key vault name or URI"
NO_SECRET = "is not a valid secret name"
VAULT = "credentials: keyvault\n  keyvault: {vault: contoso-edge, name: acme-pwd, username: robot}"


@pytest.mark.parametrize(
    ("old", "new", "at", "what", "fix"),
    [
        (VAULT[22:], "", "registry:", "registry.keyvault is missing", "name: SECRET"),
        ("credentials: keyvault", "credentials: env", "registry:", "keyvault is given", "remove the key vault"),
        ("vault: contoso-edge, ", "", "keyvault:", "'registry.keyvault.vault' is missing", "'vault: …'"),
        ("contoso-edge", "a", "a,", f"registry.keyvault.vault 'a' {NO_VAULT}", "3 to 24 letters"),
        ("contoso-edge", "contoso-", "contoso-", f"'contoso-' {NO_VAULT}", "3 to 24 letters"),
        ("contoso-edge", "http://abc.vault.azure.net", "http:", NO_VAULT, "https://NAME.vault.azure.cn"),
        ("contoso-edge", "abc.managedhsm.azure.net", "abc.", NO_VAULT, "vault's name"),
        ("acme-pwd", "acme_pwd", "acme_pwd", f"registry.keyvault.name 'acme_pwd' {NO_SECRET}", "digits and '-'"),
        ("acme-pwd", "https://v.vault.azure.net/secrets/x", "https:", NO_SECRET, "only the secret's name"),
        (
            "name: acme-pwd, username: robot", "username: robot, secrets: {a.io: {name: x, username: u}}",
            "keyvault:", "has a user name but no secret", "name: SECRET",
        ),
        (", name: acme-pwd, username: robot", "", "keyvault:", "names no secret", "name: SECRET"),
        (", username: robot", "", "keyvault:", "registry.keyvault has no user name", "username_secret"),
        ("robot", "robot, username_secret: x", "keyvault:", "registry.keyvault has two user names", "either"),
        ("username:", "usrname:", "usrname:", "unknown key 'usrname' in 'registry.keyvault'", "'username'"),
        ("robot", "robot, secrets: {a.io: {nme: x}}", "nme:", "'nme' in 'registry.keyvault.secrets.a.io'", "'name'"),
        ("robot", "robot, secrets: {a.io: {}}", "a.io:", "secrets.a.io.name' is missing", "'name: …'"),
        (
            "robot", "robot, secrets: {a.io: {name: x, username: u}, b.io: {name: 1}}",
            "1}", "secrets.b.io.name is a whole number", '"1"',
        ),
        ("robot", "robot, secrets: {a.io: x}", "x}", "secrets.a.io is a string", "key: value"),
        ("robot", "robot, secrets: {a.io: {name: x}}", "a.io:", "secrets.a.io has no user name", "username_secret"),
        ("robot", "robot, secrets: {a/b: {name: x, username: u}}", "a/b:", "'a/b' is not a registry host", "docker.io"),
        (
            "robot}", "robot, secrets: {index.docker.io: {name: x, username: u}}}\n  sources: {docker.io: env}",
            "index.docker.io:", "names index.docker.io, whose source is env", "index.docker.io: keyvault",
        ),
    ],
)  # fmt: skip
def test_a_mistake_about_the_key_vault_says_where_what_and_what_to_do(
    old: str, new: str, at: str, what: str, fix: str
) -> None:
    text = GOOD.replace("credentials: admin", VAULT)
    reading(text)
    assert text.count(old) == 1
    wrong = text.replace(old, new)
    with pytest.raises(InputError) as caught:
        reading(wrong)
    assert what in caught.value.what
    assert fix in caught.value.fix
    path, line, column = caught.value.where.split(":")
    assert path == "/p/manifestgen.yaml"
    assert wrong.splitlines()[int(line) - 1][int(column) - 1 :].startswith(at)


@pytest.mark.parametrize(
    "vault", ["abc", "Contoso-Edge2", "https://abc.vault.azure.cn/", "abc.vault.usgovcloudapi.net"]
)
def test_a_key_vault_has_a_name_or_a_uri(vault: str) -> None:
    read_back = reading(GOOD.replace("credentials: admin", VAULT.replace("contoso-edge", f'"{vault}"')))
    assert read_back.registry.keyvault.vault == vault


def test_a_model_is_needed_to_build() -> None:
    start, end = GOOD.index("model:"), GOOD.index("image:")
    with pytest.raises(InputError, match="builder package needs a model"):
        reading(GOOD[:start] + GOOD[end:])


@pytest.mark.parametrize("text", ["", "# nothing\n", "[1]", "words", "3"])
def test_a_file_that_is_not_a_mapping_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        reading(text)


def test_a_connection_string_in_the_wrong_place_is_not_repeated() -> None:
    pasted = "HostName=x;SharedAccessKeyName=owner;SharedAccessKey=Y2FuYXJ5LXNlY3JldA=="
    with pytest.raises(InputError) as caught:
        reading(GOOD.replace("contoso.azure-devices.net", pasted))
    assert "Y2FuYXJ5" not in str(caught.value) + caught.value.fix
    assert "IOTHUB_CONNECTION_STRING" in caught.value.fix


def test_what_a_reference_stands_for_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        reading(GOOD.replace("builder: package", "builder: ${env:SECRET}"))
    assert "canary" not in str(caught.value) + caught.value.fix
    assert "${env:SECRET}" in str(caught.value)


@pytest.mark.parametrize("section", ["model: {name: '${env:NAME}'}", "hub: {host: '${env:NAME}'}"])
def test_a_variable_with_nothing_in_it_is_named(section: str) -> None:
    with pytest.raises(InputError, match=r"is empty: \$\{env:NAME\} has no value") as caught:
        read(f"version: 1\n{section}\n", Path("manifestgen.yaml"), {"NAME": ""})
    assert "give it" in caught.value.fix


def test_contents_of_files_in_the_values_are_known_secrets(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("canary-of-a-file\n")
    project = reading(GOOD.replace("${env:SITE}", "key=${file:key}"), tmp_path)
    assert project.manifest.values["site"] == "key=canary-of-a-file"
    assert [secret.reveal() for secret in project.secret_texts] == ["canary-of-a-file"]
    assert redact("canary-of-a-file") == "***"
    assert "canary" not in repr(project.secret_texts)


def test_contents_of_files_elsewhere_are_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("edge-17")
    project = reading(GOOD.replace("edge-01", "${file:name}"), tmp_path)
    assert project.target.device == "edge-17"
    assert project.secret_texts == ()


def test_a_folder_or_a_file_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "manifestgen.yaml").write_text("version: 1\n")
    (tmp_path / "other.yaml").write_text("\ufeffversion: 1\nhub: {host: a.b}\n", encoding="utf-8")
    assert load(tmp_path).path == tmp_path / "manifestgen.yaml"
    hub = load(tmp_path / "other.yaml").hub
    assert hub is not None
    assert hub.host == "a.b"


def test_the_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_DEVICE", "edge-9")
    (tmp_path / "manifestgen.yaml").write_text("version: 1\ntarget: {device: '${env:A_DEVICE}'}\n")
    target = load(tmp_path).target
    assert target is not None
    assert target.device == "edge-9"


@pytest.mark.parametrize("name", [".", "manifestgen.yaml", "nowhere/at/all"])
def test_a_missing_project_names_init(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="project file not found") as caught:
        load(tmp_path / name)
    assert "manifestgen init" in caught.value.fix
