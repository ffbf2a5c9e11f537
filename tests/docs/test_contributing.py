"""What the contributor's pages, the workflows and the Makefile say of each other and of the code is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "docs/architecture.md")}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_TOP = ("manifestgen", "tests", "docs", "templates", "samples", ".ci", ".github")


def _paths() -> list[str]:
    """Paths in the pages' code spans; a word in capitals stands for any name."""
    spans = {span for page in PAGES.values() for span in re.findall(r"`([^`\n]+)`", page)}
    paths = {span.split()[0] for span in spans if span.split("/")[0] in _TOP}
    return sorted(paths)


@pytest.mark.parametrize("path", _paths())
def test_a_path_that_is_named_exists(path: str) -> None:
    assert list(ROOT.glob(re.sub(r"\b[A-Z]+\b", "*", path.rstrip("/")))), path


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = [link for link in re.findall(r"\]\(([^)#]+)", PAGES[page]) if "://" not in link]
    assert targets
    for target in targets:
        assert ((ROOT / page).parent / target).exists(), target


def test_the_layers_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    _, _, table = PAGES["docs/architecture.md"].partition("<!-- layers:")
    rows = re.findall(r"^\| (`.+?) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert [" | ".join(re.findall(r"`(\w+)`", row)) for row in rows] == contract["layers"]


@pytest.mark.parametrize(
    "recipe", re.findall(r"^### .+?(?=^##|\Z)", PAGES["CONTRIBUTING.md"], re.MULTILINE | re.DOTALL)
)
def test_a_recipe_has_numbered_steps_with_files(recipe: str) -> None:
    steps = re.findall(r"^(\d+)\. ", recipe, re.MULTILINE)
    assert steps == [str(number + 1) for number in range(len(steps))]
    assert len(steps) >= 3
    assert "changelog" in recipe


def test_make_targets_that_are_named_exist() -> None:
    texts = [*PAGES.values(), (ROOT / "README.md").read_text(encoding="utf-8")]
    named = {name for text in texts for name in re.findall(r"(?:`|\$ )make ([a-z]+)", text)}
    assert {"fast", "check", "docs", "format"} <= named <= TARGETS
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert {hook["entry"].removeprefix("make ") for hook in hooks} <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_is_there_and_pins_what_it_uses(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"].values()
    scripts = "\n".join(step.get("run", "") for job in jobs for step in job["steps"])
    assert "${{" not in scripts
    for line in re.findall(r"^make (.+)$", scripts, re.MULTILINE):
        assert {word for word in line.split() if "=" not in word} <= TARGETS
    for script in re.findall(r"\.ci/[\w-]+", scripts):
        assert (ROOT / script).is_file(), script
    uses = re.findall(r"uses: (.+)$", text, re.MULTILINE)
    assert uses
    for use in uses:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use), use


def _notes(tag: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / ".ci" / "release-notes"
    return subprocess.run([sys.executable, script, tag], capture_output=True, text=True, encoding="utf-8", check=False)


def test_a_tag_that_is_not_the_version_is_rejected() -> None:
    done = _notes("v999.0.0")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "v999.0.0" in done.stderr
