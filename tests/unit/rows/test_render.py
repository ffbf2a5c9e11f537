from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import private_hosts

from manifestgen.credentials.source import Login
from manifestgen.errors import CloudError
from manifestgen.manifest.manifest import Manifest
from manifestgen.render import load_template
from manifestgen.rows.render import Ready, Refused, Renderer
from manifestgen.rows.rows import Row
from manifestgen.secret import Secret

BASE: dict[str, Any] = {"ttl": 60, "runtime": "1.6", "module": "scorer", "image": "mcr.microsoft.com/acme/scorer:1"}
TEMPLATE = """{%% extends "single-module.json.j2" %%}
{%% block twins %%},
    "scorer": {"properties.desired": {%s}}
{%% endblock %%}
"""


def row(number: int, **values: Any) -> Row:
    return Row(number, number, f"edge-{number}", tuple((name,) for name in values), tuple(values.values()))


def made(tmp_path: Path, twin: str) -> Renderer:
    path = tmp_path / "t.json.j2"
    path.write_text(TEMPLATE % twin)
    return Renderer(load_template(str(path)), BASE, lambda manifest: {})


def twin_of(result: Ready | Refused) -> Any:
    assert isinstance(result, Ready), result
    return json.loads(result.body)["modulesContent"]["scorer"]["properties.desired"]


def test_a_template_that_computes_with_each_device_s_name_is_rendered_row_by_row(tmp_path: Path) -> None:
    renderer = made(tmp_path, '"name": {{ device | upper | tojson }}')
    for number in range(70):
        assert twin_of(renderer.render(row(number))) == {"name": f"EDGE-{number}"}


def test_a_template_that_joins_values_gets_those_of_the_row(tmp_path: Path) -> None:
    renderer = made(tmp_path, '"name": {{ "-".join([site, device]) | tojson }}')
    assert [twin_of(renderer.render(row(number, site="x")))["name"] for number in (1, 2)] == ["x-edge-1", "x-edge-2"]


def test_rows_that_take_turns_get_their_own(tmp_path: Path) -> None:
    renderer = made(tmp_path, '"name": "{{ site | upper }} {{ device }}"')
    for site in ("a", "b", "a", "c", "b", "a"):
        for number in (1, 2):
            assert twin_of(renderer.render(row(number, site=site))) == {"name": f"{site.upper()} edge-{number}"}


@pytest.mark.parametrize("value", ['"', "\\", "$X y", "é", "x" * 300, 2**40, 1e300, None, True, [1, {"a": "b"}], {}])
def test_values_come_out_as_they_are(tmp_path: Path, value: Any) -> None:
    renderer = made(tmp_path, '"site": {{ site | tojson }}, "text": "({{ site }})"')
    assert twin_of(renderer.render(row(1, site="plain")))["site"] == "plain"
    assert twin_of(renderer.render(row(2, site=value)))["site"] == value
    assert twin_of(renderer.render(row(3, site="again"))) == {"site": "again", "text": "(again)"}


def test_a_manifest_near_the_limit_of_a_twin_is_counted_exactly(tmp_path: Path) -> None:
    names = ", ".join(f'"n{number}": {{{{ site | tojson }}}}' for number in range(127))
    renderer = made(tmp_path, names)
    assert isinstance(renderer.render(row(1, site="x")), Ready)
    assert isinstance(renderer.render(row(2, site="x" * 250)), Ready)
    refused = renderer.render(row(3, site="x" * 256))
    assert isinstance(refused, Refused) and "IoT Hub accepts 32768" in refused.why


def test_a_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    refused = made(tmp_path, '"site": {{ site | tojson }}').render(row(1, site="\ud800"))
    assert isinstance(refused, Refused)
    assert refused.fix


def test_each_row_gets_the_credentials_that_its_images_need(tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def logins(manifest: Manifest) -> Mapping[str, Login]:
        hosts = private_hosts(manifest)
        asked.append(hosts)
        return {host: Login("robot", Secret(f"password of {host}")) for host in hosts}

    renderer = Renderer(load_template("single-module"), BASE, logins)
    hosts = ["a.azurecr.io", "a.azurecr.io", "b.azurecr.io", "mcr.microsoft.com", "a.azurecr.io", "b.azurecr.io"]
    for number, host in enumerate(hosts):
        result = renderer.render(row(number, image=f"{host}/scorer:{number}"))
        assert isinstance(result, Ready)
        runtime = json.loads(result.body)["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]
        entries = [(one["address"], one["password"]) for one in runtime["settings"]["registryCredentials"].values()]
        assert entries == ([] if host.startswith("mcr") else [(host, f"password of {host}")])
    assert len(asked) < len(hosts)


def test_a_cloud_that_does_not_hand_out_credentials_ends_the_run(tmp_path: Path) -> None:
    def logins(manifest: Manifest) -> Mapping[str, Login]:
        raise CloudError("no answer", fix="try again")

    with pytest.raises(CloudError):
        Renderer(load_template("single-module"), BASE, logins).render(row(1))


def test_errors_may_be_forced_but_not_those_of_the_hub(tmp_path: Path) -> None:
    template = load_template("single-module")
    bad = row(1, image="Upper/Case:1")
    assert isinstance(Renderer(template, BASE, lambda manifest: {}).render(bad), Refused)
    assert isinstance(Renderer(template, BASE, lambda manifest: {}, force=True).render(bad), Ready)
    long = row(2, env={"A": "x" * 5000})
    assert isinstance(Renderer(template, BASE, lambda manifest: {}, force=True).render(long), Refused)


def test_the_findings_of_the_first_manifest_are_told_once(tmp_path: Path) -> None:
    told: list[Any] = []
    renderer = Renderer(
        load_template("single-module"), BASE, lambda manifest: {}, report=lambda document, found: told.append(found)
    )
    for number in range(3):
        renderer.render(row(number, image=f"mcr.microsoft.com/acme/scorer:{number}"))
    assert len(told) == 1
