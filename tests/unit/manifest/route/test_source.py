from __future__ import annotations

import pytest

from manifestgen.manifest.route import parse, source_modules


@pytest.mark.parametrize(
    ("source", "module", "output"),
    [
        ("/messages/modules/cam", "cam", None),
        ("/messages/modules/cam/*", "cam", None),
        ("/messages/modules/cam/outputs/*", "cam", None),
        ("/Messages/Modules/Cam/Outputs/Hot", "Cam", "Hot"),
        ("/messages/modules/cam/outputs/hot*", "cam", "hot"),
        ("/messages/modules/cam/outputs/a/b", "cam", "a/b"),
    ],
)
def test_a_source_of_one_module_names_it_and_its_place(source: str, module: str, output: str | None) -> None:
    text = f"FROM {source} INTO $upstream"
    found = source_modules(parse(text))
    assert found is not None
    assert (found.module, found.output) == (module, output)
    assert text[found.offset :][: found.length] == module


@pytest.mark.parametrize(
    "source",
    [
        *("/*", "/messages", "/messages/*", "/messages/modules", "/messages/modules/*", "/twinChangeNotifications"),
        *("/messages/modules/*/outputs/*", "/messages/modules/cam/output/o", "/foo/modules/cam"),
    ],
)
def test_a_source_of_several_modules_or_of_none_names_none(source: str) -> None:
    assert source_modules(parse(f"FROM {source} INTO $upstream")) is None


def test_a_source_with_blanks_in_it_is_pointed_at_as_a_whole() -> None:
    found = source_modules(parse("FROM /messages / modules / cam INTO $upstream"))
    assert found is not None
    assert (found.module, found.offset, found.length) == ("cam", 5, 25)
