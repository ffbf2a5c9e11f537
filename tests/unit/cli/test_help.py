"""Help on a narrow terminal."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from manifestgen import cli


@pytest.mark.parametrize(
    "command", [["apply"], ["apply", "--deployment"], ["deploy"], ["device", "register"], ["render"]]
)
def test_no_word_is_broken_at_sixty_columns(command: list[str]) -> None:
    def words(columns: int) -> set[str]:
        shown = CliRunner().invoke(cli._cli, [*command, "--help"], terminal_width=columns, max_content_width=columns)
        assert shown.exit_code == 0
        return set(shown.output.split())

    assert words(60) - words(200) <= {"RANGE"}


def test_the_hyphens_are_those_of_the_options() -> None:
    shown = CliRunner().invoke(cli._cli, ["device", "list", "--help"], terminal_width=60)
    assert "contoso.azure-devices.net" in shown.output
