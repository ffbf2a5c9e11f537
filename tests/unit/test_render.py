from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.credential_inputs import inputs_of, private_hosts

from manifestgen.credentials.logins import Logins, inline, placeholders
from manifestgen.credentials.source import Inputs, Login
from manifestgen.credentials.sources import SOURCES
from manifestgen.errors import InputError
from manifestgen.manifest import create_options
from manifestgen.manifest.dump import dump
from manifestgen.manifest.registries import named_hosts
from manifestgen.project import load
from manifestgen.project.lock import Lock, LockedModel, write
from manifestgen.render import (
    Template,
    UndefinedValueError,
    builtin_names,
    context_of,
    load_template,
    render,
    render_project,
)
from manifestgen.secret import Secret

ACME = "acme.azurecr.io"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compiled(text: str) -> Template:
    """A template of this text, in the folder of the test."""
    Path("t.json.j2").write_text(text, encoding="utf-8")
    return load_template("t.json.j2")


def twin(expression: str, values: dict[str, Any] | None = None, *, before: str = "") -> Any:
    """What a template makes of an expression that stands where a JSON value is expected."""
    text = before + '{"modulesContent": {"m": {"properties.desired": {"x": ' + expression + "}}}}"
    manifest = compiled(text).render(values or {})
    return manifest.content["modulesContent"]["m"]["properties.desired"]["x"]


NASTY = [
    'a "quoted" text',
    "back\\slash \\n",
    "two\nlines\ttab",
    "</script>&'<>",
    "grüße 日本 🎉",
    "{{ 7 * 7 }}",
    "",
    0,
    -1,
    1.5,
    True,
    False,
    None,
    [],
    {},
    [1, "a", None, {"b": [True]}],
    {'a"b': {"c": "d\\"}},
]


