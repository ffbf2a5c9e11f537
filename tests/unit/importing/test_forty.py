"""Forty solutions as people have them: imported, rendered, checked, and compared with the manifest of the tool."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fakes.solutions import CANARIES, CREDENTIAL, ENV, module, module_json, template, write

from manifestgen.check import check_data
from manifestgen.importing.project import Imported, imported
from manifestgen.importing.write import write_all
from manifestgen.manifest import create_options
from manifestgen.manifest.manifest import Manifest
from manifestgen.project import load
from manifestgen.render import render_project
from manifestgen.solution import Solution, generate, read_solution
from manifestgen.solution.generate import module_settings

REPOSITORY = "acme.azurecr.io/filter"
AGENT, HUB, DESIRED = "$edgeAgent", "$edgeHub", "properties.desired"
THREE = {"a": module("${MODULES.a}"), "b": module("${MODULES.b}"), "sensor": module("mcr.microsoft.com/sensor:1.5")}
TWO_FOLDERS = {"a": module_json("acme.azurecr.io/a"), "b": module_json("acme.azurecr.io/b")}
LAYER = {f"{DESIRED}.modules.filter": module()}
LAYER_CREDENTIAL = {f"{DESIRED}.runtime.settings.registryCredentials.acme": CREDENTIAL}
SECRET_ENV = {
    "PASSWORD": {"value": CANARIES[2]},
    "TOKEN": {"value": CANARIES[2] + "2"},
    "CS": {"value": f"HostName=h;SharedAccessKey={CANARIES[2]}"},
}


WINDOWS = {"platform": "windows-amd64"}


class Case(NamedTuple):
    """A solution; see `fakes.solutions.write`."""

    data: Any = None
    modules: Mapping[str, Any] | None = None
    env: str = ENV
    name: str = "deployment.template.json"
    options: Mapping[str, Any] = {}


def wrapped(data: Any, **more: Any) -> Any:
    return {**more, "content": data}


def of_layer(*parts: Mapping[str, Any], routes: bool = True) -> Any:
    agent = {key: value for part in parts for key, value in part.items()}
    hub = {HUB: {f"{DESIRED}.routes.up": "FROM /messages/modules/filter/outputs/* INTO $upstream"}} if routes else {}
    return {"$schema-template": "4.0.0", "content": {"modulesContent": {AGENT: agent, **hub}}}


def old(data: Any) -> Any:
    return {"moduleContent": data["modulesContent"], **{key: data[key] for key in data if key.startswith("$")}}


CASES = {
    "4.0.0": Case(),
    "3.0.0": Case(template(version="3.0.0")),
    "2.0.0": Case(template(version="2.0.0")),
    "1.0.0": Case(template(version="1.0.0")),
    "no version": Case(template(version=None)),
    "0.0.1": Case(template(version="0.0.1")),
    "moduleContent": Case(old(template(version="1.0.0"))),
    "content": Case(wrapped(template())),
    "content with a condition": Case(wrapped(template(), id="base", targetCondition="tags.a = 'b'", priority=5)),
    "content with labels": Case(wrapped(template(version=None), labels={"a": "b"}, metrics={})),
    "debug template": Case(template({"f": module("${MODULES.filter.debug}")}), name="deployment.debug.template.json"),
    "debug option": Case(options={"debug": True}),
    "arm32": Case(modules={"filter": module_json(REPOSITORY, "arm32v7")}, options={"platform": "arm32v7"}),
    "explicit platform": Case(template({"filter": module("${MODULES.filter.arm64v8}")})),
    "three modules": Case(template(THREE), modules=TWO_FOLDERS),
    "one folder, two modules": Case(template({"a": module(), "b": module("${MODULES.filter.amd64}")})),
    "release and debug": Case(template({"a": module(), "b": module("${MODULES.filter.debug}")})),
    "a folder elsewhere": Case(
        template({"m": module("${MODULEDIR<../shared/m>}")}), modules={"../shared/m": module_json("acme.azurecr.io/m")}
    ),
    "a folder with a space": Case(template({"m": module("${MODULES.my mod}")}), modules={"my mod": module_json()}),
    "image in a variable": Case(template({"filter": module(env={"SELF": {"value": "image=${MODULES.filter}"}})})),
    "registry from .env": Case(
        template(credentials={"r": {**CREDENTIAL, "address": "${REG}"}}),
        modules={"filter": module_json("${REG}/filter")}, env=ENV + "REG=acme.azurecr.io\n",
    ),
    "local registry": Case(template(credentials={}), modules={"filter": module_json("localhost:5000/filter")}),
    "Docker Hub": Case(
        template(credentials={"hub": {**CREDENTIAL, "address": "docker.io"}}),
        modules={"filter": module_json("me/filter")},
    ),
    "two registries": Case(
        template(THREE, credentials={"acme": CREDENTIAL, "b": {**CREDENTIAL, "address": "b.example.com:443"}}),
        modules={**TWO_FOLDERS, "b": module_json("b.example.com:443/team/b")},
    ),
    "a credential in clear text": Case(
        template(credentials={"acme": {"username": "u", "password": CANARIES[2], "address": "acme.azurecr.io"}})
    ),
    "a credential of no image": Case(template(credentials={"x": {**CREDENTIAL, "address": "x.azurecr.io"}})),
    "no runtime settings": Case(template({"filter": module("mcr.microsoft.com/x:1")}, credentials={}), modules={}),
    "variables": Case(
        template(
            {"filter": module(env={"L": {"value": "$LOG_LEVEL"}, "M": {"value": "${LOG_LEVEL}-${SITE}"}})},
            twins={"filter": {"$SITE": "${SITE}", "n": [1, 2.5, True, None, {"x": "$LOG_LEVEL"}]}},
        )
    ),
    "a secret of .env": Case(template({"filter": module(env={"S": {"value": "$STORAGE"}})})),
    "a secret of .env in createOptions": Case(template({"filter": module(options={"Env": ["S=${STORAGE}"]})})),
    "secrets in the template": Case(
        template(
            {"filter": module(env=SECRET_ENV, options={"Env": [f"API_KEY={CANARIES[2]}"]})},
            twins={"t": {"pwd": CANARIES[2]}},
        )
    ),
    "a secret in createOptions as text": Case(
        template({"filter": module(options=json.dumps({"Env": [f"API_KEY={CANARIES[2]}", f"MY_TOKEN={CANARIES[0]}"]}))})
    ),
    "variables without a value": Case(template({"filter": module(env={"L": {"value": "${A} ${A} ${B}"}})}), env=""),
    "no module.json": Case(modules={}),
    "Windows alone": Case(modules={"filter": module_json("acme.azurecr.io/f", "windows-amd64")}, options=WINDOWS),
    "braces and percent": Case(
        template(
            {"filter": module(env={"J": {"value": "{{ x }} {% y %} {# z #} {{{SITE"}, "K": {"value": "{$SITE}{"}})}
        )
    ),
    "createOptions in every form": Case(
        template({
            "a": module("r/a:1", options="{}"), "b": module("r/b:1", options={"HostConfig": {"Binds": ["/a:/b"]}}),
            "c": module("r/c:1", options=""), "d": module("r/d:1", options=None), "e": module("r/e:1", options=...),
            "f": {"settings": {"image": "r/f:1", "createOptions": {"Env": ["A=1"]}, "createOptions01": "stale"}},
            "g": {"settings": {"image": "r/g:1", "createOptions": '{"Env":', "createOptions01": '["A=1"]}'}},
            "h": module("r/h:1", options={"Env": ["X=" + "x" * 2000]}),
        })
    ),
    "routes in both forms": Case(
        template(routes={
            "a": 'FROM /messages/modules/filter/outputs/* INTO BrokeredEndpoint("/modules/x/inputs/y")',
            "b": {"route": "FROM /messages/* WHERE $body.t > 5 INTO $upstream", "priority": 0, "timeToLiveSecs": 60},
        })
    ),
    "layer": Case(of_layer(LAYER)),
    "layer with a credential": Case(of_layer(LAYER_CREDENTIAL, LAYER), name="layer.template.json"),
    "a variable as the key of a null": Case(template(twins={"filter": {"$SITE": None, "x": None}})),
    "layer of a credential alone": Case(of_layer(LAYER_CREDENTIAL, routes=False)),
    "unknown fields": Case({"_comment": "x", **template({"filter": module(x={"y": 1}, startupOrder=2)}), "extra": [1]}),
    "plain manifest": Case(template({"m": module(REPOSITORY + ":1")}, version=None), env="", name="deployment.json"),
    "fifty modules": Case(
        template({f"m{n}": module(f"${{MODULES.m{n}}}") for n in range(50)}),
        modules={f"m{n}": module_json(f"acme.azurecr.io/m{n}") for n in range(50)},
    ),
    "a strange .env": Case(env=f"\ufeff# c\n\n A = 'b' \nSITE=\"hall \"3\"\"\nSITE=x\nnone\nPAT={CANARIES[0]}\n{ENV}"),
    "comments": Case("// c\n" + json.dumps(template(), indent=1).replace('"modules"', '/* c */ "modules"')),
}  # fmt: skip


def solution_of(case: Case, folder: Path) -> Solution:
    return read_solution(write(folder / "sln", case.data, modules=case.modules, env=case.env, name=case.name), {})


def rendered(solution: Solution, made: Imported, **options: Any) -> Manifest:
    """What the project renders with the tool's images, and with its secrets in the environment."""
    secrets = {name: one.text for name, one in solution.env.variables.items()}
    wanted = re.findall(r"\$\{env:(\w+)\}", made.files[made.project])
    project = load(made.project, {name: secrets.get(name, f"canary of {name}") for name in wanted})
    images = solution.images(options.get("platform", "amd64"), debug=options.get("debug", False))
    modules = {name: {"image": images[key]} for key, name in made.keys.items() if key in images}
    return render_project(project, lambda manifest: {}, values={"modules": modules} if modules else {}).manifest


