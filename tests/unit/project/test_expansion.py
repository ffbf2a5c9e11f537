from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.project.expansion import expand
from manifestgen.project.source import parse


def expanded(text: str, tmp_path: Path, **environ: str) -> Any:
    return expand(parse(text, "f"), tmp_path, environ)


def test_variables_are_replaced_anywhere_in_a_text(tmp_path: Path) -> None:
    found = expanded("a: x-${env:A}-${env:B}\nb: [1, '${env:A}', {c: plain}]\n", tmp_path, A="1", B="two")
    assert found.data == {"a": "x-1-two", "b": [1, "1", {"c": "plain"}]}
    assert found.paths == {("a",), ("b", 1)}


def test_what_comes_in_is_not_expanded_again(tmp_path: Path) -> None:
    assert expanded("a: ${env:A}", tmp_path, A="${env:B}").data == {"a": "${env:B}"}


def test_two_dollars_are_an_escape(tmp_path: Path) -> None:
    assert expanded("a: $${env:A}", tmp_path).data == {"a": "${env:A}"}


@pytest.mark.parametrize("text", ["${MODULES.x}", "${ACR_PASSWORD_ACME}", "$A", "${ env:A}", "${env:A"])
def test_what_is_none_of_ours_stays(text: str, tmp_path: Path) -> None:
    assert expanded(f"a: '{text}'", tmp_path).data == {"a": text}


def test_a_file_loses_one_line_end(tmp_path: Path) -> None:
    (tmp_path / "unix").write_bytes(b"x\n\n")
    (tmp_path / "dos").write_bytes(b"y\r\n")
    found = expanded("a: ${file:unix}\nb: ${file:dos}\n", tmp_path)
    assert found.data == {"a": "x\n", "b": "y"}
    assert found.secret_texts == {("a",): ["x\n"], ("b",): ["y"]}


def test_a_blank_variable_is_a_value(tmp_path: Path) -> None:
    assert expanded("a: ${env:A}", tmp_path, A="").data == {"a": ""}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: ${env:NOPE}", "environment variable 'NOPE' is not set"),
        ("a: ${file:nope}", "${file:nope}: file not found"),
        ("a: ${file:.}", "${file:.}: file is a folder"),
        ("a: ${file:}", "has no path"),
        ("a: ${file:big}", "larger than"),
        ("a: ${file:binary}", "not UTF-8"),
    ],
)
def test_what_is_not_there_is_an_error_with_its_line(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError) as caught:
        expanded(text, tmp_path)
    assert caught.value.where == "f:1:4"
    assert what in caught.value.what
