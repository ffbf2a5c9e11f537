"""Templates and `.env` files with a name in the middle become environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakes.solutions import ENV, module, template, write
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.importing.project import Imported, imported
from manifestgen.importing.variants import patch
from manifestgen.importing.write import write_all
from manifestgen.project import load, source
from manifestgen.solution import read_solution

JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from("abcd"), below, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def merged(base: Any, change: Any) -> Any:
    """JSON Merge Patch."""
    if not isinstance(change, dict):
        return change
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(OBJECTS, OBJECTS)
def test_a_patch_over_the_base_gives_what_is_wanted(base: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert merged(base, patch(base, wanted)) == wanted
    assert patch(base, base) == {}


def project(path: Path) -> tuple[Imported, Any]:
    made = imported(read_solution(path, {}), path.parent)
    return made, source.parse(made.files[made.project], "").data


def test_the_debug_template_is_an_environment_with_the_debug_dockerfiles(tmp_path: Path) -> None:
    path = write(tmp_path, template({"filter": module(), "b": module("r/b:1")}))
    write(tmp_path, template({"filter": module("${MODULES.filter.debug}")}), name="deployment.debug.template.json")
    made, data = project(path)
    assert made.environments == ("debug",)
    assert data["environments"] == {
        "debug": {
            "modules": {
                "filter": {
                    "image": {
                        "dockerfiles": None,
                        "dockerfile": "modules/filter/Dockerfile.amd64.debug",
                        "platforms": ["linux/amd64"],
                    }
                }
            },
            "manifest": {"template": "deployment.debug.json.j2"},
        }
    }
    assert '"b"' not in made.files[tmp_path / "deployment.debug.json.j2"]
    write_all(made.files, force=False)
    loaded = load(made.project, {"MANIFESTGEN_ENVIRONMENT": "debug"})
    assert loaded.manifest is not None and loaded.manifest.template == "deployment.debug.json.j2"
    (image,) = [one.image for one in loaded.modules]
    assert image is not None and image.dockerfile == tmp_path / "modules/filter/Dockerfile.amd64.debug"


def test_an_env_file_with_a_name_is_an_environment_with_its_values_and_hub(tmp_path: Path) -> None:
    path = write(tmp_path, template({"filter": module(env={"L": {"value": "$LOG_LEVEL"}, "S": {"value": "$STORAGE"}})}))
    key = "SharedAccessKey=geheim"
    (tmp_path / ".env.prod").write_text(
        f"{ENV}LOG_LEVEL=warn\nIOTHUB_CONNECTION_STRING=HostName=prod.azure-devices.net;{key}\n"
    )
    (tmp_path / ".env.example").write_text("LOG_LEVEL=x\n")
    made, data = project(path)
    assert data["environments"] == {
        "prod": {
            "hub": {"host": "prod.azure-devices.net"},
            "manifest": {"values": {"variables": {"LOG_LEVEL": "warn"}}},
        }
    }
    assert [path.name for path in made.files] == ["manifestgen.yaml", "deployment.json.j2", ".gitignore"]
    assert "geheim" not in repr(made)


def test_a_variant_that_cannot_be_read_or_named_is_listed_and_the_rest_is_imported(tmp_path: Path) -> None:
    path = write(tmp_path)
    for name in ("broken", "a.b", "Test", "test"):
        (tmp_path / f"deployment.{name}.template.json").write_text(path.read_text() if name != "broken" else "{")
    made, _ = project(path)
    assert made.environments == ("Test",)
    lost = {item.what: (item.why, item.where.rpartition("/")[2]) for item in made.lost}
    assert lost["variant 'broken'"][1] == "deployment.broken.template.json:1:1"
    assert lost["variant 'a.b'"][0] == "no environment can be named so"
    assert lost["variant 'test'"][0] == "its name differs from 'Test' in case only"
