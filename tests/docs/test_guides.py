"""The commands of guides that have no test of their own, run in their order against the sandbox."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.wheels import index_in_use, make_wheel
from integration.command_line import in_this_process

from manifestgen.device import apply
from manifestgen.images import build
from manifestgen.sandbox.world import Pace
from manifestgen.target import Patience

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shown(text: str) -> list[tuple[str, str]]:
    """The commands of console blocks, each with the output below it."""
    parts = [part for block in blocks(text, "console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(line, output) for line, _, output in (part.partition("\n") for part in parts)]


@pytest.fixture
def quick(sandbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A sandbox that does not dawdle, with a package index, and a device's folder of its own for state."""
    pytest.importorskip("uv", reason="uv is not installed")
    sandbox.world.pace = Pace(image_build=0.06, pull=0.0, start=0.0, retry=0.05)
    monkeypatch.setattr(build, "PATIENCE", Patience(1800.0, first=0.05, longest=0.2))
    monkeypatch.setattr(apply, "PATIENCE", Patience(600.0, 60.0, 0.05, 0.5))
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "state"))
    make_wheel(tmp_path / "wheels", "paho-mqtt", "2.1.0", {"paho/__init__.py": b""})
    with index_in_use(tmp_path / "wheels", tmp_path / "uv"):
        yield sandbox


def test_a_model_of_ones_own_is_deployed_as_the_first_guide_says(
    quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    ran = []
    for line, _ in shown(page("start")):
        words = shlex.split(line)
        if words[0] == "cd":
            monkeypatch.chdir(tmp_path / words[1])
            continue
        if words[:4] == ["manifestgen", "sandbox", "run", "--"]:
            words = words[4:]  # this process is in one
            # No module runs in a sandbox without its image's packages: nothing there could answer.
            words = [word for word in words if word not in ("--smoke", "sample.json")]
            words += ["--no-test"]
        done = in_this_process(*words[1:])
        assert done.code == 0, done
        ran.append(words[1])
    assert ran == ["init", "test", "deploy"]
    assert "sandboxmodels.azurecr.io" in (folder / "manifestgen.yaml").read_text()
    described = re.findall(r"^\| `([\w.]+)` \|", page("start"), re.MULTILINE)
    assert {path.name for path in folder.iterdir()} >= set(described)


def test_the_first_guides_second_block_uses_a_sandbox_of_this_shell() -> None:
    (block,) = [text for text in blocks(page("start"), "sh") if "sandbox start" in text]
    assert [line.split()[1] for line in block.splitlines()[1:]] == ["deploy", "score", "status", "sandbox"]


def test_an_error_is_the_one_that_is_shown() -> None:
    ((line, output),) = shown(page("exit-codes"))
    done = in_this_process(*shlex.split(line)[1:])
    assert done.code == 2
    assert done.stderr == output


def test_the_exit_codes_are_those_of_the_errors() -> None:
    from manifestgen import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page("exit-codes"), re.MULTILINE)}
    assert {0, 130} | {kind.exit_code for kind in kinds} <= listed


def test_two_machines_share_a_folder_as_the_guide_says(quick: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from fakes.hub_service import content, module

    monkeypatch.chdir(tmp_path)
    quick.admin("PUT", "/images/mcr.microsoft.com/scorer:1", {})
    manifest = content({"scorer": module("mcr.microsoft.com/scorer:1")})
    (tmp_path / "deployment.json").write_text(json.dumps(manifest))
    assert in_this_process("device", "register", "edge-shared", "-q").code == 0
    before = json.dumps(content({"other": module("mcr.microsoft.com/scorer:1")}))
    (tmp_path / "before.json").write_text(before)
    assert in_this_process("apply", "before.json", "--device", "edge-shared", "--yes", "--force").code == 0
    lines = [line for line, _ in shown(page("state"))]
    assert [shlex.split(line)[1] for line in lines] == ["apply", "history", "rollback"]
    for number, line in enumerate(lines):
        text = line.replace("/mnt/edge-state", str(tmp_path / "share")).replace("edge-01", "edge-shared")
        monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / f"own-{number}"))  # another machine
        words = [*shlex.split(text)[1:], *(["--force", "--prune"] if number == 0 else [])]
        done = in_this_process(*words)
        assert done.code == 0, done
    assert "other" in in_this_process("export", "--device", "edge-shared").stdout


