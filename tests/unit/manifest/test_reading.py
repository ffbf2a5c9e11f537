from __future__ import annotations

import math
from typing import Any

import pytest

from manifestgen.manifest.reading import (
    IMAGE_PULL_POLICY,
    INT32,
    RESTART_POLICY,
    STATUS,
    UINT32,
    as_text,
    enum_member,
    enum_number,
    get,
    integer,
    is_blank,
    key_of,
    rounded,
    trim,
)


def test_names_are_found_in_any_case_and_exactly_first() -> None:
    assert key_of({"IMAGE": 1, "image": 2}, "image") == "image"
    assert key_of({"IMAGE": 1}, "image") == "IMAGE"
    assert key_of({"images": 1}, "image") is None
    assert get({"Image": 1}, "image") == 1


def test_white_space_is_that_of_dotnet() -> None:
    assert is_blank("\u2003\u3000\t")
    assert not is_blank("\x1c")
    assert trim("\u00a0 a \u0085") == "a"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (5, "5"),
        (1.5, "1.5"),
        (1000.0, "1000.0"),
        (-0.0, "-0.0"),
        (123456789012345.6, "123456789012345.6"),
        (1e15, "1E+15"),
        (-1.2345678901234568e17, "-1.2345678901234568E+17"),
        (1e100, "1E+100"),
        (0.0001, "0.0001"),
        (0.00001, "1E-05"),
        (1.5e-7, "1.5E-07"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (True, "true"),
        (False, "false"),
        (None, None),
        ([], None),
        ({}, None),
    ],
)
def test_scalars_become_texts(value: Any, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "member"),
    [
        ("running", "running"),
        ("RUNNING", "running"),
        (" running ", "running"),
        (2, "running"),
        ("2", "running"),
        ("running,stopped", "dead"),
        ("started", None),
        ("", None),
        ("9", None),
        ("+x", None),
        (True, None),
        (2.0, None),
        (None, None),
        (["running"], None),
    ],
)
def test_status_is_read_as_newtonsoft_reads_an_enumeration(value: Any, member: str | None) -> None:
    assert enum_member(value, STATUS) == member


def test_names_of_the_program_are_members_too() -> None:
    assert enum_member("OnFailure", RESTART_POLICY) is not None
    assert enum_member("oncreate", IMAGE_PULL_POLICY) is not None
    assert enum_member("IfNotPresent", IMAGE_PULL_POLICY) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (4294967295, 4294967295),
        ("7200", 7200),
        (" 7 ", 7),
        (-1, None),
        (4294967296, None),
        (1.5, None),
        ("1.5", None),
        ("", None),
        ("--1", None),
        ("٣", None),
        (True, None),
        (None, None),
    ],
)
def test_unsigned_numbers(value: Any, number: int | None) -> None:
    assert integer(value, *UINT32) == number


def test_signed_numbers() -> None:
    assert integer(-1, *INT32) == -1
    assert integer(2**31, *INT32) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [(True, 1), (" 5 ", 5), ("1.5", None), (math.nan, None), (math.inf, None), (None, None), ([], None)],
)
def test_what_converts_to_a_number_is_one(value: Any, number: int | None) -> None:
    assert rounded(value, *UINT32) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [(1.0, 1), (1.5, 2), (2.5, 2), (-0.4, 0), (-0.6, None), (2**32 - 0.6, 2**32 - 1), (2**32 - 0.5, None)],
)
def test_a_fraction_is_rounded_to_the_nearest_even_number(value: Any, number: int | None) -> None:
    assert rounded(value, *UINT32) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [("running", 2), (9, 9), ("9", 9), ("-1", -1), ("up", None), (True, None), (2.0, None), ("", None)],
)
def test_a_number_is_read_that_no_member_has(value: Any, number: int | None) -> None:
    assert enum_number(value, STATUS) == number
