"""Routes and conditions with the verdict of edgeHub: taken, refused by its parser, or refused by its compiler.

Each case names the part of the runtime's source that decides it. The verdicts of the parser were obtained from the
runtime's own grammar (ANTLR 4.7.2, where the runtime has 4.6.6), those of the compiler by reading its source.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifestgen.manifest.route import RouteSyntaxError, compile_check, parse, parse_condition, source_matches, type_of

CASES = [json.loads(line) for line in Path(__file__).with_name("routes.jsonl").read_text("utf-8").splitlines()]


def verdict(route: str) -> str:
    try:
        return "compile" if compile_check(parse(route)) else "accept"
    except RouteSyntaxError:
        return "parse"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_verdict_is_the_runtimes(case: dict[str, str]) -> None:
    route = case.get("route") or f"FROM /messages WHERE {case['condition']} INTO $upstream"
    assert verdict(route) == case["verdict"], case["source"]


@pytest.mark.no_cover  # the same ways as above
@pytest.mark.parametrize("case", [case for case in CASES if "condition" in case], ids=lambda case: case["id"])
def test_condition_alone_is_refused_if_the_route_is(case: dict[str, str]) -> None:
    # By which stage may differ: an open quote at its end takes INTO with it in a route, and nothing when alone.
    try:
        accepted = type_of(parse_condition(case["condition"])) is not None
    except RouteSyntaxError:
        accepted = False
    assert accepted is (case["verdict"] == "accept")


def test_every_case_names_its_source() -> None:
    assert all(case["source"] and case["verdict"] in ("accept", "parse", "compile") for case in CASES)
    assert len({case.get("route") or case["condition"] for case in CASES}) == len(CASES) >= 450


# BaseMessageSource.cs, CustomMessageSource.cs: (source of the route, source of a message, matches)
SOURCES = [
    ("/*", "/messages", True),
    ("/*", "/twinChangeNotifications", True),
    ("/messages/*", "/messages", True),
    ("/messages", "/messages/modules/cam/outputs/o", True),
    ("/MESSAGES/Modules/CAM", "/messages/modules/cam/outputs/o", True),
    ("/messages/modules/cam/outputs/o*", "/messages/modules/cam/outputs/o", True),
    ("/messages/modules/cam/outputs/o*", "/messages/modules/cam/outputs/out", False),
    ("/messages/modules/ca", "/messages/modules/cam/outputs/o", False),
    ("/messages/modules/*", "/messages", False),
    ("/messages/modules/*/outputs/*", "/messages/modules/cam/outputs/o", False),
    ("/messages/modules/cam/outputs/*", "/messages/modules/cam", False),
    ("/messages/modules/cam/*", "/messages/modules/cam", True),
    ("/twinChangeNotifications/*", "/twinchangenotifications/", True),
    ("/twinChange*", "/twinChangeNotifications", False),
    ("/messages/devices/*", "/messages", False),
]


@pytest.mark.parametrize(("path", "message_source", "matches"), SOURCES)
def test_source_matches_as_in_the_runtime(path: str, message_source: str, matches: bool) -> None:
    assert source_matches(path, message_source) is matches
