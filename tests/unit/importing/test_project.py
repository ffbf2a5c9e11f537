"""What a solution becomes in the project file, what has to be supplied, and what is not carried over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.solutions import CREDENTIAL, ENV, module, module_json, template, write

from manifestgen.importing.project import Imported, imported
from manifestgen.project import source
from manifestgen.solution import read_solution


def project(folder: Path, data: Any = None, **more: Any) -> Imported:
    options = {key: more.pop(key) for key in ("platform", "builder", "debug") if key in more}
    environ, out = more.pop("environ", {}), more.pop("out", folder)
    return imported(read_solution(write(folder, data, **more), environ), out, **options)


def data_of(made: Imported) -> Any:
    return source.parse(made.files[made.project], "").data


def lost(made: Imported) -> dict[str, str]:
    return {item.what: item.why for item in made.lost}


def supply(made: Imported) -> dict[str, str]:
    return {item.what: item.fix for item in made.supply}


def test_an_image_has_its_dockerfiles_platforms_context_and_build_arguments(tmp_path: Path) -> None:
    modules = {
        "filter": module_json(
            "acme.azurecr.io/team/Filter", contextPath="../..",
            buildOptions=[
                "--build-arg A=1", "--build-arg", "B=two words", "--no-cache", "--build-arg TOKEN=geheim",
                "--build-arg C=x$STORAGE",
            ],
        )
    }  # fmt: skip
    made = project(tmp_path, modules=modules)
    assert data_of(made)["modules"] == {
        "filter": {
            "image": {
                "builder": "acr",
                "name": "team/filter",
                "registry": "acme.azurecr.io",
                "dockerfiles": {
                    "linux/amd64": "modules/filter/Dockerfile.amd64",
                    "linux/arm64": "modules/filter/Dockerfile.arm64v8",
                },
                "context": ".",
                "build_args": {"A": "1", "B": "two", "TOKEN": "${env:TOKEN}", "C": "${env:C}"},
            }
        }
    }
    assert "geheim" not in repr(made)
    assert supply(made)["build argument TOKEN"] == "set the environment variable TOKEN"
    assert lost(made)["build option '--no-cache' of module folder 'filter'"] == "only --build-arg is carried over"


def test_one_dockerfile_for_all_platforms_is_named_once(tmp_path: Path) -> None:
    content = module_json("localhost:5000/filter")
    content["image"]["tag"]["platforms"] = {
        "amd64": "Dockerfile",
        "arm32v7": "./Dockerfile",
        "windows-amd64": "Dockerfile",
    }
    made = project(tmp_path, modules={"filter": content})
    assert data_of(made)["modules"]["filter"]["image"] == {
        "builder": "local",
        "name": "filter",
        "registry": "localhost:5000",
        "dockerfile": "modules/filter/Dockerfile",
        "platforms": ["linux/amd64", "linux/arm/v7"],
    }
    assert lost(made)["platform 'windows-amd64' of module folder 'filter'"] == "manifestgen builds for Linux"


def test_a_dockerfile_that_is_missing_is_listed_and_without_any_the_image_is_built_elsewhere(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "modules/filter/Dockerfile.arm64v8").unlink()
    made = imported(read_solution(path, {}), tmp_path)
    assert data_of(made)["modules"]["filter"]["image"]["dockerfile"] == "modules/filter/Dockerfile.amd64"
    assert "Dockerfile.arm64v8 is not there" in lost(made)["platform 'arm64v8' of module folder 'filter'"]
    (tmp_path / "modules/filter/Dockerfile.amd64").unlink()
    made = imported(read_solution(path, {}), tmp_path)
    assert data_of(made)["modules"]["filter"]["image"] == {
        "builder": "none", "reference": "acme.azurecr.io/filter:0.0.1-amd64",
    }  # fmt: skip
    assert "the build of module folder 'filter'" in lost(made)


@pytest.mark.parametrize(("platform", "debug", "tag"), [("arm64v8", False, "arm64v8"), ("amd64", True, "amd64.debug")])
def test_builder_none_keeps_the_tags_of_the_tool(tmp_path: Path, platform: str, debug: bool, tag: str) -> None:
    made = project(tmp_path, builder="none", platform=platform, debug=debug)
    reference = f"acme.azurecr.io/filter:0.0.1-{tag}"
    assert data_of(made)["modules"]["filter"]["image"] == {"builder": "none", "reference": reference}


def test_an_image_whose_repository_has_no_value_is_named_by_variables(tmp_path: Path) -> None:
    made = project(tmp_path, modules={"filter": module_json("$REGISTRY/filter")})
    assert "modules" not in data_of(made)
    assert '"{{ variables.REGISTRY }}/filter:0.0.1-amd64"' in made.files[tmp_path / "deployment.json.j2"]
    assert data_of(made)["manifest"]["values"]["variables"] == {"REGISTRY": "$REGISTRY"}
    (item,) = [item for item in made.lost if "'filter'" in item.what]
    assert "add 'REGISTRY=…' to .env" in item.fix and "module.json:4:20" in item.where


def test_an_entry_is_named_after_its_module_or_after_its_folder_if_two_have_it(tmp_path: Path) -> None:
    names = {
        "Cam": "${MODULES.camera}",
        "a": "${MODULES.my mod}",
        "b": "${MODULES.my mod}",
        "c": "${MODULES.cam.debug}",
        "d": "${MODULES.x}",
    }
    folders = {"camera": "r/camera", "my mod": "r/my", "cam": "r/cam", "x": "r/x"}
    made = project(
        tmp_path, template({name: module(image) for name, image in names.items()}),
        modules={name: module_json(repository) for name, repository in folders.items()},
    )  # fmt: skip
    assert made.modules == ("Cam", "my-mod", "cam-debug", "x-module")


def test_an_image_without_a_module_json_stays_a_placeholder_and_is_listed(tmp_path: Path) -> None:
    made = project(tmp_path, modules={})
    assert '"image": "${MODULES.filter}"' in made.files[tmp_path / "deployment.json.j2"]
    (item,) = [item for item in made.lost if item.what == "image ${MODULES.filter}"]
    assert item.where.endswith("deployment.template.json:57:25")


@pytest.mark.parametrize("key", ["filter.arm32v7", "filter.debug"])
def test_an_image_of_a_platform_that_a_module_lacks_stays_a_placeholder_and_is_listed(tmp_path: Path, key: str) -> None:
    data = template({"filter": module(f"${{MODULES.{key}}}")})
    made = project(tmp_path, data, modules={"filter": module_json("r.io/filter", "amd64")})
    assert f"${{MODULES.{key}}}" in made.files[tmp_path / "deployment.json.j2"]
    assert lost(made)[f"image ${{MODULES.{key}}}"] == "module.json has no such platform, only amd64"


def test_images_of_one_repository_are_parted(tmp_path: Path) -> None:
    images = {"one": "${MODULES.a}", "two": "${MODULES.b}", "three": "${MODULES.a.debug}"}
    data = template({name: module(image) for name, image in images.items()})
    made = project(tmp_path, data, modules={"a": module_json("r.io/x"), "b": module_json("r.io/x", version="2")})
    names = {name: entry["image"]["name"] for name, entry in data_of(made)["modules"].items()}
    assert names == {"one": "x", "two": "x-two", "three": "x-debug"}
    assert lost(made)["repository 'x' for module 'three'"] == "another image has it, so this one is 'x-debug'"


def test_logins_come_from_variables_and_say_from_which_ones(tmp_path: Path) -> None:
    credentials = {
        "acme": CREDENTIAL,
        "again": CREDENTIAL,
        "hub": {"username": "me", "password": "geheim-im-klartext", "address": "docker.io"},
        "unused": {**CREDENTIAL, "address": "x.azurecr.io"},
        "broken": {"username": "me"},
    }
    more = {"own": module("me/tool:1"), "b": module("b.azurecr.io/b:1"), "c": module("c.azurecr.io/c:1")}
    env = f"{ENV}CONTAINER_REGISTRY_USERNAME_b=u\nCONTAINER_REGISTRY_PASSWORD_b=geheim-b\n"
    made = project(tmp_path, template({"filter": module(), **more}, credentials=credentials), env=env)
    assert data_of(made)["registry"] == {"credentials": "env", "sources": {"docker.io": "env"}}
    told = supply(made)
    assert told["login for acme.azurecr.io"] == (
        "set ACR_USERNAME_ACME and ACR_PASSWORD_ACME to the values of CONTAINER_REGISTRY_USERNAME_acme and "
        "CONTAINER_REGISTRY_PASSWORD_acme"
    )
    assert told["login for docker.io"].startswith("set ACR_USERNAME_DOCKER and ACR_PASSWORD_DOCKER")
    assert told["login for b.azurecr.io"] == (
        "set ACR_USERNAME_B and ACR_PASSWORD_B to the values of CONTAINER_REGISTRY_USERNAME_b and "
        "CONTAINER_REGISTRY_PASSWORD_b"
    )
    assert told["login for c.azurecr.io"] == "set ACR_USERNAME_C and ACR_PASSWORD_C"
    assert lost(made)["registry credential 'again'"] == "'acme' is for the same registry"
    assert lost(made)["registry credential 'broken'"] == "it has no address"
    text = made.files[tmp_path / "deployment.json.j2"]
    assert '"${ACR_PASSWORD_X}"' in text and "geheim" not in repr(made)


def test_values_come_from_env_and_secrets_from_the_environment(tmp_path: Path) -> None:
    env = {name: {"value": f"${name}"} for name in ("LOG_LEVEL", "STORAGE", "LATER", "HERE")}
    options = {"Cmd": ["sh", "-c", "echo $HERE $SITE"]}
    made = project(tmp_path, template({"filter": module(env=env, options=options)}), environ={"HERE": "x"})
    assert data_of(made)["manifest"]["values"]["variables"] == {
        "LOG_LEVEL": "debug",
        "STORAGE": "${env:STORAGE}",
        "LATER": "$LATER",
        "HERE": "${env:HERE}",
        "SITE": "hall 3",
    }
    assert "LATER: $LATER" in made.files[made.project] and "# no value yet: write it here" in made.files[made.project]
    assert {"secret STORAGE", "value of $LATER", "value of HERE"} <= set(supply(made))
    assert "the container's shell reads it" in lost(made)["expansion of $HERE"]
    assert "echo $HERE {{ variables.SITE }}" in made.files[tmp_path / "deployment.json.j2"]


def test_a_connection_string_gives_names_and_never_its_key(tmp_path: Path) -> None:
    env = (
        "IOTHUB_CONNECTION_STRING=HostName=contoso.azure-devices.net;SharedAccessKeyName=o;SharedAccessKey=geheim1\n"
        "DEVICE_CONNECTION_STRING=HostName=contoso.azure-devices.net;DeviceId=edge-7;SharedAccessKey=geheim2\n"
    )
    made = project(tmp_path, env=env)
    data = data_of(made)
    assert (data["hub"], data["target"]) == ({"host": "contoso.azure-devices.net"}, {"device": "edge-7"})
    assert "geheim" not in repr(made)
    assert {"secret IOTHUB_CONNECTION_STRING", "secret DEVICE_CONNECTION_STRING"} <= set(supply(made))


def test_an_automatic_deployment_becomes_the_target(tmp_path: Path) -> None:
    data = {"id": "base", "targetCondition": "tags.a='b'", "priority": 3, "labels": {}, "content": template()}
    made = project(tmp_path, data)
    assert data_of(made)["target"] == {"deployment": "base", "condition": "tags.a='b'", "priority": 3}
    assert lost(made)["key 'labels'"].startswith("a manifest is 'modulesContent' alone")


def test_what_the_tool_drops_too_is_listed_with_its_place(tmp_path: Path) -> None:
    text = '{"modulesContent": {"$edgeHub": {"a": 1, "a": 2}}, // c\n "x/y": 1}'
    made = project(tmp_path, text, env=ENV + "SITE=again\nnonsense\n", modules={})
    places = {item.what: item.where.rpartition("/")[2] for item in made.lost}
    assert places["key 'a'"] == "deployment.template.json:1:42"
    assert places["key 'x/y'"] == "deployment.template.json:2:2"
    assert places["variable SITE of .env"] == ".env:5:1"
    assert places["a line of .env"] == ".env:7:1"
    assert "comments" in places
    assert any(what.startswith("variables STORAGE") for what in places)


@pytest.mark.parametrize(
    ("name", "project_file", "template_file"),
    [
        ("deployment.template.json", "manifestgen.yaml", "deployment.json.j2"),
        ("deployment.debug.template.json", "debug.yaml", "deployment.debug.json.j2"),
        ("line3.template.json", "line3.yaml", "line3.json.j2"),
        ("deployment.json", "manifestgen.yaml", "deployment.json.j2"),
    ],
)
def test_files_are_named_after_the_template(tmp_path: Path, name: str, project_file: str, template_file: str) -> None:
    made = project(tmp_path, name=name)
    assert [path.name for path in made.files] == [project_file, template_file, ".gitignore"]
    output = data_of(made)["manifest"].get("output")
    plain = name == "deployment.json"
    assert output == ("deployment.rendered.json" if plain else None)
    assert ("deployment.json" in made.files[tmp_path / ".gitignore"].splitlines()) is not plain


def test_a_project_in_another_folder_points_back_to_the_modules(tmp_path: Path) -> None:
    made = project(tmp_path / "sln", out=tmp_path / "new")
    files = data_of(made)["modules"]["filter"]["image"]["dockerfiles"]
    assert files["linux/amd64"] == "../sln/modules/filter/Dockerfile.amd64"
    assert made.project == tmp_path / "new" / "manifestgen.yaml"


def test_a_gitignore_that_is_there_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / ".gitignore").write_text("config/\n")
    assert tmp_path / ".gitignore" not in imported(read_solution(path, {}), tmp_path).files


def test_a_gitignore_that_is_a_folder_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / ".gitignore").mkdir()
    assert tmp_path / ".gitignore" not in imported(read_solution(path, {}), tmp_path).files


def test_a_mistake_of_the_template_itself_is_said_with_its_place(tmp_path: Path) -> None:
    made = project(tmp_path, data=template({"filter": module("r/filter:1", env={"MY KEY": {"value": "x"}})}))
    (item,) = made.wrong
    assert "'MY KEY'" in item.what and "IoT Hub would reject it" in item.why and item.fix
    lines = (tmp_path / "deployment.template.json").read_text().splitlines()
    assert "MY KEY" in lines[int(item.where.split(":")[-2]) - 1]
    assert project(tmp_path / "right").wrong == ()
