from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.project.workspace import WorkspaceId, find_config, read_config

CONFIG = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}


def write(path: Path, data: object = CONFIG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_file_that_is_named_is_taken(tmp_path: Path) -> None:
    assert find_config(write(tmp_path / "mine.json")) == tmp_path / "mine.json"


@pytest.mark.parametrize(
    ("present", "found"),
    [
        (["config.json"], "config.json"),
        (["a/config.json", "config.json"], "a/config.json"),
        (["config.json", "a/b/.azureml/config.json"], "a/b/.azureml/config.json"),
        (["a/b/config.json", ".azureml/config.json"], ".azureml/config.json"),
        (["aml_config/config.json", "config.json"], "aml_config/config.json"),
        (["a/project.json", "config.json"], "config.json"),
    ],
)
def test_config_is_found_in_the_order_of_the_sdk(tmp_path: Path, present: list[str], found: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in present:
        write(tmp_path / name)
    assert find_config(tmp_path / "a" / "b") == tmp_path / found


@pytest.mark.azureml
def test_sdk_finds_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azureml", reason="azureml-core is not installed")
    from manifestgen.azure import aml_sdk

    aml_sdk.load()
    from azureml.core import Workspace

    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/config.json", "config.json", ".azureml/config.json", "a/aml_config/config.json"):
        write(tmp_path / name, {**CONFIG, "workspace_name": name})
    asked: list[str] = []
    monkeypatch.setattr(Workspace, "get", lambda name, **_: asked.append(name))
    with aml_sdk.calling():
        Workspace.from_config(str(tmp_path / "a" / "b"), auth=object())
    assert asked == [read_config(find_config(tmp_path / "a" / "b")).name]


def test_ids_are_read(tmp_path: Path) -> None:
    assert read_config(write(tmp_path / "config.json")) == WorkspaceId("s", "g", "w")


def test_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(CONFIG).encode())
    assert read_config(path) == WorkspaceId("s", "g", "w")


def test_scope_of_old_sdks_is_read(tmp_path: Path) -> None:
    scope = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/projects/p"
    assert read_config(write(tmp_path / "project.json", {"Scope": scope})) == WorkspaceId("s", "g", "w")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        (json.dumps({**CONFIG, "workspace_name": ""}), "workspace_name missing"),
        (json.dumps({"workspace_name": 3}), "subscription_id and resource_group and workspace_name missing"),
        (json.dumps({"Scope": "/subscriptions/s"}), "resource_group and workspace_name missing"),
    ],
)
def test_config_that_is_wrong_says_what_to_do(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "config.json", text)
    with pytest.raises(InputError, match=words) as caught:
        read_config(path)
    assert caught.value.where == str(path)
    assert "config.json" in caught.value.fix


def test_missing_config_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        find_config(tmp_path / "nowhere")
    with pytest.raises(InputError, match="file not found"):
        find_config(tmp_path / "named.json")
    with pytest.raises(InputError, match="could not read the file"):
        read_config(tmp_path)
