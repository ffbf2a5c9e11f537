from __future__ import annotations

import json

from manifestgen.manifest.document import read
from manifestgen.manifest.secret_text import hide, is_secret, secret_texts, written_forms
from manifestgen.manifest.written_secret import hide_passwords

SECRETS = ['canary"one\\', "canary-two-é", "canary-three", "canary-four"]
DATA = {
    "modulesContent": {
        "$edgeAgent": {
            "properties.desired": {
                "runtime": {"settings": {"registryCredentials": {"a": {"password": SECRETS[0]}}}},
                "modules": {
                    "m": {
                        "env": {"DB_PASSWORD": {"value": SECRETS[1]}, "CONN": {"value": f"AccountKey={SECRETS[2]}"}},
                        "settings": {"createOptions": json.dumps({"Env": [f"API_KEY={SECRETS[3]}"]})},
                    }
                },
            }
        }
    }
}


def test_no_secret_is_left_in_a_line_and_columns_stay() -> None:
    for text in (json.dumps(DATA), json.dumps(DATA, ensure_ascii=False)):
        document = read(text)
        assert document.manifest is not None
        line = hide(text, written_forms(secret_texts(document.manifest)))

        assert "canary" not in line
        assert len(line) == len(text)


def test_passwords_are_hidden_in_text_that_is_no_json() -> None:
    line = """{"username": "acme", 'password': 'canary-one', "x": 1}"""

    assert "canary" not in hide_passwords(line)
    assert '"username": "acme"' in hide_passwords(line)


def test_names_that_say_where_a_secret_is_are_no_secrets() -> None:
    assert is_secret("DB_PASSWORD", "x1y2")
    assert is_secret("X", "SharedAccessKey=abc")
    assert not is_secret("DB_PASSWORD_FILE", "x1y2")
    assert not is_secret("DB_PASSWORD", "/run/secrets/db")
    assert not is_secret("DB_PASSWORD", "")
    assert not is_secret("USE_SECRET", "true")
    assert not is_secret("QUERY", "a=b")


def test_a_placeholder_for_a_key_in_a_connection_string_is_no_secret() -> None:
    for value in ("AccountKey=${KEY}", "Host=h;SharedAccessKey=__KEY__;x=y", "AccountKey=;x=y"):
        assert not is_secret("X", value)
    for value in ("AccountKey=${KEY}abc", "Host=${HOST};SharedAccessKey=abc"):
        assert is_secret("X", value)
    line = json.dumps({"modulesContent": {"$edgeAgent": {}, "m": {"conn": "AccountKey=${KEY}"}}})
    document = read(line)
    assert document.manifest is not None
    assert hide(line, written_forms(secret_texts(document.manifest))) == line


def test_a_layer_names_its_credentials_in_a_path() -> None:
    entry = {"address": "acme.azurecr.io", "username": "acme-user", "password": "canary-one"}
    path = "properties.desired.runtime.settings.registryCredentials"
    for layer in (
        {f"{path}.acme": entry},
        {path: {"acme": entry}},
        {f"{path}.acme.{name}": value for name, value in entry.items()},
    ):
        document = read(json.dumps({"modulesContent": {"$edgeAgent": layer}}))
        assert document.manifest is not None
        assert secret_texts(document.manifest) == ["canary-one"]
