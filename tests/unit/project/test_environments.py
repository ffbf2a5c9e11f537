"""What differs in an environment is merged over the rest of the project file; mistakes are found at their places."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.errors import InputError
from manifestgen.project import Project, environments, load, source
from manifestgen.project.inputs import requirements_lock
from manifestgen.project.load import read
from manifestgen.project.lock import path_of
from manifestgen.project.pending import Pending, Progress
from manifestgen.project.written import default_output

TEXT = """\
version: 1
image: {builder: none, reference: acme.azurecr.io/scorer:1.4.2}
manifest:
  template: single-module
  values: {ttl: 7200, site: {name: lab, floor: 2}, tags: [a, b]}
hub: {host: contoso-dev.azure-devices.net}
target: {device: edge-01}
environments:
  dev:
  prod:
    hub:
      host: contoso.azure-devices.net
    manifest: {values: {site: {name: plant, floor: null}, tags: [c]}}
    target:
      device: "${env:PROD_DEVICE}"
  fleet:
    target: {device: null, deployment: scorer, condition: "*"}
"""


def _read(text: str, environment: str | None = None, **environ: str) -> Project:
    return read(text, Path("manifestgen.yaml"), environ, environment)


def _error(text: str, environment: str | None = None, **environ: str) -> InputError:
    with pytest.raises(InputError) as caught:
        _read(text, environment, **environ)
    return caught.value


_KEYS = st.sampled_from("abc")


def _values(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf | st.integers(),
        lambda inner: st.dictionaries(_KEYS, inner, max_size=3) | st.lists(st.integers(), max_size=2),
        max_leaves=6,
    )


class TestMerge:
    def test_mappings_merge_lists_and_scalars_replace_and_null_removes(self) -> None:
        project = _read(TEXT, "prod", PROD_DEVICE="edge-77")
        assert project.manifest is not None and project.hub is not None and project.target is not None
        assert project.manifest.values == {"ttl": 7200, "site": {"name": "plant"}, "tags": ["c"]}
        assert project.manifest.template == "single-module"
        assert project.hub.host == "contoso.azure-devices.net"
        assert project.target.device == "edge-77"
        assert (project.environment, project.environments) == ("prod", ("dev", "prod", "fleet"))

    def test_without_one_the_rest_of_the_file_counts_alone(self) -> None:
        project = _read(TEXT)
        assert project.hub is not None and project.hub.host == "contoso-dev.azure-devices.net"
        assert (project.environment, project.environments) == (None, ("dev", "prod", "fleet"))

    def test_an_empty_environment_is_like_the_rest_of_the_file(self) -> None:
        assert _read(TEXT, "dev").target == _read(TEXT).target

    def test_a_device_gives_way_to_a_deployment(self) -> None:
        target = _read(TEXT, "fleet").target
        assert target is not None and (target.device, target.deployment, target.priority) == (None, "scorer", 10)

    def test_only_the_references_of_the_merged_project_are_expanded(self) -> None:
        assert _read(TEXT, "dev").target is not None  # PROD_DEVICE is not set
        assert _error(TEXT, "prod").what == "environment variable 'PROD_DEVICE' is not set"
        replaced = TEXT.replace("device: edge-01", 'device: "${env:DEV_DEVICE}"')
        assert _read(replaced, "prod", PROD_DEVICE="edge-77").target is not None

    def test_an_alias_is_merged_like_what_it_stands_for(self) -> None:
        text = "version: 1\nhub: &hub {host: a.azure-devices.net}\nenvironments:\n  one: {hub: *hub}\n"
        assert _read(text, "one").hub == _read(text).hub

    @given(base=st.dictionaries(_KEYS, _values(st.integers())), over=st.dictionaries(_KEYS, _values(st.none())))
    def test_the_merge_is_that_of_json_merge_patch(self, base: dict[str, Any], over: dict[str, Any]) -> None:
        text = _text({"version": 1, **base, "environments": {"e": over}})
        merged = environments.effective(source.parse(text, "p"), "e")
        assert merged.data == {"version": 1, **_patched(base, over)}
        for path in _paths(merged.data):  # every value has a place, and it is on a line of the file
            assert merged.where(path).startswith("p:1:")


def _text(data: Any) -> str:
    import json

    return json.dumps(data)


def _patched(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, as it is written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _patched(result.get(name), value)
    return result


def _paths(data: Any, path: source.Path = ()) -> list[source.Path]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


class TestPlaces:
    def test_a_mistake_in_an_environment_is_shown_there(self) -> None:
        error = _error(TEXT.replace("host: contoso.azure-devices.net", "host: not a host"), "prod", PROD_DEVICE="d")
        assert error.where == "manifestgen.yaml:12:13"
        assert error.what == "hub.host is not a valid host name"

    def test_a_mistake_in_the_rest_is_shown_there_in_an_environment_too(self) -> None:
        assert _error(TEXT.replace("ttl: 7200", "ttl: 1, ttl: 2"), "prod").where == "manifestgen.yaml:5:20"
        assert _error(TEXT.replace("template: single-module", "template: 5"), "dev").where == "manifestgen.yaml:4:13"

    def test_a_variable_that_is_missing_is_shown_in_the_environment(self) -> None:
        assert _error(TEXT, "prod").where == "manifestgen.yaml:15:15"

    def test_a_list_of_an_environment_has_the_places_there(self) -> None:
        text = """\
