"""A `.env` is read as the tools read it, and its secrets are known at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.manifest.secrecy import holds_secret
from manifestgen.secret import redact
from manifestgen.solution.dotenv import EnvFile, read_env


def read(tmp_path: Path, text: str, *, comments: bool = False) -> EnvFile:
    path = tmp_path / ".env"
    path.write_bytes(text.encode())
    return read_env(path, comments=comments)


def test_quotes_blanks_duplicates_and_comments(tmp_path: Path) -> None:
    text = (
        "# A=0\r\n  A = a b \r\nB='x y'\nC=\"one\\ntwo\"\nexport D=d\nE=\nF=1 # no comment\nG=a=b=c\nA=last\n"
        'no assignment\nH="it\'s"\n'
    )
    env = read(tmp_path, text)
    values = {name: variable.text for name, variable in env.variables.items()}
    assert values == {
        **{"B": "x y", "C": "one\ntwo", "D": "d", "E": "", "F": "1 # no comment"},
        **{"G": "a=b=c", "A": "last", "H": "it's"},
    }
    assert env.variables["A"].where.endswith(".env:9:1")
    assert env.variables["A"].replaces.endswith(".env:2:3")
    assert [place.rpartition(".env")[2] for place in env.ignored] == [":10:1"]


def test_iotedgedev_ends_a_value_at_a_comment(tmp_path: Path) -> None:
    env = read(tmp_path, "A=1 # one\nB='x # y'\nC=#\n", comments=True)
    assert [variable.text for variable in env.variables.values()] == ["1", "x # y", ""]


def test_without_a_file_there_are_no_variables(tmp_path: Path) -> None:
    assert read_env(tmp_path / ".env").variables == {}


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_env(tmp_path / ".env")


def test_a_secret_is_hidden_from_the_moment_it_is_read(tmp_path: Path) -> None:
    variable = read(tmp_path, "MY_TOKEN=canary-of-dotenv\n").variables["MY_TOKEN"]
    assert variable.secret
    assert "canary" not in repr(variable)
    assert redact("it is canary-of-dotenv") == "it is ***"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONTAINER_REGISTRY_PASSWORD_acme", "x"),
        ("DB_PASS", "geheim"),
        ("API_TOKEN", "abc"),
        ("PAT", "abcdef"),
        ("ACCOUNT_KEY", "abc"),
        ("STORAGE", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b=="),
        ("HUB", "HostName=h;SharedAccessKeyName=n;SharedAccessKey=k"),
        ("SAS_URI", "https://a.blob.core.windows.net/c?sv=1&sig=abc%3D"),
        ("PROXY", "http://me:geheim@proxy:80"),
        ("X", "q8Zt3vR0mN5xK2pL7wB9aC4d"),
        ("Y", "0123456789abcdef0123456789abcdef"),
    ],
)
def test_what_looks_like_a_secret_counts_as_one(name: str, value: str) -> None:
    assert holds_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "debug"),
        ("CONTAINER_REGISTRY_SERVER", "acme.azurecr.io"),
        ("CONTAINER_REGISTRY_USERNAME_acme", "robot"),
        ("SUBSCRIPTION_ID", "0a1b2c3d-0000-1111-2222-333344445555"),
        ("PASSWORD_FILE", "/run/secrets/p"),
        ("BYPASS_MODULES", ""),
        ("MODEL_IMAGE", "acme.azurecr.io/models/AnomalyDetection-V2:1.0.4"),
        ("KEY_VAULT_NAME", "contoso"),
        ("TOKEN_TTL", "3600"),
        ("USE_PASSWORD", "true"),
    ],
)
def test_what_names_other_things_is_not_a_secret(name: str, value: str) -> None:
    assert not holds_secret(name, value)
