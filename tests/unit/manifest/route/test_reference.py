"""Every example of docs/routes.md has the verdict that the page gives it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from manifestgen.manifest.route import FUNCTIONS, KINDS, RouteSyntaxError, compile_check, parse

PAGE = (Path(__file__).parents[4] / "docs" / "routes.md").read_text("utf-8")
EXAMPLES = [
    (verdict, line)
    for verdict, block in re.findall(r"```route ([a-z ]+)\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("verdict", "text"), EXAMPLES)
def test_an_example_has_the_verdict_of_the_page(verdict: str, text: str) -> None:
    if verdict == "refused":
        with pytest.raises(RouteSyntaxError):
            parse(text)
    else:
        assert verdict in ("taken", "not compiled")
        assert bool(compile_check(parse(text))) is (verdict == "not compiled")


def test_the_page_lists_every_function_and_every_kind_of_warning() -> None:
    rows = set(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert {(function.usage, str(function.result)) for function in FUNCTIONS.values()} <= rows
    assert set(KINDS.items()) <= rows
    assert len(EXAMPLES) >= 39


def test_the_python_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    output = re.search(r"prints\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert code and output
    exec(compile(code[1], "docs/routes.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == output[1]
