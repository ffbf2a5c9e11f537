"""The manifest alone goes where the tool writes it, and names what has no value."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.solutions import template, write

from manifestgen.errors import InputError
from manifestgen.importing.manifest import file_of, manifest_text
from manifestgen.solution import read_solution


@pytest.mark.parametrize(
    ("name", "version", "platform", "file"),
    [
        ("deployment.template.json", "4.0.0", "amd64", "deployment.amd64.json"),
        ("deployment.debug.template.json", "4.0.0", "amd64", "deployment.debug.amd64.json"),
        ("x.template.json", "1.0.0", "arm32v7", "x.arm32v7.json"),
        ("deployment.template.json", "0.0.1", "amd64", "deployment.json"),
        ("deployment.template.json", None, "amd64", "deployment.json"),
        ("deployment.json", "4.0.0", "amd64", "deployment.amd64.json"),
    ],
)
def test_the_file_is_named_as_the_tool_names_it(
    tmp_path: Path, name: str, version: str | None, platform: str, file: str
) -> None:
    solution = read_solution(write(tmp_path, template(version=version), name=name), {})
    assert file_of(solution, platform) == tmp_path / "config" / file


def test_the_first_placeholder_without_a_value_is_named_and_the_others_counted(tmp_path: Path) -> None:
    solution = read_solution(write(tmp_path, env="", modules={}), {})
    with pytest.raises(InputError) as caught:
        manifest_text(solution, "amd64", debug=False, inline=True, allow_undefined=False)
    assert caught.value.what == "placeholder $CONTAINER_REGISTRY_USERNAME_acme has no value, and 2 more have none"
    assert str(tmp_path / ".env") in caught.value.fix
    made = manifest_text(solution, "amd64", debug=False, inline=True, allow_undefined=True)
    assert [place.rpartition(": ")[2] for place in made.unresolved][-1] == "${MODULES.filter}"
    assert '"${MODULES.filter}"' in made.text
