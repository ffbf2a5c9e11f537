from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.manifest.newtonsoft import NewtonsoftError, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'b'}", {"a": "b"}),
        ("{a: 1}", {"a": 1}),
        ("{1: 2, 80a: 3}", {"1": 2, "80a": 3}),
        ("{$a_1: [1, 2,]}", {"$a_1": [1, 2]}),
        ('{"a": 1,}', {"a": 1}),
        ("/* c */ {} // d", {}),
        ("", None),
        (" // nothing", None),
        ("[0x1F, .5, 1., -3, -1e2]", [31, 0.5, 1.0, -3, -100.0]),
        ("[010, -010, 01.5]", [8, -10, 1.5]),
        ("[,1]", [None, 1]),
        (r"'it\'s \u00e9 \t'", "it's é \t"),
        ("undefined", None),
        ("[Infinity]", [math.inf]),
        ("'a\nb'", "a\nb"),
    ],
)
def test_more_than_json_is_read(text: str, value: Any) -> None:
    assert loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{a}",
        "{a:",
        "{a:1",
        "[1",
        "[1 2]",
        "'a",
        r"'\x'",
        "{} {}",
        "@",
        "{1.2:3}",
        "[+3]",
        "[08]",
        "[" * 65,
        "[" * 65 + "]" * 65,
        '{"a":' * 65 + "1" + "}" * 65,
        "nul",
        "{'a':1 'b':2}",
    ],
)
def test_what_it_would_refuse(text: str) -> None:
    with pytest.raises(NewtonsoftError) as caught:
        loads(text)

    assert 0 <= caught.value.offset <= len(text)
    assert caught.value.what


@pytest.mark.parametrize("text", ["[," * 63 + "[]" + "]" * 63, "[" * 64 + "1" + "]" * 64, "[" + "[]," * 100 + "1]"])
def test_sixty_four_levels_are_read(text: str) -> None:
    assert loads(text)


@given(st.text(alphabet="{}[]'\",:\\/*ab1 .-$u\n", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        loads(text)
    except NewtonsoftError as error:
        assert 0 <= error.offset <= len(text)
