"""A row's manifest and verdict are what `render` and `check` say of that row alone, whatever rows came before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifestgen.check import Severity, check
from manifestgen.errors import ManifestgenError
from manifestgen.manifest.document import Kind, read
from manifestgen.manifest.dump import compact, dump
from manifestgen.project.values import merge, parse_set
from manifestgen.render import Template, load_template
from manifestgen.rows.render import Ready, Refused, Renderer
from manifestgen.rows.rows import Row
from manifestgen.rows.values import cell_value, flatten

_MODULE = """
    {{ name | tojson }}: {
      "version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
      "env": {"SITE": {"value": {{ site | tojson }}}, "PATH_": {"value": "/srv/{{ site }}/{{ device }}"} %s},
      "settings": {"image": "mcr.microsoft.com/acme/{{ image }}:{{ tag }}", "createOptions": %s}
    }"""

_PIECES = {
    "plain": _MODULE % ("", "{}"),
    "number": _MODULE % (', "N": {"value": {{ number | tojson }}}', "{}"),
    "branch": _MODULE % ('{% if site == "lab" %}, "LAB": {"value": "1"}{% endif %}', "{}"),
    "filter": _MODULE % (', "UPPER": {"value": {{ site | upper | tojson }}}', "{}"),
    "default": _MODULE % (', "D": {"value": {{ other | default("none") | tojson }}}', "{}"),
    "defined": _MODULE % ('{% if other is defined %}, "O": {"value": {{ other | tojson }}}{% endif %}', "{}"),
    "joined": _MODULE % (', "J": {"value": {{ site ~ "-" ~ device }}}', "{}"),
    "options": _MODULE % ("", '{"Env": ["SITE={{ site }}"]}'),
    "options as text": _MODULE % ("", '{{ {"Env": ["SITE=" ~ site]} | tojson | tojson }}'),
    "key": _MODULE % (', "{{ image }}": {"value": "x"}', "{}"),
    "loop": _MODULE % ('{% for c in site %}, "C{{ loop.index }}": {"value": "{{ c }}"}{% endfor %}', "{}"),
    "list": _MODULE % (', "L": {"value": "{{ [site, device] | join("/") }}"}', "{}"),
    "mapping": _MODULE % (', "M": {"value": {{ {"s": site} | tojson | tojson }}}', "{}"),
    "macro": "{% macro v(x) %}{{ x }}{% endmacro %}" + _MODULE % (', "V": {"value": "{{ v(site) }}"}', "{}"),
    "block filter": _MODULE % (', "B": {"value": "{% filter upper %}{{ site }}{% endfilter %}"}', "{}"),
    "slice": _MODULE % (', "S": {"value": "{{ site[:3] }}"}', "{}"),
    "method": _MODULE % (', "R": {"value": "{{ site.replace("a", "b") }}"}', "{}"),
    "none": _MODULE % ('{% if number is none %}, "NONE": {"value": "1"}{% endif %}', "{}"),
    "string": _MODULE % ('{% if number is string %}, "TEXT": {"value": "1"}{% endif %}', "{}"),
    "same": _MODULE % ('{% if site is sameas device %}, "SAME": {"value": "1"}{% endif %}', "{}"),
    "set": _MODULE % ('{% set x %}{{ site }}{% endset %}, "X": {"value": "{{ x | length }}"}', "{}"),
}

_TEMPLATE = """{%% extends "runtime-only.json.j2" %%}
{%% block modules %%}%s{%% endblock %%}
{%% block twins %%},
    {{ name | tojson }}: {"properties.desired": {"site": {{ site | tojson }}, "deep": {"n": [{{ number | tojson }}]}}}
{%% endblock %%}
"""

_texts = st.one_of(
    st.sampled_from(
        ["lab", "hall 3", "a", "plant-7", "ab", "", " ", "x" * 300, "ä", "{{ x }}", "${X}", '"', "\\", "é\n"]
    ),
    st.text(max_size=8),
)
_numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    _texts,
)
_values = st.fixed_dictionaries(
    {
        "site": _texts,
        "number": _numbers,
        "image": st.sampled_from(["scorer", "Scorer", "a/b", "camera", ""]),
        "tag": st.sampled_from(["1.0", "1.1", "latest", "-bad"]),
        "name": st.sampled_from(["scorer", "camera", "bad name", "$edgeHub"]),
    },
    optional={"other": _texts},
)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    folder = tmp_path_factory.mktemp("templates")
    made = {}
    for index, (name, piece) in enumerate(_PIECES.items()):
        path: Path = folder / f"{index}.json.j2"
        path.write_text(_TEMPLATE % piece)
        made[name] = load_template(str(path))
    return made


def _row(number: int, values: dict[str, Any]) -> Row:
    places: list[Any] = []
    leaves: list[Any] = []
    for name, value in values.items():
        flatten((name,), value, places, leaves)
    return Row(number, number, f"edge-{number % 3}", tuple(places), tuple(leaves))


_BASE: dict[str, Any] = {"ttl": 7200, "runtime": "1.6", "module": "m"}


def _said(template: Template, row: Row) -> bytes | None:
    """The manifest in bytes, rendered and checked by itself; None if anything is wrong with it."""
    try:
        manifest = template.render(merge(_BASE, {**row.values(), "device": row.device}))
        document = read(dump(manifest.content))
        findings = check(document)
        body = compact(manifest.content).encode()
    except (ManifestgenError, UnicodeEncodeError):
        return None
    applicable = document.kind is Kind.MANIFEST  # a value that looks like a placeholder makes it a template
    return body if applicable and all(finding.severity is not Severity.ERROR for finding in findings) else None


@pytest.mark.parametrize("piece", _PIECES)
@settings(max_examples=12, deadline=None)
@given(st.lists(_values, min_size=2, max_size=5))
def test_a_row_gives_what_render_and_check_say_of_it(
    templates: dict[str, Template], piece: str, rows: list[dict[str, Any]]
) -> None:
    template = templates[piece]
    renderer = Renderer(template, _BASE, lambda manifest: {})
    for number, values in enumerate(rows):
        row = _row(number, values)
        result = renderer.render(row)
        assert (result.body if isinstance(result, Ready) else None) == _said(template, row)


@given(
    st.one_of(
        st.from_regex(r"[A-Za-z0-9_./ :-]{1,12}", fullmatch=True),
        st.sampled_from(["yes", "No", "~", "0012", "1_000", "1e3"]),
    )
)
def test_a_cell_is_read_as_set_reads_it(text: str) -> None:
    if not text.strip():
        return
    try:
        expected = parse_set(f"cell={text}")["cell"]
    except ManifestgenError:
        with pytest.raises(ManifestgenError):
            cell_value(text)
    else:
        found = cell_value(text)
        assert (type(found), found) == (type(expected), expected)


def test_a_refused_row_says_what_check_says() -> None:
    template = load_template("single-module")
    base = {**_BASE, "image": "mcr.microsoft.com/acme/scorer:1"}
    renderer = Renderer(template, base, lambda manifest: {})
    good = renderer.render(_row(1, {"ttl": 60}))
    bad = renderer.render(_row(2, {"image": "not an image"}))
    missing = Renderer(template, _BASE, lambda manifest: {}).render(_row(3, {"ttl": 60}))
    assert isinstance(good, Ready)
    assert isinstance(bad, Refused) and "not an image" in bad.why and bad.fix
    assert isinstance(missing, Refused) and "'image' is undefined" in missing.why
