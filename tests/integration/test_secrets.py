"""No command shows a secret: not in its results, its progress, its logs, its files or its errors."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fakes.hub_service import content, module
from fakes.hurry import hurry
from fakes.solutions import CANARIES
from fakes.solutions import write as write_solution
from integration.command_line import Completed, building_project, files, in_a_new_process, in_this_process, started

from manifestgen import secret
from manifestgen.cli import COMMANDS, module_of
from manifestgen.cloud import Configuration
from manifestgen.secret import Secret

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.no_cover,  # what other tests do, looked at for what it shows
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_ENV_CANARY = 'canary/of+the "environment"'
_FILE_CANARY = "canary-of-a-mounted-file"


@dataclass(frozen=True)
class Canaries:
    """The secrets that must not be seen, by what they are."""

    texts: dict[str, str]

    def seen_in(self, text: str) -> list[str]:
        """Names of those that a text shows, in whatever form."""
        return [name for name, value in self.texts.items() if any(form in text for form in _forms(value))]


def _forms(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    yield base64.b64encode(value.encode()).decode().rstrip("=")


@pytest.fixture
def canaries(quick: Any, monkeypatch: pytest.MonkeyPatch) -> Canaries:
    """The sandbox's secrets, and some that are set here for the sources `env` and `file`."""
    from manifestgen.azure import auth
    from manifestgen.sandbox.accounts import admin_passwords

    auth._credential.cache_clear()
    monkeypatch.setenv("ACR_USERNAME_ACME", "robot")
    monkeypatch.setenv("ACR_PASSWORD_ACME", _ENV_CANARY)
    environment, names = quick.environment, quick.world.names
    key = environment["IOTHUB_CONNECTION_STRING"].partition("SharedAccessKey=")[2]
    passwords = admin_passwords(quick.world, names.registry)
    return Canaries(
        {
            "client secret": environment["AZURE_CLIENT_SECRET"],
            "hub key": key,
            "admin password": passwords[0]["value"],
            "second admin password": passwords[1]["value"],
            "password in the environment": _ENV_CANARY,
            "mounted file": _FILE_CANARY,
            **{f".env of a solution, {number}": text for number, text in enumerate(CANARIES)},
        }
    )


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets this process forget the secrets that it has seen, as a new process would know none."""

    def forget() -> None:
        monkeypatch.setattr(secret, "_forms", set())
        monkeypatch.setattr(secret, "_cores", set())

    return forget


@pytest.fixture
def secretive(ready_made: Any, quick: Any) -> Any:
    """A project with secrets from every source: the admin user, the environment, a mounted file."""
    from manifestgen.azure.iot_hub import connect

    (ready_made.root / "mounted").write_text(_FILE_CANARY)
    hub = connect(connection_string=Secret(quick.environment["IOTHUB_CONNECTION_STRING"]))
    hub.register_device(f"{ready_made.device}-spare", tags={})
    kept = content({"m": module(env={"KEY": {"value": _FILE_CANARY}})})
    name = f"of-{ready_made.device}"
    hub.create_configuration(Configuration(f"{name}-1", kept, "tags.x = 1", 1, {"manifestgen": name}))
    (ready_made.root / "deployment.json.j2").write_text(
        '{% extends "single-module.json.j2" %}\n{% block twins %},\n'
        '    {{ module | tojson }}: {"properties.desired": {"key": {{ key | tojson }}}}\n{% endblock %}\n'
    )
    ready_made.edit("template: anomaly-detection", 'template: deployment.json.j2, values: {key: "${file:mounted}"}')
    return ready_made


def _commands(project: Any) -> dict[str, Sequence[str]]:
    """A command line of each command and subcommand that ends by itself, in an order that makes sense."""
    sas = "https://elsewhere.blob.core.windows.net/support?sp=w&sig=canary-of-a-signature"
    (project.root / "support.sas").write_text(sas)
    manifest = str(project.root / "deployment.json")
    lines = {
        "init": ["init", str(project.root / "new")],
        "import": ["import", str(write_solution(project.root / "solution"))],
        "test": ["test", str(project.root / "building"), "--here", "--input", str(project.root / "building/score.py")],
        "doctor": ["doctor", str(project)],
        "model list": ["model", "list", str(project.root / "building")],
        "image": ["image", str(project.root / "building")],
        "render": ["render", str(project)],
        "check": ["check", manifest],
        "explain": ["explain", "clear-secret"],
        "project show": ["project", "show", str(project)],
        "view": ["view", manifest, "--show-env"],
        "diff": ["diff", str(project), manifest, "--show-env"],
        "preflight": ["preflight", manifest, "--device", project.device],
        "plan": ["plan", manifest, "--device", project.device, "--out", str(project.root / "saved.plan"), "--force"],
        "apply": ["apply", manifest, "--device", project.device, "--yes", "--force"],
        "status": ["status", "--device", project.device],
        "logs": ["logs", "--device", project.device],
        "restart": ["restart", "--device", project.device, "edgeHub"],
        "ping": ["ping", "--device", project.device],
        "score": ["score", "--device", project.device, "--data", str(project.root / "deployment.json")],
        "bundle": ["bundle", "--device", project.device, "--to-file", str(project.root / "support.sas")],
        "device register": ["device", "register", "NEW"],
        "device show": ["device", "show", project.device],
        "device list": ["device", "list"],
        "device tag": ["device", "tag", project.device, "site=lab"],
        "deployment list": ["deployment", "list"],
        "deployment show": ["deployment", "show", f"of-{project.device}"],
        "deployment delete": ["deployment", "delete", f"of-{project.device}", "--yes"],
        "device delete": ["device", "delete", f"{project.device}-spare", "--yes"],
        "deploy": ["deploy", str(project), "--yes", "--force", "--set", "ttl=60"],
        "export": ["export", "--device", project.device, "-o", str(project.root / "exported.json")],
        "history": ["history", "--device", project.device],
        "rollback": ["rollback", "--device", project.device, "--yes", "--no-wait"],
        "sandbox run": ["sandbox", "run", "--", "true"],
        "sandbox messages": ["sandbox", "messages"],
        "run": ["run", str(project), "--input", str(project.root / "mounted"), "--as", "camera/frames"],
        "schema": ["schema"],
    }
    return {name: line for name, line in lines.items() if name.split()[0] in COMMANDS}


# Print a secret because they are asked to, and have tests of their own below.
_DISCLOSING = {"device connection-string", "sandbox start", "sandbox stop"}
# Has neither --output nor -v: it prints a script that is the same everywhere.
_THE_SAME = {"completion"}
# Work with secrets that they make: see test_token_secrets.py.
_OF_TOKENS = {"credentials show", "credentials create-token", "credentials rotate"}


def test_every_command_is_looked_at(secretive: Any) -> None:
    import importlib

    import click

    known = set()
    for name in COMMANDS:
        command = importlib.import_module(module_of(name)).command
        inner = command.commands if isinstance(command, click.Group) else {}
        known |= {f"{name} {sub}" for sub in inner} if inner else {name}
    assert known == set(_commands(secretive)) | _DISCLOSING | _THE_SAME | _OF_TOKENS


@pytest.mark.azureml
@pytest.mark.parametrize("verbosity", ["", "-v", "-vv"], ids=["plain", "v", "vv"])
@pytest.mark.parametrize("output", ["text", "json"])
def test_no_command_shows_a_secret(
    output: str, verbosity: str, secretive: Any, canaries: Canaries, forgetful: Callable[[], None]
) -> None:
    pytest.importorskip("azureml.core")
    # A second project beside the first, which builds its image.
    building_project(secretive.root / "building", "quiet-image")
    talked = []
    for name, arguments in _commands(secretive).items():
        options = [verbosity] if verbosity else []
        if name not in ("sandbox run", "check", "explain"):
            options += ["--output", output]
        if name == "sandbox run":
            arguments = [*arguments[:2], *options, *arguments[2:]]
        elif name == "device register":
            arguments = ["device", "register", f"new-{output}{verbosity}", *options]
        else:
            arguments = [*arguments, *options]
        forgetful()
        ended = in_this_process(*arguments)
        # Nothing runs in the sandbox's module that could score.
        assert ended.code in (0, 1) or (name, ended.code) == ("score", 3), (name, ended)
        assert canaries.seen_in(ended.output) == [], name
        if "urllib3.connectionpool: " in ended.stderr:
            talked.append(name)
    if verbosity == "-vv":
        # The SDKs' logs are really there.
        assert {"deploy", "apply", "status", "image", "render", "doctor", "device list"} <= set(talked)
    else:
        assert not talked
    _only_manifests_hold_secrets(secretive.root, canaries)


def _only_manifests_hold_secrets(root: Path, canaries: Canaries) -> None:
    manifests = ("deployment.json", "exported.json")
    env = {f".env of a solution, {number}" for number in (0, 1)}
    expected = {
        "mounted": {"mounted file"},
        "solution/.env": env,
        **{name: {"admin password", "mounted file"} for name in manifests},
    }
    for name, data in files(root).items():
        seen = set(canaries.seen_in(data.decode("utf-8", "replace")))
        assert seen == expected.get(name, set()), name
        if name in manifests:
            assert stat.S_IMODE((root / name).stat().st_mode) == 0o600
    # Snapshots, which hold what the hub holds.
    for path in (root.parent / "state").rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


_FAULTS: dict[str, dict[str, Any]] = {
    "refused": {"kind": "status", "status": 403, "message": "You may not. Bearer MARK"},
    "reset": {"kind": "reset"},
    "truncated": {"kind": "truncate"},
}


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("host", [r"sandbox-hub\..*", r"management\..*", r"login\..*"])
def test_an_error_shows_no_secret(
    host: str,
    fault: str,
    secretive: Any,
    quick: Any,
    canaries: Canaries,
    forgetful: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurry(monkeypatch, total=0.2, unreachable=0.1)
    settings = dict(_FAULTS[fault])
    if "message" in settings:
        # A service that repeats what it was sent is no reason to print it.
        settings["message"] = settings["message"].replace("MARK", canaries.texts["client secret"])
    quick.fault(times="forever", host=host, **settings)
    forgetful()
    ended = in_this_process("deploy", secretive, "--yes", "--force", "--output", "json", "-vv")
    assert ended.code in (1, 3), ended
    assert "error" in ended.json
    assert canaries.seen_in(ended.output) == []
    assert all(not canaries.seen_in(str(file)) for file in files(secretive.root))


def test_a_password_from_the_environment_is_in_the_manifest_and_nowhere_else(
    secretive: Any, canaries: Canaries, forgetful: Callable[[], None], quick: Any
) -> None:
    host = quick.world.names.login_server
    secretive.edit(host, "acme.azurecr.io")
    secretive.file.write_text(secretive.file.read_text() + "registry: {credentials: env}\n")
    for options in ([], ["--output", "json"], ["-vv"]):
        forgetful()
        ended = in_this_process("render", secretive, *options)
        assert ended.code == 0, ended
        assert canaries.seen_in(ended.output) == []
    found = canaries.seen_in((secretive.root / "deployment.json").read_text())
    assert set(found) == {"password in the environment", "mounted file"}
    assert stat.S_IMODE((secretive.root / "deployment.json").stat().st_mode) == 0o600


def test_a_rendered_file_that_was_open_to_others_is_so_no_more(secretive: Any) -> None:
    file = secretive.root / "deployment.json"
    file.write_text("{}")
    file.chmod(0o644)
    assert in_this_process("render", secretive).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_stdout_gets_placeholders_unless_secrets_are_asked_for(ready_made: Any, canaries: Canaries) -> None:
    shown = in_this_process("render", ready_made, "-o", "-")
    assert shown.code == 0
    assert "${ACR_PASSWORD_SANDBOXMODELS}" in shown.stdout
    assert canaries.seen_in(shown.output) == []
    asked_for = in_this_process("render", ready_made, "-o", "-", "--secrets", "inline")
    assert canaries.seen_in(asked_for.stdout) == ["admin password"]
    assert canaries.seen_in(asked_for.stderr) == []


def test_stdout_does_not_show_a_mounted_file(secretive: Any, canaries: Canaries) -> None:
    refused = in_this_process("render", secretive, "-o", "-")
    assert refused.code == 2
    assert "--secrets inline" in refused.stderr
    assert canaries.seen_in(refused.output) == []


def test_an_export_to_stdout_shows_no_more_than_a_rendered_manifest_there(
    secretive: Any, canaries: Canaries, forgetful: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_this_process("deploy", secretive, "--yes", "--force", "--no-wait").code == 0
    monkeypatch.chdir(secretive.root)  # the project says which texts are secrets
    forgetful()
    refused = in_this_process("export", "--device", secretive.device)
    assert refused.code == 2
    assert "would show a secret" in refused.stderr and "--secrets inline" in refused.stderr
    assert canaries.seen_in(refused.output) == []
    asked_for = in_this_process("export", "--device", secretive.device, "--secrets", "inline")
    assert set(canaries.seen_in(asked_for.stdout)) == {"admin password", "mounted file"}
    assert in_this_process("export", "--device", secretive.device, "-o", "exported.json").code == 0


def test_a_placeholder_file_may_be_committed(ready_made: Any, canaries: Canaries) -> None:
    assert in_this_process("render", ready_made, "--secrets", "placeholder").code == 0
    file = ready_made.root / "deployment.json"
    assert "${ACR_PASSWORD_SANDBOXMODELS}" in file.read_text()
    assert canaries.seen_in(file.read_text()) == []


def test_a_plan_tells_that_a_credential_changed_and_not_how(ready_made: Any, canaries: Canaries, quick: Any) -> None:
    assert in_this_process("deploy", ready_made, "--yes").code == 0
    assert in_this_process("render", ready_made).code == 0
    file = ready_made.root / "deployment.json"
    other = file.read_text().replace(canaries.texts["admin password"], "another-canary-password")
    assert "another-canary-password" in other
    file.write_text(other)
    for options in ([], ["--output", "json"]):
        ended = in_this_process("apply", file, "--device", ready_made.device, "--yes", "--no-wait", "--force", *options)
        assert "registry credential" in ended.stdout or options
        assert "another-canary" not in ended.output
        assert canaries.seen_in(ended.output) == []


def test_a_connection_string_is_printed_by_the_command_that_is_asked_for_it(
    ready_made: Any, hub: Any, canaries: Canaries, forgetful: Callable[[], None]
) -> None:
    key = hub.devices.get_identity(ready_made.device).authentication.symmetric_key.primary_key
    for options in ([], ["-vv"], ["--output", "json"]):
        forgetful()
        ended = in_this_process("device", "connection-string", ready_made.device, *options)
        assert ended.stdout.count(key) == 1
        assert key not in ended.stderr
        assert canaries.seen_in(ended.output) == []
    for command in (["device", "show", ready_made.device], ["device", "list"]):
        forgetful()
        assert key not in in_this_process(*command, "-vv").output


def test_a_sandbox_prints_its_own_secrets_and_not_the_callers(tmp_path: Path, canaries: Canaries) -> None:
    running = started("sandbox", "start", "--foreground", "-vv", cwd=tmp_path)
    running.until_it_says("not Azure")
    ended = running.interrupt()
    assert re.search(r"^export AZURE_CLIENT_SECRET=\S{20,}$", ended.stdout, re.MULTILINE)
    assert canaries.seen_in(ended.output) == []


@pytest.mark.parametrize(
    "command", [["deploy", "--yes", "-vv"], ["status", "--device", "edge-01", "-vv"]], ids=" ".join
)
def test_a_new_process_shows_none_either(command: list[str], ready_made: Any, canaries: Canaries) -> None:
    ended: Completed = in_a_new_process(*command, cwd=ready_made.root)
    assert ended.code in (0, 1), ended
    assert "urllib3.connectionpool: " in ended.stderr
    assert canaries.seen_in(ended.output) == []


def test_a_bugs_traceback_shows_no_secret(
    ready_made: Any, canaries: Canaries, forgetful: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.azure.acr import Registries

    def broken(self: Any, registry: Any) -> Any:
        import os

        raise RuntimeError(f"logged in with {os.environ['AZURE_CLIENT_SECRET']}")

    monkeypatch.setattr(Registries, "admin_credential", broken)
    forgetful()
    ended = in_this_process("deploy", ready_made, "--yes")
    assert ended.code == 70
    assert "RuntimeError: logged in with ***" in ended.stderr
    assert canaries.seen_in(ended.output) == []