class TestValuesInTheirPlace:
    @pytest.mark.parametrize("value", NASTY)
    @pytest.mark.parametrize("expression", ["{{ v }}", "{{ v | tojson }}", "{{- v -}}"])
    def test_outside_quotes_a_value_stands_for_itself(self, expression: str, value: Any) -> None:
        assert twin(expression, {"v": value}) == value

    @pytest.mark.parametrize("value", [value for value in NASTY if isinstance(value, str)])
    @pytest.mark.parametrize("expression", ["{{ v }}", "{{ v | tojson }}"])
    def test_inside_quotes_a_text_is_part_of_the_text(self, expression: str, value: Any) -> None:
        assert twin(f'"<{expression}>"', {"v": value}) == f"<{value}>"

    @pytest.mark.parametrize("value", [value for value in NASTY if not isinstance(value, str)])
    def test_inside_quotes_anything_else_is_its_json(self, value: Any) -> None:
        text = twin('"{{ v }}"', {"v": value})
        assert json.loads(text) == value

    def test_an_escape_before_a_value_does_not_end_the_text(self) -> None:
        assert twin(r'"\"{{ v }}\" \\{{ v }}"', {"v": 'a"b'}) == '"a"b" \\a"b'

    def test_json_of_json_is_a_text(self) -> None:
        assert twin("{{ v | tojson | tojson }}", {"v": {"a": 1}}) == '{"a":1}'

    def test_keys_keep_their_order(self) -> None:
        assert list(twin("{{ v }}", {"v": {"z": 1, "a": 2}})) == ["z", "a"]

    def test_a_value_can_be_a_key(self) -> None:
        assert twin("{ {{ v }}: 1 }", {"v": 'k"'}) == {'k"': 1}

    def test_values_cannot_add_anything(self) -> None:
        assert twin("{{ v }}", {"v": '1, "y": 2'}) == '1, "y": 2'
        assert twin('"{{ v }}"', {"v": '", "y": "'}) == '", "y": "'

    def test_a_macro_is_text_of_the_template(self) -> None:
        macro = '{% macro pair(k, v) %}{"{{ k }}": {{ v }}}{% endmacro %}'
        assert twin("{{ pair('a', v) }}", {"v": 'x"'}, before=macro) == {"a": 'x"'}
        assert twin("{{ pair('a', v) | tojson }}", {"v": 'x"'}, before=macro) == '{"a": "x\\""}'
        assert twin("[{{ pair('a', 1) ~ ',' ~ pair('b', 2) }}]", before=macro) == ['{"a": 1},{"b": 2}']
        assert twin("{{ pair('a', '<&>') ~ '<&>' }}", before=macro) == '{"a": "<&>"}<&>'

    def test_a_macros_text_can_be_part_of_a_value(self) -> None:
        macro = '{% macro pair(k, v) %}{"{{ k }}": {{ v }}}{% endmacro %}'
        expression = "{{ [{'o': pair('a', v), pair('k', 1): (1, '\ufdd0')}] }}".replace("\ufdd0", "\\ufdd5")
        assert twin(expression, {"v": 'x"'}, before=macro) == [{"o": '{"a": "x\\""}', '{"k": 1}': [1, "\ufdd5"]}]
        assert twin("{{ [v, w] }}", {"v": "\ufdd0x\ufdd1", "w": ["\ufdd2"]}) == ["\ufdd0x\ufdd1", ["\ufdd2"]]

    def test_a_block_that_was_set_is_text_of_the_template(self) -> None:
        assert twin("{{ o }}", {"v": 'x"'}, before='{% set o %}{"a": {{ v }}}{% endset %}') == {"a": 'x"'}

    @pytest.mark.parametrize(
        "loop",
        [
            '[{% for i in v %}{{ i }}{{ "," if not loop.last }}{% endfor %}]',
            '[{% for i in v %}{{ i }}{{ "" if loop.last else "," }}{% endfor %}]',
            "[{% for i in v %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}]",
            "{% set comma = joiner(',') %}[{% for i in v %}{{ comma() }}{{ i }}{% endfor %}]",
            "[{{ v | map('tojson') | join(', ') }}]",
            "{{ v }}",
        ],
    )
    def test_the_usual_ways_to_write_a_list_work(self, loop: str) -> None:
        value = ['a"', 2, {"b": None}]
        assert twin(loop, {"v": value}) == value

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("{{ v | upper }}", "A<B"),
            ("{{ v ~ '-' ~ 1 }}", "a<b-1"),
            ("{{ [v, v] | join('&') }}", "a<b&a<b"),
            ("{{ v | replace('<', '\"') }}", 'a"b'),
            ("{{ '%s!' | format(v) }}", "a<b!"),
            ("{{ missing_one | default('x\"') }}", 'x"'),
            ("{{ v if v else 1 }}", "a<b"),
            ("{{ (v | tojson)[1:3] }}", "a<"),
            ("{{ [v] | first }}", "a<b"),
            ("{{ 5 }}", 5),
            ("{{ [1, '<'] }}", [1, "<"]),
            ("{{ 'a<' | upper }}", "A<"),
            ("{{ {'a': '<\"'} | tojson }}", {"a": '<"'}),
            ("{{ {'a': '<\"'} | tojson | tojson }}", '{"a":"<\\""}'),
            ("{{ none }}", None),
            ("{{ 1 < 2 }}", True),
        ],
    )
    def test_expressions_give_values(self, expression: str, expected: Any) -> None:
        assert twin(expression, {"v": "a<b"}) == expected

    @pytest.mark.parametrize("name", ["safe", "e", "escape", "forceescape", "urlize", "xmlattr", "striptags"])
    def test_filters_that_bypass_or_spoil_values_are_not_there(self, name: str) -> None:
        with pytest.raises(InputError, match=f"no filter named '{name}'"):
            compiled("{{ v | " + name + " }}")


