"""Thirteen kinds of secret, none in any output of a command that meets them, nor in a file that git would show."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from integration.command_line import in_this_process

from manifestgen import secret
from manifestgen.sandbox import accounts
from manifestgen.sandbox.arm import provider

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.no_cover,  # what other tests do, looked at for what it shows
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# Without the extra, the kinds are one fewer.
_VAULT = importlib.util.find_spec("azure.keyvault") is not None

_SOURCES = {"second.azurecr.io": "admin", "env.example.com": "env", "file.example.com": "file"}
if _VAULT:
    _SOURCES["vault.example.com"] = "keyvault"

_TEMPLATE = """\
{% extends "single-module.json.j2" %}
{% block modules %}{{ super() }},
  {% for name, host in HOSTS %}
  {{ name | tojson }}: {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
    "settings": {"image": {{ (host ~ "/x:1") | tojson }}, "createOptions": "{}"}}{{ "," if not loop.last }}
  {% endfor %}
{% endblock %}
""".replace("HOSTS", json.dumps([[f"of-{source}", host] for host, source in _SOURCES.items()]))


@dataclass
class Seen:
    """The secrets of a run, by kind: those that are known from the start, and those that only come up in it."""

    texts: dict[str, set[str]] = field(default_factory=dict)

    def add(self, kind: str, text: str) -> None:
        self.texts.setdefault(kind, set()).add(text)

    def shown_in(self, output: str) -> list[str]:
        return [kind for kind, texts in self.texts.items() for text in texts if any(f in output for f in forms(text))]


def forms(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield quote(text, safe="")
    yield base64.b64encode(text.encode()).decode().rstrip("=")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Collects what goes over the wire: whatever logs in somewhere, and the passwords that the registry makes."""
    from requests.adapters import HTTPAdapter

    found, send, generate = Seen(), HTTPAdapter.send, accounts.generate_token_passwords

    def sending(self: Any, request: Any, *args: Any, **named: Any) -> Any:
        kind, _, value = str(request.headers.get("Authorization", "")).partition(" ")
        if kind == "Bearer":
            found.add("bearer access token", value)
        elif kind == "SharedAccessSignature":
            found.add("SAS token", value.partition("sig=")[2].partition("&")[0])
        elif kind == "Basic":
            found.add("basic login", value)
        return send(self, request, *args, **named)

    def generating(world: Any, name: str, token: str, which: Any, expiry: Any) -> Any:
        made = generate(world, name, token, which, expiry)
        for one in which:
            found.add(f"token {one}", made["passwords"][one]["value"])
        return made

    monkeypatch.setattr(HTTPAdapter, "send", sending)
    monkeypatch.setattr(accounts, "generate_token_passwords", generating)
    return found