def normal(content: Any) -> Any:
    """A manifest without what may differ: logins, how createOptions are cut, secrets of the template itself."""
    text = json.dumps(content)
    content = json.loads(re.sub('canary[^"\\\\;]*|HostName=h;SharedAccessKey=[^"]*', "SECRET", text))
    for _, _, settings in module_settings(content):
        if any(key.startswith("createOptions") for key in settings):
            text = create_options.join(settings)
            for key in [key for key in settings if key.startswith("createOptions")]:
                del settings[key]
            settings["options"] = json.loads(text) if text.startswith("{") else text
    agent = content["modulesContent"][AGENT]
    for key in [key for key in agent if "registryCredentials" in key]:
        del agent[key]
    agent.get(DESIRED, {}).get("runtime", {}).get("settings", {}).pop("registryCredentials", None)
    return content["modulesContent"]


@pytest.mark.parametrize("name", CASES)
def test_a_solution_becomes_a_project_that_renders_the_same_manifest(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    solution = solution_of(case, tmp_path)
    made = imported(solution, solution.folder, **case.options)
    write_all(made.files, force=False)
    texts = [path.read_text() for path in made.files]
    assert not [canary for canary in CANARIES for text in (*texts, repr(made)) if canary in text]

    content = generate(solution, **case.options).content
    content = content.get("content", content)
    manifest = rendered(solution, made, **case.options)
    assert normal(manifest.content) == normal({"modulesContent": content["modulesContent"]})

    before = {finding.rule for finding in check_data(content)}
    after = {finding.rule for finding in check_data(manifest.content)}
    assert after - before <= {"credential-missing", "placeholder"}

    again = imported(solution, solution.folder, **case.options)
    assert again == made
    assert write_all(again.files, force=False).files == ()


def test_there_are_forty() -> None:
    assert len(CASES) >= 40