class TestMistakes:
    def refusal(self, text: str, values: Any = None, kind: type[InputError] = InputError) -> Any:
        with pytest.raises(kind) as caught:
            compiled(text).render(values or {})
        return caught.value

    @pytest.mark.parametrize(
        ("expression", "values", "name"),
        [
            ("{{ image }}", {}, "image"),
            ("{{ image | tojson }}", {}, "image"),
            ("{{ [1, image] | tojson }}", {}, "image"),
            ("{{ 'x' ~ image }}", {}, "image"),
            ("{% if image %}{% endif %}", {}, "image"),
            ("{% for a in image %}{% endfor %}", {}, "image"),
            ("{{ site.name }}", {"site": {}}, "site.name"),
            ("{{ site['name'] | tojson }}", {"site": {}}, "site.name"),
            ("{{ site.a.b }}", {"site": {"a": {}}}, "site.a.b"),
            ("{{ site.a.b }}", {"site": {}}, "site.a"),
            ("{{ sites[1] }}", {"sites": [0]}, "sites[1]"),
            ("{% for s in sites %}{{ s.name }}{% endfor %}", {"sites": [{"name": 1}, {}]}, "sites[1].name"),
        ],
    )
    def test_an_undefined_value_is_named_with_its_line(self, expression: str, values: Any, name: str) -> None:
        error = self.refusal("{\n\n" + expression + "\n}", values, UndefinedValueError)
        assert error.name == name
        assert error.what == f"'{name}' is undefined"
        assert error.where.endswith("t.json.j2:3")

    def test_an_undefined_value_in_an_included_template_names_that_file(self, tmp_path: Path) -> None:
        (tmp_path / "part.j2").write_text("\n{{ nope }}")
        (tmp_path / "t.json.j2").write_text('{"a": {% include "part.j2" %}}')
        with pytest.raises(UndefinedValueError) as caught:
            render("t.json.j2", {}, root=tmp_path)
        assert caught.value.where == f"{tmp_path / 'part.j2'}:2"

    def test_a_syntax_error_in_an_included_template_names_that_file(self, tmp_path: Path) -> None:
        (tmp_path / "part.j2").write_text("\n{% nope %}")
        (tmp_path / "u.json.j2").write_text('{"a": {% include "part.j2" %}}')
        with pytest.raises(InputError, match="not a template") as caught:
            render("u.json.j2", {}, root=tmp_path)
        assert caught.value.where == f"{tmp_path / 'part.j2'}:2"

    def test_a_file_that_changed_meanwhile_leaves_the_name_of_the_template(self) -> None:
        template = compiled("{,}")
        Path("t.json.j2").unlink()
        with pytest.raises(InputError, match="not JSON") as caught:
            template.render({})
        assert caught.value.where == "t.json.j2"

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("{\n{{ a b }}\n}", 2),
            ("{\n{% if %}\n}", 2),
            ("{\n{% for a in b %}\n}", 2),
            ("{\n{{ v | nope }}\n}", 2),
            ("{\n{% nope %}\n}", 2),
            ("{\n{{ 'x }}\n}", 2),
        ],
    )
    def test_what_is_no_template_is_refused_with_its_line(self, text: str, line: str) -> None:
        error = self.refusal(text)
        assert error.what.startswith("not a template: ")
        assert error.where.endswith(f"t.json.j2:{line}")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ('{"modulesContent": {\n"a": {}\n;}}', 3),
            ('{"modulesContent": {\n"a": {}\n"b": {}}}', 3),
            ('{"modulesContent":\n{% for i in [1, 2] %}\n  {"a": {{ i }} }\n{% endfor %}}', 3),
            ("{{ v }}\n{{ v }}", 2),
            ("{#\n\n#}{'a': 1}", 3),
            ('{"a": 1', 1),
            ("{% macro m() %}\n{,}\n{% endmacro %}\n{{ m() }}", 2),
            ("{% set x = 1 -%}\n\n\n{,}", 4),
            ('{"a": "{{ v }}",\n"b": "{{ v }}" "c"}', 2),
            ("{\n{{ v }}\n:\n}", 4),
        ],
    )
    def test_output_that_is_not_json_names_the_line_of_the_template(self, text: str, line: str) -> None:
        error = self.refusal(text, {"v": 'x"y'})
        assert error.what.startswith("the template's output is not JSON: ")
        assert error.where.endswith(f"t.json.j2:{line}")

    def test_output_that_is_not_json_names_the_file_that_put_it_out(self, tmp_path: Path) -> None:
        (tmp_path / "t.json.j2").write_text(
            '{% extends "runtime-only.json.j2" %}\n{% block modules %}\n{\n{% endblock %}'
        )
        with pytest.raises(InputError) as caught:
            render("t.json.j2", context_of(), root=tmp_path)
        assert caught.value.where == f"{tmp_path / 't.json.j2'}:3"
        (tmp_path / "u.json.j2").write_text("{% extends 'runtime-only.json.j2' %}{% block twins %}\n: {% endblock %}")
        with pytest.raises(InputError) as caught:
            render("u.json.j2", context_of(), root=tmp_path)
        assert caught.value.where == f"{tmp_path / 'u.json.j2'}:2"

    @pytest.mark.parametrize("text", ["", "   ", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
    def test_output_beyond_json_is_refused(self, text: str) -> None:
        assert "not JSON" in self.refusal(text).what

    def test_keys_that_stand_twice_are_refused(self) -> None:
        assert "'a' is given twice in one object" in self.refusal('{"modulesContent": {"a": {}, "a": {}}}').what

    @pytest.mark.parametrize("text", ['{"modulesContent": {"a": NaN}}', '{"modulesContent": {"a": -Infinity}}'])
    def test_numbers_that_json_has_not_are_refused(self, text: str) -> None:
        assert "is not JSON" in self.refusal(text).what

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"bytes"])
    def test_values_that_json_has_not_are_refused_with_their_line(self, value: Any) -> None:
        error = self.refusal('{\n"a": {{ v }}}', {"v": value})
        assert error.where.endswith("t.json.j2:2")

    def test_json_that_is_no_manifest_is_refused(self) -> None:
        error = self.refusal('{"a": 1}')
        assert "not a deployment manifest" in error.what
        assert error.where.endswith("t.json.j2")

    @pytest.mark.parametrize(
        "expression",
        [
            "{{ 1 + 'a' }}",
            "{{ 1 / 0 }}",
            "{{ 'a' | int(base=99) }}",
            "{{ v() }}",
            "{{ ''.__class__.__mro__ }}",
            "{{ range(10 ** 9) }}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% include 'nope.j2' %}",
            "{% include '../../etc/passwd' %}",
            "{{ cycler }}",
        ],
    )
    def test_an_expression_that_fails_is_an_error_of_the_template(self, expression: str) -> None:
        error = self.refusal("{\n" + expression + "}", {"v": 1})
        assert ".json.j2:2" in error.where

    def test_a_noncharacter_in_the_template_is_refused(self) -> None:
        error = self.refusal('{\n"\ufdd0"}')
        assert "U+FDD0" in error.what
        assert error.where.endswith(":2")

    def test_a_noncharacter_in_a_value_is_just_a_character(self) -> None:
        assert twin('"{{ v }}"', {"v": "\ufdd0\ufdd1\ufdd2"}) == "\ufdd0\ufdd1\ufdd2"

    def test_a_secret_value_is_in_no_message(self) -> None:
        values = {"password": "canary-password", "n": 1}
        for text in (
            '{"a": "{{ password }}",,}',
            "{{ n + password }}",
            "{{ password | int(base=0) + n.x }}",
            '{"a": {{ x }}',
        ):
            error = self.refusal(text, values)
            chain = f"{error} {error.fix}"
            assert "canary" not in chain

    def test_a_template_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "t.json.j2").write_bytes(b"\xff")
        with pytest.raises(InputError, match="not UTF-8"):
            load_template("t.json.j2", tmp_path)

    def test_a_byte_order_mark_is_none_of_its_text(self, tmp_path: Path) -> None:
        (tmp_path / "base.json.j2").write_bytes(b'\xef\xbb\xbf{"modulesContent": {% block it %}{}{% endblock %}}\r\n')
        (tmp_path / "t.json.j2").write_bytes(b'\xef\xbb\xbf{% extends "base.json.j2" %}\r\n')
        assert load_template("t.json.j2", tmp_path).render({}).content == {"modulesContent": {}}