def test_the_scripts_of_the_shells_and_the_schema_are_what_the_guide_says(tmp_path: Path) -> None:
    first, second = blocks(page("editors"), "sh")
    for shell in re.findall(r"completion (\w+)", first):
        assert "manifestgen" in in_this_process("completion", shell).stdout
    assert second == "manifestgen schema >manifestgen.schema.json\n"
    published = json.loads((DOCS / "manifestgen.schema.json").read_text(encoding="utf-8"))
    assert json.loads(in_this_process("schema").stdout) == published


def test_manifestgen_is_left_as_the_guide_says(quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"`manifestgen ((?:export|render|image)[^`]*)`", page("longevity"))
    assert [line.split()[0] for line in lines] == ["export", "render", "image"]
    assert in_this_process("init").code == 0
    for line in lines:
        words = [str(tmp_path / "context") if word == "DIR" else word for word in shlex.split(line)]
        more = ["--image", "mcr.microsoft.com/scorer:1", "--force"] if words[0] == "render" else []
        done = in_this_process(*words, *(more[:2]))
        assert done.code == 0, done
        assert (tmp_path / "context" if words[0] == "image" else tmp_path / "deployment.json").exists()
        (tmp_path / "deployment.json").unlink(missing_ok=True)
    assert (tmp_path / "context" / "Dockerfile").is_file()


def test_the_commands_of_the_container_and_hook_guides_run(tmp_path: Path) -> None:
    import yaml

    hook = yaml.safe_load(blocks(page("pre-commit"), "yaml")[0])["repos"][0]["hooks"][0]
    declared = yaml.safe_load((DOCS.parent / ".pre-commit-hooks.yaml").read_text())[0]
    assert hook["id"] == declared["id"]
    (tmp_path / "deployment.json").write_text('{"modulesContent": {"$edgeAgent": 1}}')
    command = [sys.executable, "-m", *declared["entry"].split(), *hook["args"], "deployment.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 1 and "[entry-shape]" in done.stdout
    jobs = yaml.safe_load(blocks(page("containers"), "yaml")[0])
    assert jobs["check"]["script"] == ["manifestgen check ."]


def test_what_the_agent_says_means_what_the_guide_says() -> None:
    from manifestgen.device.rollout import explain

    _, _, table = page("operate").partition("| edgeAgent says |")
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert len(rows) == 6
    for messages, meaning in rows:
        for message in re.findall(r"`([^`]+)`", messages):
            assert meaning in explain(f"Could not create module scorer: {message}")[0]


def test_a_fleet_is_deployed_to_as_the_guide_says(quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fakes.hub_service import content, module

    monkeypatch.chdir(tmp_path)
    quick.admin("PUT", "/images/mcr.microsoft.com/scorer:1", {})
    monkeypatch.setattr("manifestgen.deployments.replace.PATIENCE", Patience(600.0, 60.0, 0.05, 0.5))
    assert in_this_process("device", "register", "edge-lab", "-q").code == 0
    assert in_this_process("device", "tag", "edge-lab", "site=lab", "ring=canary").code == 0
    key = "properties.desired.modules.extra"
    layer = {"content": {"modulesContent": {"$edgeAgent": {key: module("mcr.microsoft.com/scorer:1")}}}}
    Path("layer.json").write_text(json.dumps(layer))
    Path("base.json").write_text(json.dumps(content({"scorer": module("mcr.microsoft.com/scorer:1")})))
    lines = [line for block in blocks(page("fleets"), "sh") for line in block.splitlines()]
    assert len(lines) == 7
    for number, line in enumerate(lines):
        # A manifest that differs each time, and nobody who waits for minutes.
        named = content({f"scorer{number}": module("mcr.microsoft.com/scorer:1")})
        Path("deployment.json").write_text(json.dumps(named))
        words = shlex.split(line.replace("--pause 600", "--pause 0").replace("canary,early,100%", "canary,100%"))[1:]
        if words[0] == "rollback":
            again = ["apply", "deployment.json", "--deployment", "scorer", "--yes", "--force"]
            assert in_this_process(*again).code == 0
        more = {"apply": ["--yes", "--force"], "rollback": ["--yes"]}.get(words[0], [])
        done = in_this_process(*words, *more)
        assert done.code == 0, (line, done)
