"""The steps template with the variables that an agent sets, against the sandbox."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.command_line import installed_in

TEMPLATE = Path(__file__).parents[2] / "pipelines" / "azure" / "manifestgen.yml"
SUBJECT = "sc://contoso/edge/production"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the template's scripts are for bash")


def expanded(parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """The template's steps as Azure Pipelines expands them; knows the two kinds of expressions that it has."""
    document = yaml.safe_load(TEMPLATE.read_text())
    values = {each["name"]: each.get("default", "") for each in document["parameters"]} | dict(parameters)
    assert values["mode"] in next(each["values"] for each in document["parameters"] if each["name"] == "mode")

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return re.sub(r"\$\{\{ parameters\.(\w+) \}\}", lambda found: values[found[1]], str(value))

    def steps(found: list[Any]) -> Iterator[dict[str, Any]]:
        for step in found:
            key = next(iter(step))
            if condition := re.fullmatch(r"\$\{\{ if eq\(parameters\.mode, '(\w+)'\) \}\}", key):
                if condition[1] == values["mode"]:
                    yield from steps(step[key])
            else:
                yield filled(step)

    return list(steps(document["steps"]))


def scripts_of(step: Mapping[str, Any]) -> str:
    return str(step.get("bash") or step.get("inputs", {}).get("inlineScript", ""))


def run(folder: Path, variables: Mapping[str, str], **parameters: str) -> subprocess.CompletedProcess[str]:
    """Run the last step, which is the mode's, as the agent runs it; the installed command is this checkout's."""
    step = expanded(parameters)[-1]
    temporary = folder.parent / "agent"
    installed_in(temporary / "manifestgen" / "bin")
    environment = {**os.environ, **variables, "AGENT_TEMPDIRECTORY": str(temporary), "TF_BUILD": "True"}
    environment |= {name: value for name, value in step["env"].items() if value != "$(System.AccessToken)"}
    return subprocess.run(
        ["bash", "-c", scripts_of(step)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def job(quick: Any) -> dict[str, str]:
    """The variables of a job with a service connection, and no secret."""
    issuer = "https://vstoken.dev.azure.com/5ab5c710-0000-4000-8000-0000000000d0"
    quick.admin("PUT", "/federation/pipeline", {"issuer": issuer, "subject": SUBJECT})
    variables: dict[str, str] = quick.admin("GET", f"/pipelines/azure-pipelines?subject={SUBJECT}")
    without = dict.fromkeys(
        ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "IOTHUB_CONNECTION_STRING"), ""
    )
    return {**without, **variables}


def test_check_writes_logging_commands(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "a b.json").write_text('{"modulesContent": {"$edgeAgent": 1}}')
    done = run(folder, {}, mode="check", files="a b.json\n\n")
    assert done.returncode == 1
    assert re.search(r"^##vso\[task\.logissue type=error;sourcepath=a b\.json;linenumber=1;", done.stdout, re.M)
    assert run(folder, {}, mode="check", files="a b.json", failOn="never").returncode == 0


@pytest.mark.parametrize("evil", ["$(touch ran)", '"; touch ran; "', "`touch ran`", "--help; touch ran"])
def test_what_a_parameter_holds_is_never_run(tmp_path: Path, evil: str) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    done = run(folder, {}, mode="check", files=evil)
    assert done.returncode == 2, done
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("mode", ["check", "plan", "deploy"])
def test_no_parameter_is_pasted_into_a_script(mode: str) -> None:
    steps = expanded({"mode": mode, "serviceConnection": "canary", "package": "canary", "files": "canary"})
    assert not any("canary" in scripts_of(step) for step in steps)
    assert any("canary" in str(step.get("env")) + str(step.get("inputs")) for step in steps)


def test_plan_and_deploy_log_in_with_the_service_connection(
    job: dict[str, str], ready_made: Any, desired: Any, tmp_path: Path
) -> None:
    plan = run(ready_made.root, job, mode="plan", device=ready_made.device)
    assert plan.returncode == 0, plan
    assert f"**Plan for device `{ready_made.device}`" in plan.stdout
    summary = re.search(r"^##vso\[task\.uploadsummary\](.+)$", plan.stdout, re.M)
    assert summary and "```diff" in Path(summary[1]).read_text()
    state = tmp_path / "share"
    done = run(ready_made.root, job, mode="deploy", state=str(state))
    assert done.returncode == 0, done
    assert desired(ready_made.device)["modules"]