class TestFinding:
    def test_the_built_in_names(self) -> None:
        assert builtin_names() == ("anomaly-detection", "layered", "runtime-only", "single-module")

    @pytest.mark.parametrize(("name", "fix"), [("single-modul", "'single-module'"), ("zzz", "runtime-only")])
    def test_an_unknown_name_names_the_known_ones(self, name: str, fix: str) -> None:
        with pytest.raises(InputError, match=f"template '{name}' not found") as caught:
            load_template(name)
        assert fix in caught.value.fix

    @pytest.mark.parametrize("name", ["x.json.j2", "folder/x"])
    def test_a_missing_file_is_named(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError, match="template not found") as caught:
            load_template(name, tmp_path)
        assert caught.value.where == str(tmp_path / name)


def module(manifest: Any, name: str) -> Any:
    return next(module for module in manifest.modules() if module.name == name)


MODULE = (
    '{"modulesContent": {"$edgeAgent": {"properties.desired": {"runtime": {"type": "docker", "settings": {}}, '
    '"modules": {"m": {"settings": {"image": {{ image | default("acme.azurecr.io/m:1") }}, '
    '"createOptions": {{ options | default({}) }} } } } } } } }'
)


class TestCreateOptions:
    def test_an_object_becomes_one_text(self) -> None:
        manifest = compiled(MODULE).render({"options": {"Env": ["a=b"], "HostConfig": {"Binds": []}}})
        assert module(manifest, "m").settings["createOptions"] == '{"Env":["a=b"],"HostConfig":{"Binds":[]}}'

    def test_a_text_stays_as_it_is(self) -> None:
        manifest = compiled(MODULE).render({"options": "{ }"})
        assert module(manifest, "m").settings["createOptions"] == "{ }"

    @pytest.mark.parametrize("as_text", [False, True])
    def test_what_is_longer_than_the_hub_takes_is_cut_inside_no_character(self, as_text: Any) -> None:
        options = {"Labels": {"x": "ü🎉" * 1500}}
        given = json.dumps(options, ensure_ascii=False) if as_text else options
        settings = module(compiled(MODULE).render({"options": given}), "m").settings
        chunks = [key for key in settings if key != "image"]
        assert chunks == ["createOptions", "createOptions01", "createOptions02"]
        assert all(len(settings[key].encode()) <= 4096 for key in chunks)
        assert json.loads(create_options.join(settings)) == options

    def test_chunks_of_the_template_stay(self) -> None:
        text = MODULE.replace('"createOptions":', '"createOptions01": "}", "createOptions":')
        settings = module(compiled(text).render({"options": "{"}), "m").settings
        assert (settings["createOptions"], settings["createOptions01"]) == ("{", "}")

    def test_too_much_is_an_error_of_the_template(self) -> None:
        with pytest.raises(InputError, match="chunks"):
            compiled(MODULE).render({"options": {"x": "y" * 500_000}})


