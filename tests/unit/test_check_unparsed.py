"""Nothing of a text that is not JSON is quoted that may be a password, however its quotes are set."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.check import check_source
from manifestgen.cli import run

CANARY = "Hunter2pw9"
FORMS = {
    "no quotes": f'"password": {CANARY},',
    "a quote inside": f'"password": "ab"{CANARY}",',
    "a quote inside, none before": f'"password": ab"{CANARY},',
    "single quotes with an apostrophe": f"\"password\": 'it's {CANARY}',",
    "no colon": f'"password" "{CANARY}",',
    "no colon, no quotes": f'"password" {CANARY},',
    "a sum": f'"password": "a" + "{CANARY}",',
    "two texts": f'"password": "a" "{CANARY}",',
    "an alternative": f'"password": None or "{CANARY}",',
    "a comment with a hash": f'"password": "x", # {CANARY}',
    "several quotes": f'"password": "a"b"{CANARY}"c",',
    "on the next line": f'"password":\n  "ab"{CANARY}",',
    "on the line after next": f'"password":\n\n  "ab" "{CANARY}",',
    "a variable without a colon": f'"DB_PASSWORD" {{"value": "{CANARY}"}},',
    "a value without a colon": f'"DB_PASSWORD": {{"value" "{CANARY}"}},',
    "a pair": f'{{"name": "DB_PASSWORD",\n "value": "a" "{CANARY}"}},',
    "a word under a plain key": f'"image": {CANARY},',
    "a key": f'{CANARY}: "x",',
    "a key after a quote inside": f'"password": "ab", {CANARY}: "x",',
    "digits first": f'"password": 12{CANARY},',
    "a connection string": f'"C": HostName=h;SharedAccessKey={CANARY},',
}


@pytest.mark.parametrize("form", FORMS)
def test_no_password_of_a_broken_file_is_shown(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deployment.json"
    file.write_text('{"modulesContent": {"$edgeAgent": {"properties.desired": {\n' + FORMS[form] + '\n"z": 1}}}}')
    checked = check_source(file.read_bytes(), str(file))

    assert [finding.rule for finding in checked.findings] == ["not-json"]
    assert checked.findings[0].line > 1
    for output in ("text", "json", "sarif", "github", "azure-pipelines"):
        assert run(["check", str(file), "--output", output, "-v"]) == 1
    assert run(["plan", str(file), "--device", "edge-01", "--hub", "nowhere.azure-devices.net"]) == 2
    out, err = capsys.readouterr()
    assert CANARY not in out + err
    assert all(CANARY not in line for line in checked.lines.values())


def test_what_is_not_a_password_is_still_shown(tmp_path: Path) -> None:
    text = '{"modulesContent": {\n  "image": "acme.azurecr.io/scorer:1.4.2"\n  "status": "running"}}'
    (finding,) = (checked := check_source(text.encode(), "a.json")).findings

    assert finding.message == "a comma or a closing bracket is missing before a string"
    assert checked.lines[finding.line] == '  "status": "running"}}'
    assert check_source(b'{"a": ${X} 1}', "a.json").lines == {1: '{"a": ${X} 1}'}
