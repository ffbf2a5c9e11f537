"""Every command of docs/import.md prints what is shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from fakes.solutions import ENV, module, template, write
from integration.command_line import in_this_process

PAGE = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")
HUB = "IOTHUB_CONNECTION_STRING=HostName=contoso.azure-devices.net;SharedAccessKey=canary-of-a-hub\n"


def test_each_command_prints_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"LOG_LEVEL": {"value": "$LOG_LEVEL"}, "STORAGE": {"value": "${STORAGE}"}}
    modules = {
        "filter": module(env=env),
        "sensor": module("mcr.microsoft.com/azureiotedge-simulated-temperature-sensor:1.5"),
    }
    write(tmp_path, template(modules, twins={"filter": {"site": "$SITE"}}), env=ENV + HUB)
    debug = template({"filter": module("${MODULES.filter.debug}", env={"LOG_LEVEL": {"value": "trace"}})})
    write(tmp_path, debug, name="deployment.debug.template.json", env="")
    (tmp_path / "empty.env").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORAGE", "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=canary-of-storage")
    monkeypatch.setenv("ACR_USERNAME_ACME", "robot")
    monkeypatch.setenv("ACR_PASSWORD_ACME", "canary-of-a-pull-password")
    ran = 0
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        for part in block.split("$ manifestgen ")[1:]:
            line, _, shown = part.partition("\n")
            ended = in_this_process(*shlex.split(line))
            assert ended.code == (2 if shown.startswith("error: ") else 0), ended
            assert not shown or shown in (ended.stdout, ended.stderr), ended
            ran += 1
    assert ran >= 8
    assert "canary" not in "".join(path.read_text() for path in (*tmp_path.glob("*.yaml"), *tmp_path.glob("*.j2")))