def credentials(manifest: Any) -> Any:
    return {part.name: part.value for part in manifest.credential_entries()}


LOGIN = Login("user", Secret("canary-password"))


class TestRegistryCredentials:
    def test_each_host_that_an_image_names_gets_one_entry(self) -> None:
        manifest = render("single-module", context_of(image=f"{ACME}/m:1"), logins={ACME: LOGIN})
        assert credentials(manifest) == {"acme": {"address": ACME, "username": "user", "password": "canary-password"}}

    def test_hosts_that_no_image_names_get_none(self) -> None:
        logins = {ACME: LOGIN, "other.azurecr.io": LOGIN}
        manifest = render("single-module", context_of(image=f"{ACME}/m:1"), logins=logins)
        assert list(credentials(manifest)) == ["acme"]
        assert credentials(render("runtime-only", context_of(), logins=logins)) == {}

    @pytest.mark.parametrize("image", ["mcr.microsoft.com/a/b:1", "nginx:1", "localhost:5000/a:1", "ghcr.io/a/b:1"])
    def test_public_images_need_none(self, image: str) -> None:
        manifest = render("single-module", context_of(image=image))
        assert private_hosts(manifest) == ()

    def test_a_template_without_a_place_for_them_gets_them_too(self) -> None:
        manifest = compiled(MODULE).render({}, {ACME: LOGIN})
        assert list(credentials(manifest)) == ["acme"]

    def test_what_the_template_writes_itself_stays_and_is_not_doubled(self) -> None:
        text = MODULE.replace(
            '"settings": {}',
            '"settings": {"registryCredentials": {"mine": '
            '{"address": "ACME.azurecr.io", "username": "a", "password": "b"}}}',
            1,
        )
        manifest = compiled(text).render({}, {ACME: LOGIN})
        assert list(credentials(manifest)) == ["mine"]
        assert named_hosts(compiled(text).render({})) == ()

    def test_a_template_can_go_through_them(self) -> None:
        text = MODULE.replace(
            '"settings": {}',
            '"settings": {"registryCredentials": { {% for k, c in registry_credentials.items() %}'
            '"x_{{ k }}": {"address": "{{ c.address }}", "username": {{ c.username }}, "password": {{ c.password }}}'
            '{{ "," if not loop.last }}{% endfor %} }}',
            1,
        )
        assert list(credentials(compiled(text).render({}, {ACME: LOGIN}))) == ["x_acme"]

    def test_hosts_are_compared_as_the_device_does_whatever_their_case(self) -> None:
        manifest = compiled(MODULE).render({"image": "ACME.azurecr.io/m:1"}, {ACME: LOGIN})
        assert len(credentials(manifest)) == 1

    def test_two_registries_of_one_name_get_two_keys(self) -> None:
        logins = {ACME: LOGIN, "acme.azurecr.cn": LOGIN}
        text = MODULE.replace('"modules": {', '"modules": {"n": {"settings": {"image": "acme.azurecr.cn/n:1"}}, ', 1)
        assert sorted(credentials(compiled(text).render({}, logins))) == ["acme", "acme_1"]

    def test_a_layer_is_left_to_its_base(self) -> None:
        text = (
            '{"modulesContent": {"$edgeAgent": {"properties.desired.modules.m": '
            '{"settings": {"image": "acme.azurecr.io/m:1", "createOptions": {"a": 1}}}}}}'
        )
        manifest = compiled(text).render({}, {ACME: LOGIN})
        assert manifest.layered
        assert module(manifest, "m").settings["createOptions"] == '{"a":1}'
        assert credentials(manifest) == {}

    def test_placeholders_name_the_variables(self) -> None:
        manifest = render("single-module", context_of(image=f"{ACME}/m:1"))
        logins = placeholders()(manifest)
        assert credentials(render("single-module", context_of(image=f"{ACME}/m:1"), logins=logins)) == {
            "acme": {"address": ACME, "username": "${ACR_USERNAME_ACME}", "password": "${ACR_PASSWORD_ACME}"}
        }


