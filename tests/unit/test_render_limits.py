"""Templates that would loop for years, fill the memory, or leave the sandbox: each ends in an error of two lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.render import limits as limits_module
from manifestgen.render import load_template

END = '{"modulesContent": {}}'
DOUBLED = "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = EXPRESSION %}{% endfor %}"
LISTS = "{% set l = [1] %}{% for i in range(60) %}{% set _ = l.extend(l) %}{% endfor %}"


def render(folder: Path, text: str) -> InputError:
    (folder / "t.json.j2").write_text(text + END)
    template = load_template("t.json.j2", folder)
    started = time.process_time()  # of this process alone: how busy the machine is does not count
    with pytest.raises(InputError) as caught:
        template.render({})
    # Without limits none of these ends in minutes.
    assert time.process_time() - started < 60
    assert str(folder / "t.json.j2") in caught.value.where or "t.json.j2" in caught.value.where
    return caught.value


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{% for i in range(10**9) %}{% endfor %}", "range too big"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "1,000,000 steps"),
        ("{% for i in range(99999) %}{% for j in range(99999) if j < 0 %}{% endfor %}{% endfor %}", "1,000,000 steps"),
        ("{% for i in [9] recursive %}{{ loop([i]) }}{% endfor %}", "recursion"),
        ("{{ 'a' * 10**9 }}", "5,000,000 characters"),
        ("{{ [1] * 10**9 }}", "5,000,000 characters"),
        ("{{ 10 ** (10 ** 8) }}", "number is too large"),
        ("{{ 1.5 | round(10**9, 'ceil') }}", "number is too large"),
        ("{{ '%1000000000d' % 1 }}", "5,000,000 characters"),
        ("{{ '%*d' % (10**9, 1) }}", "5,000,000 characters"),
        ("{{ '{:1000000000}'.format(1) }}", "5,000,000 characters"),
        ("{{ '{:{w}}'.format(1, w=10**9) }}", "5,000,000 characters"),
        ("{{ '%1000000000d' | format(1) }}", "5,000,000 characters"),
        ("{{ 'a' | center(10**9) }}", "5,000,000 characters"),
        ("{{ 'a'.ljust(10**9) }}", "5,000,000 characters"),
        ("{{ (5).to_bytes(10**9, 'big') }}", "5,000,000 characters"),
        ("{{ ('a' * 9999).replace('a', 'a' * 99999) }}", "5,000,000 characters"),
        ("{{ ('a' * 9999) | replace('a', 'a' * 99999) }}", "5,000,000 characters"),
        ("{{ ('a\n' * 9999) | indent(99999) }}", "5,000,000 characters"),
        ("{{ ('a' * 9999) | join('a' * 99999) }}", "5,000,000 characters"),
        ("{{ ('a' * 99999).join('b' * 9999) }}", "5,000,000 characters"),
        (DOUBLED.replace("EXPRESSION", "ns.x ~ ns.x"), "5,000,000 characters"),
        (DOUBLED.replace("EXPRESSION", "ns.x + ns.x"), "5,000,000 characters"),
        ("{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}", "5,000,000 characters"),
        ("{% macro m() %}{% for i in range(99999) %}" + "x" * 999 + "{% endfor %}{% endmacro %}{{ m() }}", "elements"),
        ("{% set s %}{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}{% endset %}", "characters"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_template_without_end_ends(tmp_path: Path, text: str, what: str) -> None:
    error = render(tmp_path, text)
    assert what in error.what
    assert error.fix


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{% macro m(n) %}{{ m(n - 1) if n }}{{ m(n - 1) if n }}{% endmacro %}{{ m(40) }}", "100,000 steps"),
        (DOUBLED.replace("EXPRESSION", "[ns.x, ns.x]") + "{{ ns.x }}", "500,000 characters"),
        (DOUBLED.replace("EXPRESSION", "[ns.x, ns.x]") + "{{ ns.x | tojson }}", "500,000 characters"),
        (DOUBLED.replace("EXPRESSION", "[ns.x, ns.x]") + "{{ ns.x | string }}", "500,000 characters"),
        (LISTS, "500,000 characters"),
        ("{{ ([[1] * 999] * 9999) | sum(start=[]) }}", "500,000 characters"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_one_that_takes_seconds_to_its_limit_ends_at_a_tenth_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: str
) -> None:
    monkeypatch.setattr(limits_module, "STEPS", limits_module.STEPS // 10)
    monkeypatch.setattr(limits_module, "SIZE", limits_module.SIZE // 10)
    error = render(tmp_path, text)
    assert what in error.what
    assert error.fix


def test_slow_steps_are_bounded_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "SECONDS", 0.3)
    started = time.process_time()
    error = render(
        tmp_path, "{% set s = 'a' * 999999 %}{% for i in range(99999) %}{% if 'ab' in s %}{% endif %}{% endfor %}"
    )
    assert "takes longer than" in error.what
    assert time.process_time() - started < 30


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{ ''.__class__ }}", "__class__"),
        ("{{ ''['__class__'] }}", "__class__"),
        ("{{ '' | attr('__class__') }}", "__class__"),
        ("{{ cycler.__init__.__globals__.os }}", "__init__"),
        ("{{ '{0.__class__}'.format(1) }}", "__class__"),
        ("{{ ('{0.__globals__[os].environ[HOME]}' | attr('format'))(range) }}", "__globals__"),
        ("{{ ('{a.__class__}' | attr('format_map'))({'a': 1}) }}", "__class__"),
        ("{{ joiner.__call__.__globals__ }}", "__call__"),
    ],
)
def test_a_forbidden_attribute_is_named_with_its_line(tmp_path: Path, text: str, named: str) -> None:
    error = render(tmp_path, "\n" + text)
    assert f"access to attribute '{named}'" in error.what
    assert error.where.endswith("t.json.j2:2")
    assert "__init__() got" not in error.what


def test_a_large_manifest_is_rendered(tmp_path: Path) -> None:
    text = (
        '{"modulesContent": {"m": {"properties.desired": {{% for i in range(9999) %}"{{ i }}": '
        '"{{ "%04d" | format(i) ~ "x" | center(9) }}"{{ "," if not loop.last }}{% endfor %}}}}}'
    )
    (tmp_path / "t.json.j2").write_text(
        text.replace("{{%", "{ {%").replace("%}}}}}", "%} }}}}").replace("}}}}}", "}}}}")
    )
    manifest = load_template("t.json.j2", tmp_path).render({})
    assert len(manifest.content["modulesContent"]["m"]["properties.desired"]) == 9999