version: 1
manifest: {values: {a: ["${env:ONE}", x]}}
environments:
  e: {manifest: {values: {a: [x,
    "${env:TWO}"]}}}
"""
        assert _error(text).where == "manifestgen.yaml:2:25"
        assert _error(text, "e").where == "manifestgen.yaml:5:5"

    def test_a_required_key_that_an_environment_removes(self) -> None:
        error = _error(
            TEXT.replace("      host: contoso.azure-devices.net", "      host: null"), "prod", PROD_DEVICE="d"
        )
        assert error.message == "manifestgen.yaml:12:7: environment 'prod' removes 'hub.host', which is required"
        assert error.fix == "give it a value there, or remove the key that has it"

    def test_two_targets_say_which_key_to_remove(self) -> None:
        error = _error(TEXT.replace("device: null, ", ""), "fleet")
        assert error.message == "manifestgen.yaml:17:5: target has both a device and a deployment"
        assert "'device: null'" in error.fix


class TestMistakes:
    @pytest.mark.parametrize(
        ("section", "where", "what", "fix"),
        [
            ("[dev, prod]", "2:15", "environments is a list, not a mapping", "lines of 'NAME: …'"),
            ("prod", "2:15", "environments is a string, not a mapping", "lines of 'NAME: …'"),
            ("{prod: [hub]}", "2:22", "environment 'prod' is a list, not a mapping of sections", "hub: {host: …}"),
            ("{'pr od': {}}", "2:16", "'pr od' is not a valid environment name", "letters, digits"),
            ("{../x: {}}", "2:16", "'../x' is not a valid environment name", "letters, digits"),
            ("{prod: {}, Prod: {}}", "2:26", "'prod' and 'Prod' differ in case only", "rename"),
            ("{prod: {hubb: {}}}", "2:23", "unknown key 'hubb' in 'environments.prod'", "did you mean 'hub'?"),
            ("{prod: {hub: {hosts: x}}}", "2:29", "unknown key 'hosts' in 'environments.prod.hub'", "'host'"),
            ("{prod: {version: 1}}", "2:23", "unknown key 'version'", "the same for all environments"),
            ("{dev: {extends: prod}, prod: {extends: dev}}", "2:22", "unknown key 'extends'", "do not build on one"),
            ("{prod: {environments: {}}}", "2:23", "unknown key 'environments'", "do not build on one another"),
            ("{a: &x {hub: *x}}", "2:28", "no anchor '&x' ends before this alias", "write the value out"),
        ],
    )  # fmt: skip
    def test_is_found_whatever_is_chosen(self, section: str, where: str, what: str, fix: str) -> None:
        for chosen in (None, "prod"):
            error = _error(f"version: 1\nenvironments: {section}\n", chosen)
            assert error.where == f"manifestgen.yaml:{where}"
            assert what in error.what
            assert fix in error.fix

    def test_an_unknown_environment_names_the_nearest_or_all(self) -> None:
        error = _error(TEXT, "prd")
        assert error.message == "manifestgen.yaml:8:1: there is no environment 'prd'"
        assert error.fix == "did you mean 'prod'?"
        assert _error(TEXT, "x").fix == "choose one of: dev, prod, fleet"

    def test_a_project_without_environments_says_so(self) -> None:
        error = _error("version: 1\n", "prod")
        assert error.what == "there is no environment 'prod': the project has no section 'environments'"
        assert "MANIFESTGEN_ENVIRONMENT" in error.fix

    def test_what_is_incomplete_without_an_environment_says_which_would_do(self) -> None:
        environments = "{a: {image: {reference: r/x:1}}, b: {}, c: {image: null}}"
        text = f"version: 1\nimage: {{builder: none}}\nenvironments: {environments}\n"
        error = _error(text)
        assert error.what == "image.builder is none, but image.reference is missing"
        assert error.options == ("choose an environment with --environment: a, c",)
        assert _error(text, "b").options == ()


class TestChoice:
    def test_the_variable_chooses_and_an_argument_wins(self, tmp_path: Path) -> None:
        (tmp_path / "manifestgen.yaml").write_text(TEXT)
        environ = {"MANIFESTGEN_ENVIRONMENT": "prod", "PROD_DEVICE": "edge-77"}
        assert load(tmp_path, environ).environment == "prod"
        assert load(tmp_path, environ, "dev").environment == "dev"
        assert load(tmp_path, {"MANIFESTGEN_ENVIRONMENT": ""}).environment is None

    def test_choosing_lasts_for_the_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(environments.VARIABLE, "dev")
        with environments.choosing("prod"):
            assert environments.chosen() == "prod" == os.environ[environments.VARIABLE]
        assert environments.chosen() == "dev"

    def test_a_project_file_that_would_write_the_same_files_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "manifestgen.yaml").write_text(TEXT)
        (tmp_path / "fleet.yaml").write_text("ttl: 5\n")
        assert load(tmp_path, {}, "fleet").environment == "fleet"  # it holds values
        (tmp_path / "fleet.yaml").write_text("version: 1\n")
        with pytest.raises(InputError, match=r"and the project file fleet.yaml would write the same files"):
            load(tmp_path, {}, "fleet")


class TestFiles:
    def test_each_environment_has_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "manifestgen.yaml").write_text(TEXT)
        (tmp_path / "lab.yaml").write_text(TEXT)
        chosen = (None, "dev", "fleet")
        found = [load(tmp_path / name, {}, one) for name in ("manifestgen.yaml", "lab.yaml") for one in chosen]
        assert [path_of(project).name for project in found] == [
            "manifestgen.lock.json",
            "manifestgen.dev.lock.json",
            "manifestgen.fleet.lock.json",
            "lab.lock.json",
            "lab.dev.lock.json",
            "lab.fleet.lock.json",
        ]
        assert [default_output(project).name for project in found] == [
            "deployment.json",
            "deployment.dev.json",
            "deployment.fleet.json",
            "deployment.lab.json",
            "deployment.lab.dev.json",
            "deployment.lab.fleet.json",
        ]
        for project in found:
            Progress(project).write(Pending(project.own_name))
        assert [Progress(project).read(project.own_name).inputs for project in found] == [p.own_name for p in found]
        assert len(list((tmp_path / ".manifestgen").glob("*pending.json"))) == 6

    def test_the_requirements_lock_is_shared_unless_the_environment_changes_what_it_is_made_from(self) -> None:
        text = """\
version: 1
model: {path: m.pkl}
image: {builder: acr, name: s, registry: a.azurecr.io, entry_script: score.py, requirements: r.txt}
environments:
  dev: {image: {registry: dev.azurecr.io}}
  arm: {image: {platforms: [linux/arm64]}}
  conda: {image: {requirements: null, conda_file: c.yml}}
"""
        names = [requirements_lock(_read(text, chosen)).name for chosen in (None, "dev", "arm", "conda")]
        shared = "manifestgen.requirements.lock"
        assert names == [shared, shared, "manifestgen.arm.requirements.lock", "manifestgen.conda.requirements.lock"]
