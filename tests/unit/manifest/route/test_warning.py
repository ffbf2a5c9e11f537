from __future__ import annotations

import pytest

from manifestgen.manifest.route import KINDS, parse, warnings

CASES = [
    (
        "ignored-tail",
        "FROM /* INTO $upstream WHERE a = 'b' ",
        "WHERE a = 'b'",
        "put WHERE and its condition before INTO",
    ),
    (
        "ignored-tail",
        "FROM /* INTO $upstream,$upstream",
        ",$upstream",
        "remove it; another sink needs a route of its own",
    ),
    ("dead-source", "FROM /message/* INTO $upstream", "/message/*", "write /messages/*"),
    (
        "dead-source",
        "FROM /messages/module/cam/* INTO $upstream",
        "/messages/module/cam/*",
        "write /messages/modules/cam/*",
    ),
    (
        "dead-source",
        "FROM /messages/modules/cam/output/o INTO $upstream",
        "/messages/modules/cam/output/o",
        "write /messages/modules/cam/outputs/o/*",
    ),
    (
        "dead-source",
        "FROM /messages/modules/*/outputs/* INTO $upstream",
        "/messages/modules/*/outputs/*",
        "write /messages/modules/*",
    ),
    ("dead-source", "FROM /*/messages/* INTO $upstream", "/*/messages/*", "write /*"),
    ("dead-source", "FROM /foo/* INTO $upstream", "/foo/*", "write /messages/*"),
    (
        "dead-source",
        "FROM /twinChangeNotification INTO $upstream",
        "/twinChangeNotification",
        "write /twinChangeNotifications/*",
    ),
    ("star-in-name", "FROM /messages/modules/cam* INTO $upstream", "cam*", "write 'cam', or * for all names"),
    (
        "swallowed",
        "FROM /messages/* WHERE a = 'b' /* hot */ INTO $upstream",
        "/* WHERE a = 'b' /* hot */",
        "remove the '*/', or put a space between '/' and '*'",
    ),
    (
        "swallowed",
        "FROM /messages/modules/*/outputs/*/ INTO $upstream",
        "/*/outputs/*/",
        "remove the '*/', or put a space between '/' and '*'",
    ),
    (
        "invisible-character",
        "FROM /messages/modules/c\u200bam INTO $upstream",
        "/messages/modules/c\u200bam",
        "remove the character, or write a plain one",
    ),
    (
        "invisible-character",
        "FROM /m* WHERE a\u00a0 = 'b' INTO $upstream",
        "a\u00a0",
        "remove the character, or write a plain one",
    ),
    (
        "address-words",
        "FROM /* INTO BrokeredEndpoint('/module/m/input/i')",
        "/module/m/input/i",
        "write /modules/MODULE/inputs/INPUT",
    ),
    (
        "blank-in-address",
        "FROM /* INTO BrokeredEndpoint('/modules//inputs/i')",
        "/modules//inputs/i",
        "write /modules/MODULE/inputs/INPUT",
    ),
    (
        "blank-in-address",
        "FROM /* INTO BrokeredEndpoint('/modules/ m/inputs/i')",
        "/modules/ m/inputs/i",
        "write /modules/MODULE/inputs/INPUT",
    ),
    ("never-true", "FROM /* WHERE temp INTO $upstream", "temp", "compare it with something"),
    ("never-true", "FROM /* WHERE (1 + 2) INTO $upstream", "(1 + 2)", "compare it with something"),
    ("operator-in-name", "FROM /* WHERE temp!='x' INTO $upstream", "temp!", "put spaces around the operator"),
    (
        "operator-in-name",
        "FROM /* WHERE $body.temp!='x' INTO $upstream",
        "$body.temp!",
        "put spaces around the operator",
    ),
    ("operator-in-name", "FROM /* WHERE as_number(t-5) > 1 INTO $upstream", "t-5", "put spaces around the operator"),
    ("operator-in-name", "FROM /* WHERE a&&b = 'x' INTO $upstream", "a&&b", "put spaces around the operator"),
    (
        "hyphen-in-name",
        "FROM /* WHERE a-b = 'x' INTO $upstream",
        "a-b",
        "if you mean a difference, put spaces around '-'",
    ),
    ("quote-in-name", "FROM /* WHERE a = 'x'y INTO $upstream", "'x'y", "put a space after the closing quote"),
    ("literal-case", "FROM /* WHERE a = TRUE INTO $upstream", "TRUE", "write true"),
    ("literal-case", "FROM /* WHERE a = Null INTO $upstream", "Null", "write null"),
    ("body-without-path", "FROM /* WHERE body.temp = 'x' INTO $upstream", "body.temp", "write $body.temp"),
    ("body-without-path", "FROM /* WHERE $body = 'x' INTO $upstream", "$body", "write $body.name"),
    ("body-without-path", "FROM /* WHERE is_defined($body[0]) INTO $upstream", "$body[0]", "write $body.name"),
    (
        "deep-nesting",
        f"FROM /* WHERE {'(' * 17}true{')' * 17} INTO $upstream",
        f"{'(' * 17}true{')' * 17}",
        "remove parentheses, or filter in a module",
    ),
]


@pytest.mark.parametrize(("kind", "text", "seen", "fix"), CASES)
def test_what_no_one_meant_is_pointed_at_with_its_fix(kind: str, text: str, seen: str, fix: str) -> None:
    found = [warning for warning in warnings(parse(text)) if warning.kind == kind]
    assert [(text[warning.offset :][: warning.length], warning.fix) for warning in found] == [(seen, fix)]


@pytest.mark.parametrize(
    "text",
    [
        "FROM /* INTO $upstream",
        "FROM /messages INTO $upstream ",
        "FROM /messages* INTO $upstream /* done */",
        "from /Messages/Modules/* into $UPSTREAM",
        "FROM /messages/modules/my-cam/outputs/o.1 INTO BrokeredEndpoint('modules/m/inputs/i/')",
        "FROM /twinChangeNotifications/* INTO $upstream",
        "FROM /messages/* WHERE $body.ok INTO $upstream",
        "FROM /messages WHERE a = 'b' /* hot */ AND NOT is_defined($connectionModuleId) INTO $upstream",
        "FROM /messages/* WHERE $body.temp - 5 > 1 AND $body.a-b = 'x' INTO $upstream",
        f"FROM /* WHERE {'(' * 16}true{')' * 16} INTO $upstream",
    ],
)
def test_a_usual_route_has_no_warning(text: str) -> None:
    assert warnings(parse(text)) == []


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, *_ in CASES} == set(KINDS)


def test_warnings_come_in_the_order_of_the_text() -> None:
    found = warnings(parse("FROM /foo WHERE a-b = TRUE INTO BrokeredEndpoint('/a/b/c/d') ;"))
    assert [warning.kind for warning in found] == [
        "dead-source",
        "hyphen-in-name",
        "literal-case",
        "address-words",
        "ignored-tail",
    ]
