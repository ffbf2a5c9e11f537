"""docs/sandbox-clients.md says what the clients that are installed really do."""

from __future__ import annotations

import pytest
from clients import az, table


@pytest.fixture(scope="module")
def page() -> dict[str, tuple[str, list[table.Row]]]:
    return table.read()


def test_the_page_is_as_the_script_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    written = table.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(table, "PAGE", copy := table.PAGE.__class__(str(tmp_path)) / "page.md")
    copy.write_text(written, encoding="utf-8")
    table.write(table.read())
    assert copy.read_text(encoding="utf-8") == written


@pytest.mark.parametrize("name", list(az.COMMANDS))
def test_each_command_of_az_is_on_the_page(page: dict[str, tuple[str, list[table.Row]]], name: str) -> None:
    _, rows = page[name]
    expected = ["az login --service-principal", *(f"az {command}" for command, _ in az.COMMANDS[name])]
    assert [what for what, _ in rows] == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", list(table.ALL))
def test_a_client_does_what_the_page_says(page: dict[str, tuple[str, list[table.Row]]], name: str) -> None:
    if table.ALL[name].version() is None:
        pytest.skip(f"{name} is not installed; 'make clients' installs it")
    _, rows = page[name]
    assert table.run(name) == rows