@pytest.fixture
def project(ready_made: Any, quick: Any, seen: Seen, hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project in a git repository, with a registry of each source."""
    from manifestgen.azure import auth

    auth._credential.cache_clear()
    monkeypatch.setattr(provider, "_RETRY_AFTER", "0")
    quick.admin("PUT", "/registries/second", {"group": "other"})
    login = base64.b64encode(b"robot:canary-in-a-docker-config").decode()
    (ready_made.root.parent / "config.json").write_text(json.dumps({"auths": {"file.example.com": {"auth": login}}}))
    (ready_made.root / "all.json.j2").write_text(_TEMPLATE)
    ready_made.edit("template: anomaly-detection", "template: all.json.j2")
    registry: dict[str, Any] = {"credentials": "token", "token": f"of-{ready_made.device}", "sources": _SOURCES}
    registry["file"] = "../config.json"
    if _VAULT:
        quick.admin("PUT", "/vaults/sandbox-vault/secrets/canary", {"value": "canary-in-a-key-vault"})
        seen.add("secret of a key vault", "canary-in-a-key-vault")
        registry["keyvault"] = {"vault": "sandbox-vault", "name": "canary", "username": "robot"}
    ready_made.file.write_text(f"{ready_made.file.read_text()}registry: {json.dumps(registry)}\n")
    (ready_made.root / ".gitignore").write_text("deployment.json\n")
    subprocess.run(["git", "init", "-q", str(ready_made.root)], check=True)
    monkeypatch.setenv("ACR_USERNAME_ENV", "robot")
    monkeypatch.setenv("ACR_PASSWORD_ENV", "canary-in-the-environment")
    names = quick.world.names
    for name in (names.registry, "second"):
        for number, entry in enumerate(accounts.admin_passwords(quick.world, name), start=1):
            seen.add(f"admin password {number}", entry["value"])
    seen.add("password in the environment", "canary-in-the-environment")
    seen.add("password in a file", "canary-in-a-docker-config")
    seen.add("auth of a Docker config.json", login)
    seen.add("connection string's key", quick.environment["IOTHUB_CONNECTION_STRING"].partition("SharedAccessKey=")[2])
    seen.add("client secret", quick.environment["AZURE_CLIENT_SECRET"])
    identity = hub.devices.get_identity(ready_made.device)
    seen.add("device key", identity.authentication.symmetric_key.primary_key)
    return ready_made


_KINDS = {
    "admin password 1", "admin password 2", "token password1", "token password2", "password in the environment",
    "password in a file", "auth of a Docker config.json", "connection string's key", "SAS token", "client secret",
    "bearer access token", "device key", *(["secret of a key vault"] if _VAULT else []),
}  # fmt: skip


def test_none_of_thirteen_kinds_of_secret_is_shown(
    project: Any, seen: Seen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest, device = project.root / "deployment.json", project.device
    commands: list[tuple[Any, ...]] = [
        ("credentials", "create-token", project, "--out", tmp_path / "token.env"),
        ("credentials", "show", project),
        ("render", project),
        ("check", manifest, "--project", project, "--fail-on", "never"),
        ("preflight", manifest),
        ("plan", manifest, "--device", device, "--out", project.root / "saved.plan", "--force"),
        ("apply", manifest, "--device", device, "--yes", "--no-wait", "--force"),
        ("doctor", project),
        ("device", "show", device),
        ("credentials", "rotate", project, "--yes", "--timeout", "2"),
        ("export", "--device", device, "-o", tmp_path / "exported.json"),
        ("history", "--device", device),
        # With a connection string in the environment, no token is used for the hub: once more with the role instead.
        ("status", "--device", device, "--hub", "sandbox-hub.azure-devices.net"),
        ("credentials", "show", project, "--output", "json"),
        ("render", project, "--output", "json"),
        ("credentials", "rotate", project, "--yes", "--timeout", "2", "--output", "json"),
    ]
    outputs = []
    # As in a new process: if another test has imported azureml-core, that raised the level of azure-core's log.
    logging.getLogger("azure.core").setLevel(logging.NOTSET)
    for number, command in enumerate(commands):
        # As a new process would: it knows no secret yet.
        monkeypatch.setattr(secret, "_forms", set())
        monkeypatch.setattr(secret, "_cores", set())
        ended = in_this_process(*command, *(["-vv"] if number % 4 else []))
        assert ended.code in (0, 1), (command, ended)
        outputs.append((command, ended.output))
    assert set(seen.texts) >= _KINDS
    held = (project.root / "deployment.json").read_text("utf-8")
    assert ("canary-in-a-key-vault" in held) == _VAULT  # the vault was really asked
    assert "azure.core" in "".join(text for _, text in outputs)  # the SDKs' logs are really there
    for command, text in outputs:
        assert seen.shown_in(text) == [], command
    _nothing_that_git_shows(project.root, seen)


def _nothing_that_git_shows(root: Path, seen: Seen) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=all", "-z"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    names = [entry[3:] for entry in listed.split("\0") if entry]
    assert {"manifestgen.yaml", "saved.plan"} <= set(names)
    assert "deployment.json" not in names
    for name in names:
        assert seen.shown_in((root / name).read_text("utf-8")) == [], name


def test_a_rendered_file_that_git_would_show_is_warned_of(project: Any) -> None:
    (project.root / ".gitignore").unlink()
    assert in_this_process("credentials", "create-token", project, "-q").code == 0
    ended = in_this_process("render", project)
    assert ended.code == 0, ended
    assert "holds secrets and git does not ignore it" in ended.stderr
    written = in_this_process("credentials", "create-token", project, "--out", project.root / "token.env")
    assert "holds secrets and git does not ignore it" in written.stderr


@pytest.mark.parametrize("host", [r"management\..*", r"sandbox-hub\..*"])
def test_a_service_that_repeats_what_it_was_told_is_not_repeated(
    host: str, project: Any, quick: Any, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_this_process("deploy", project, "--create-token", "--yes", "--no-wait", "--force", "-q").code in (0, 1)
    known = ["token password1", "connection string's key", "client secret", "password in the environment"]
    told = [text for kind in known for text in seen.texts[kind]]
    words = f"You may not. {' '.join(told)} Bearer {told[0]}"
    quick.fault("status", times="forever", host=host, status=403, code="AuthorizationFailed", message=words)
    for options in ([], ["-vv"], ["--output", "json"]):
        monkeypatch.setattr(secret, "_forms", set())
        monkeypatch.setattr(secret, "_cores", set())
        ended = in_this_process("credentials", "rotate", project, "--yes", *options)
        assert ended.code == 3, ended
        assert "You may not. ***" in ended.output
        assert seen.shown_in(ended.output) == []
