"""No output of `check` shows a secret, however malformed the part of the manifest that it stands in is."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from manifestgen.check import check_source
from manifestgen.cli import run

PLAIN = json.loads((Path(__file__).parent.parent / "rules/route-syntax/pass/plain.json").read_text("utf-8"))
CANARY = "canary-Zx81-qq"
USER = "the-user-name"
CREDENTIALS: dict[str, Any] = {
    "no label": {"address": "acme.azurecr.io", "username": USER, "password": CANARY},
    "no address": {"acme": {"username": USER, "password": CANARY}},
    "blank user": {"acme": {"address": "acme.azurecr.io", "username": "", "password": CANARY}},
    "a list": [{"address": "acme.azurecr.io", "username": USER, "password": CANARY}],
    "a list of texts": ["acme.azurecr.io", USER, CANARY],
    "a text": f"{USER}:{CANARY}@acme.azurecr.io",
    "a text for an entry": {"acme": CANARY},
    "a list for an entry": {"acme": ["acme.azurecr.io", USER, CANARY]},
    "another key": {"acme": {"address": "acme.azurecr.io", "username": USER, "passwort": CANARY}},
    "a key with a space": {"acme": {"address": "acme.azurecr.io", "username": USER, "password ": CANARY}},
    "upper case": {"acme": {"ADDRESS": "acme.azurecr.io", "USERNAME": "", "PASSWORD": CANARY}},
    "an object": {"acme": {"address": "acme.azurecr.io", "username": USER, "password": {"value": CANARY}}},
    "a list of passwords": {"acme": {"address": "acme.azurecr.io", "username": USER, "password": [CANARY]}},
    "auth": {"acme": {"address": "acme.azurecr.io", "auth": CANARY}},
    "deeper": {"registries": {"acme": {"address": "acme.azurecr.io", "username": USER, "password": CANARY}}},
    "in the address": {
        "acme": {"address": f"https://{USER}:{CANARY}@acme.azurecr.io", "username": "", "password": "x"}
    },
}
ENV: dict[str, Any] = {
    "bare text": {"DB_PASSWORD": CANARY},
    "a list of pairs": [f"DB_PASSWORD={CANARY}"],
    "names and values": [{"name": "DB_PASSWORD", "value": CANARY}],
    "a text": f"DB_PASSWORD={CANARY}",
    "two in a text": f"A=b DB_PASSWORD={CANARY}",
    "a list": {"DB_PASSWORD": {"value": [CANARY]}},
    "an object": {"DB_PASSWORD": {"value": {"x": CANARY}}},
    "another key": {"DB_PASSWORD": {"val": CANARY}},
    "in the key": {f"DB_PASSWORD={CANARY}": {"value": "x"}},
    "in the key alone": {f"DB_PASSWORD={CANARY}": "x"},
    "connection string": {"X": f"HostName=h;SharedAccessKey={CANARY}"},
    "a key in a url": {"URL": {"value": f"amqp://{USER}:{CANARY}@host"}, "x": 1},
    "a number for it": {"DB_PASSWORD": {"value": None, "x": CANARY}},
    "quotes": {"DB_PASSWORD": f'"{CANARY}"'},
}
OPTIONS: dict[str, Any] = {
    "a map": {"Env": {"DB_PASSWORD": CANARY}},
    "a text": {"Env": f"DB_PASSWORD={CANARY}"},
    "an object": {"Env": [{"DB_PASSWORD": CANARY}]},
    "a command": {"Cmd": ["run", "--password", CANARY], "HostConfig": {"Binds": "x"}},
    "a flag": {"Cmd": [f"--password={CANARY}"], "HostConfig": {"Binds": "x"}},
    "labels": {"Labels": {"token_secret": CANARY}, "Binds": []},
    "in the name of a bind": {"HostConfig": {"Binds": [f"https://{USER}:{CANARY}@host"]}},
}
# In the place of a module, or of a module's twin.
MODULES: dict[str, Any] = {
    "a text for a module": {"password": CANARY},
    "a list for a module": {"api_key": [CANARY]},
    "an assignment for a module": {"x": f"DB_PASSWORD={CANARY}"},
    "an assignment in a name": {f"DB_PASSWORD={CANARY}": "x"},
    "a module's options": {"createOptions": json.dumps({"Env": [f"API_KEY={CANARY}"]})},
}
ENTRIES: dict[str, Any] = {**MODULES, "an object of a secret's name": {"api_key": {"value": CANARY}}}
BROKEN: dict[str, str] = {
    "a comma is missing": f'"DB_PASSWORD": "{CANARY}" "x": 1',
    "a colon is missing": f'"DB_PASSWORD" "{CANARY}"',
    "single quotes": f"'password': '{CANARY}'",
    "no quotes": f"password: {CANARY}",
    "no closing quote": f'"password": "{CANARY},',
    "a comment": f'"x": 1, // the password: {CANARY}\n "y": 2',
    "a comment with an equals sign": f'"x": 1, /* password={CANARY} */ "y": 2',
    "python": f'"password": "{CANARY}", "x": None',
    "on another line": f'"password":\n"{CANARY}" x',
    "within JSON": f'"createOptions": "{{\\"Env\\": [\\"API_KEY={CANARY}\\"" x',
    "a spare comma": f'"password": "{CANARY}",',
    "an assignment": f'"password" = "{CANARY}"',
}


def _put(kind: str, value: Any) -> str:
    data = copy.deepcopy(PLAIN)
    agent = data["modulesContent"]["$edgeAgent"]["properties.desired"]
    if kind == "credentials":
        agent["runtime"]["settings"]["registryCredentials"] = value
    elif kind == "env":
        agent["modules"]["scorer"]["env"] = value
    elif kind in ("modules", "systemModules"):
        agent[kind] |= value
    elif kind == "entries":
        data["modulesContent"] |= value
    elif kind == "options":
        agent["modules"]["scorer"]["settings"]["createOptions"] = json.dumps(value)
    else:
        agent["modules"]["scorer"]["env"] = {"BROKEN": 1}
        return json.dumps(data, indent=1).replace('"BROKEN": 1', value)
    return json.dumps(data, indent=1)


FORMS = [
    pytest.param(kind, value, layout, id=f"{kind}: {name}, {layout}")
    for kind, forms in (
        ("credentials", CREDENTIALS),
        ("env", ENV),
        ("options", OPTIONS),
        ("modules", MODULES),
        ("systemModules", MODULES),
        ("entries", ENTRIES),
        ("broken", BROKEN),
    )
    for name, value in forms.items()
    for layout in ("lines", "one line")
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "value", "layout"), FORMS)
def test_no_output_shows_a_secret(
    kind: str, value: Any, layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = _put(kind, value)
    assert CANARY in text
    file = tmp_path / "deployment.json"
    file.write_text(text if layout == "lines" or kind == "broken" else json.dumps(json.loads(text)))
    for output in ("text", "json", "sarif", "github", "azure-pipelines"):
        run(["check", str(file), "-v", "--fail-on", "never", "--output", output])
        shown = capsys.readouterr()
        for part in (CANARY, CANARY[:10]):
            assert part not in shown.out + shown.err, (output, shown.out)


@pytest.mark.parametrize("kind", ["credentials", "env", "broken"])
def test_most_of_these_forms_have_findings_at_the_place_of_the_secret(kind: str) -> None:
    forms: dict[str, Any] = {"credentials": CREDENTIALS, "env": ENV, "broken": BROKEN}[kind]
    shown = 0
    for value in forms.values():
        checked = check_source(_put(kind, value).encode(), "x.json")
        shown += any("**" in line for line in checked.lines.values())
    assert shown >= 4


def test_the_name_of_a_placeholder_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deployment.json"
    entry = {"address": "acme.azurecr.io", "username": "u", "password": "${ACR_PASSWORD_ACME}"}
    env = {"DB_PASSWORD": {"value": "${DB_PASSWORD}"}}
    text = _put("credentials", {"acme": entry})
    file.write_text(text.replace('"env": {', '"env": ' + json.dumps(env)[:-1] + ",", 1))
    run(["check", str(file), "-v"])
    shown = capsys.readouterr().out

    assert '"password": "${ACR_PASSWORD_ACME}"' in shown
    assert '{"value": "${DB_PASSWORD}"}' in shown
    assert "*" not in shown
