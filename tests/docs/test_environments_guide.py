"""What docs/environments.md shows is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from manifestgen.cli import run

_PAGE = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")
(_PROJECT,) = re.findall(r"```yaml\n(.*?)```", _PAGE, re.DOTALL)
_BLOCKS = re.findall(r"```console\n(.*?)```", _PAGE, re.DOTALL)
_STRING = (
    "HostName=contoso-dev.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=MDEyMzQ1Njc4OTAxMjM0NTY3ODk="
)


@pytest.mark.parametrize("block", _BLOCKS)
def test_every_command_prints_what_is_shown(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", _STRING)
    mistake = _PROJECT.replace("    hub: {host: contoso.azure", "    hubs: {host: contoso.azure")
    text = mistake if "'hubs'" in block else _PROJECT
    (tmp_path / "manifestgen.yaml").write_text(text)
    shown: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ manifestgen "):
            run(shlex.split(line.removeprefix("$ manifestgen ")))
        else:
            shown.append(line)
    printed = capsys.readouterr()
    assert (printed.out + printed.err).splitlines() == shown