PROJECT = """\
version: 1
model: {name: best, tags: {area: x}}
image: {name: n, entry_script: s.py, conda_file: c.yml}
registry: {credentials: env}
manifest:
  template: t.json.j2
  runtime: "1.5"
  values: {ttl: 60, site: {name: lab, line: 1}}
target: {device: edge-01}
"""
EVERYTHING = (
    '{"modulesContent": {"$edgeAgent": {"properties.desired": {"runtime": {"settings": {}}, "modules": {"m": '
    '{"settings": {"image": {{ image }}}}}}}, "m": {"properties.desired": {"all": '
    "[{{ module }}, {{ runtime }}, {{ ttl }}, {{ site }}, {{ model }}, {{ device }}] }}}}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    (tmp_path / "t.json.j2").write_text(EVERYTHING)
    return tmp_path


def everything(manifest: Any) -> Any:
    return manifest.content["modulesContent"]["m"]["properties.desired"]["all"]


LOCK = Lock(
    builder="package", image=f"{ACME}/n:7", inputs="x", built_at="t", manifestgen="0",
    model=LockedModel(name="best", version="4"),
)  # fmt: skip


def inline_from(folder: Path, environ: dict[str, str] | None = None) -> Any:
    """The logins of a project, where Azure must not be asked."""
    project = load(folder)
    return inline(project.registry_settings, Logins(inputs_of(project, environ=environ)).find)


class TestProjects:
    def test_the_lock_file_gives_image_and_model_version(self, folder: Path) -> None:
        project = load(folder)
        write(project, LOCK)
        rendered = render_project(project, placeholders())
        assert everything(rendered.manifest) == [
            "best",
            "1.5",
            60,
            {"name": "lab", "line": 1},
            {"name": "best", "version": 4, "tags": {"area": "x"}, "description": ""},
            "edge-01",
        ]
        assert module(rendered.manifest, "m").image_text == f"{ACME}/n:7"
        assert rendered.hosts == (ACME,)

    def test_without_an_image_the_command_that_makes_one_is_named(self, folder: Path) -> None:
        with pytest.raises(InputError, match="the model image has not been built yet") as caught:
            render_project(load(folder), placeholders())
        assert "manifestgen image" in caught.value.fix

    def test_a_template_that_uses_no_image_needs_none(self, folder: Path) -> None:
        text = (folder / "manifestgen.yaml").read_text().replace("t.json.j2", "runtime-only")
        (folder / "manifestgen.yaml").write_text(text)
        assert render_project(load(folder), placeholders()).hosts == ()

    def test_values_given_later_win(self, folder: Path) -> None:
        project = load(folder)
        values = {"ttl": 1, "site": {"line": 2}, "runtime": "1.6", "image": "given:1"}
        rendered = render_project(project, placeholders(), values=values)
        assert everything(rendered.manifest)[1:4] == ["1.6", 1, {"name": "lab", "line": 2}]
        assert module(rendered.manifest, "m").image_text == "given:1"
        rendered = render_project(project, placeholders(), values=values, image="option:1")
        assert module(rendered.manifest, "m").image_text == "option:1"

    def test_the_runtime_changes_agent_and_hub_together(self) -> None:
        manifest = render("runtime-only", context_of(values={"runtime": "1.5"}))
        images = [module.image_text for module in manifest.modules()]
        assert images == ["mcr.microsoft.com/azureiotedge-agent:1.5", "mcr.microsoft.com/azureiotedge-hub:1.5"]

    def test_logins_come_from_the_environment(self, folder: Path) -> None:
        environ = {"ACR_USERNAME_ACME": "u", "ACR_PASSWORD_ACME": "canary-env"}
        logins = inline_from(folder, environ)
        rendered = render_project(load(folder), logins, image=f"{ACME}/m:1")
        assert credentials(rendered.manifest)["acme"]["password"] == "canary-env"

    def test_a_registry_without_a_login_names_the_variables(self, folder: Path) -> None:
        logins = inline_from(folder)
        with pytest.raises(InputError, match=f"no credential for registry {ACME}") as caught:
            render_project(load(folder), logins, image=f"{ACME}/m:1")
        assert "ACR_USERNAME_ACME and ACR_PASSWORD_ACME" in caught.value.fix

    @pytest.mark.parametrize(("image", "asked"), [(f"{ACME}/m:1", [(ACME,)]), ("mcr.microsoft.com/m:1", [])])
    def test_azure_is_asked_only_for_private_registries(
        self, folder: Path, image: str, asked: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = (folder / "manifestgen.yaml").read_text().replace("credentials: env", "credentials: admin")
        (folder / "manifestgen.yaml").write_text(text)
        calls: list[tuple[str, ...]] = []

        def admin(host: str, inputs: Inputs) -> Login:
            calls.append((host,))
            return LOGIN

        monkeypatch.setattr(SOURCES["admin"], "_login", admin)
        rendered = render_project(load(folder), inline_from(folder), image=image)
        assert calls == asked
        assert len(rendered.hosts) == len(asked)

    def test_a_file_that_lacks_a_registry_is_named(self, folder: Path) -> None:
        (folder / "manifestgen.yaml").write_text(
            PROJECT.replace("{credentials: env}", "{credentials: file, file: r.env}")
        )
        (folder / "r.env").write_text("")
        logins = inline_from(folder)
        with pytest.raises(InputError) as caught:
            render_project(load(folder), logins, image=f"{ACME}/m:1")
        assert str(folder / "r.env") in caught.value.fix

    def test_it_is_told_when_the_manifest_holds_a_files_content(self, folder: Path) -> None:
        (folder / "key").write_text("canary-of-a-file")
        text = PROJECT.replace("name: lab", "name: 'x${file:key}y'")
        (folder / "manifestgen.yaml").write_text(text)
        assert render_project(load(folder), placeholders(), image="a:1").secret
        (folder / "manifestgen.yaml").write_text(text.replace("t.json.j2", "single-module"))
        assert not render_project(load(folder), placeholders(), image="a:1").secret


@pytest.mark.parametrize("name", builtin_names())
def test_a_template_renders_the_same_bytes_each_time(name: str) -> None:
    values = context_of(image=f"{ACME}/m:1", values={"env": {"B": 1, "A": "x"}, "upstream_protocol": "AmqpWs"})
    template = load_template(name)
    first = dump(template.render(values, {ACME: LOGIN}).content)
    assert dump(template.render(values, {ACME: LOGIN}).content) == first
    assert dump(load_template(name).render(values, {ACME: LOGIN}).content) == first


def test_the_upstream_protocol_is_set_on_agent_and_hub_alike() -> None:
    manifest = render("runtime-only", context_of(values={"upstream_protocol": "AmqpWs"}))
    assert [module.env_value("UpstreamProtocol") for module in manifest.modules()] == ["AmqpWs", "AmqpWs"]


@pytest.mark.parametrize("template", ["single-module", "anomaly-detection", "layered"])
def test_a_module_named_by_a_number_is_named_by_its_text(template: str) -> None:
    rendered = render(template, context_of(image=f"{ACME}/m:1", values={"module": 7}))

    assert "7" in [module.name for module in rendered.modules()]
