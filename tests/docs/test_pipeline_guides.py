"""The workflows and pipelines that the guides show: sound, pinned, and in step with what they use."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = (ROOT / "docs" / "github-actions.md").read_text(encoding="utf-8")
AZURE = (ROOT / "docs" / "azure-pipelines.md").read_text(encoding="utf-8")


def block(page: str) -> str:
    (found,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    return str(found)


@pytest.mark.parametrize(
    "command", [["actionlint"], ["zizmor", "--offline", "--persona=pedantic", "--quiet"]], ids=lambda value: value[0]
)
def test_nothing_is_found_in_the_workflow(tmp_path: Path, command: list[str]) -> None:
    program = shutil.which(command[0], path=str(Path(sys.executable).parent)) or shutil.which(command[0])
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    workflow = tmp_path / ".github" / "workflows" / "edge.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(block(GITHUB))
    done = subprocess.run(
        [program, *command[1:], str(workflow)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_lists_the_actions_inputs_and_outputs() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    names = set(re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", GITHUB, re.M))))
    assert names == set(action["inputs"]) | set(action["outputs"])
    used = [step["with"] for job in yaml.safe_load(block(GITHUB))["jobs"].values() for step in job["steps"]]
    assert all(set(given) <= set(action["inputs"]) | {"persist-credentials"} for given in used)


def test_the_pipeline_gives_parameters_that_the_template_has() -> None:
    template = yaml.safe_load((ROOT / "pipelines" / "azure" / "manifestgen.yml").read_text())
    known = {each["name"] for each in template["parameters"]}
    given = re.findall(r"^ +(\w+): ", "\n".join(re.findall(r"parameters:\n((?: +\w+: .+\n)+)", block(AZURE))), re.M)
    assert given and set(given) <= known


def test_every_input_of_the_old_task_is_in_the_table() -> None:
    for name in (
        "action",
        "templateFilePath",
        "defaultPlatform",
        "bypassModules",
        "deploymentid",
        "priority",
        "targetcondition",
    ):
        assert re.search(rf"^\| `{name}[:`]", AZURE, re.M), name
