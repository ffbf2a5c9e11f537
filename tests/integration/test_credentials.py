"""Tokens from the command line: made, used by a device, refused elsewhere, looked at; and placeholders filled in."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import complaint, in_this_process

from manifestgen.sandbox.arm import provider

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def scoped(ready_made: Any, quick: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project whose image is in a repository of its own, and whose source is a token of its own."""
    monkeypatch.setattr(provider, "_RETRY_AFTER", "0")
    host = quick.world.names.login_server
    repository = f"scorer-of-{ready_made.device}"
    quick.admin("PUT", f"/images/{host}/{repository}:1", {})
    ready_made.edit(f"{host}/scorer:1", f"{host}/{repository}:1")
    text = ready_made.file.read_text() + f"registry: {{credentials: token, token: of-{ready_made.device}}}\n"
    ready_made.file.write_text(text)
    return ready_made


def credential(desired: Callable[[str], Mapping[str, Any]], device: str) -> Any:
    return desired(device)["runtime"]["settings"]["registryCredentials"]["sandboxmodels"]


def kept_file(project: Any) -> Path:
    (found,) = (project.root.parent / "state" / "credentials").rglob(f"of-{project.device}.json")
    return Path(found)


def test_a_device_pulls_with_a_token_that_may_pull_this_repository_only(
    scoped: Any, quick: Any, desired: Callable[[str], Mapping[str, Any]]
) -> None:
    ended = in_this_process("deploy", scoped, "--yes", "--create-token")
    assert ended.code == 0, ended
    assert "created scope map" in ended.stderr and "healthy" in ended.output
    assert credential(desired, scoped.device)["username"] == f"of-{scoped.device}"
    file = kept_file(scoped)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    # The same token for another repository of the same registry: refused before it is sent, and on the device.
    host = quick.world.names.login_server
    in_this_process("render", scoped)
    manifest = scoped.root / "deployment.json"
    quick.admin("PUT", f"/images/{host}/scorer:9", {})
    manifest.write_text(manifest.read_text().replace(f"scorer-of-{scoped.device}:1", "scorer:9"))
    before = in_this_process("preflight", manifest)
    assert before.code == 1 and f"of-{scoped.device}" in before.output
    sent = in_this_process("apply", manifest, "--device", scoped.device, "--yes", "--force", "--timeout", "3")
    assert sent.code == 1
    assert "unauthorized" in sent.output.lower() or "denied" in sent.output.lower()


def test_without_a_token_deploy_says_how_to_make_one(scoped: Any) -> None:
    refused = complaint(in_this_process("deploy", scoped, "--yes"), 2)
    assert "no password of token" in refused
    assert "credentials create-token" in refused


def test_a_token_is_made_once_and_then_used(scoped: Any, asked: Any) -> None:
    first = in_this_process("credentials", "create-token", scoped, "--days", "30", "--output", "json")
    assert first.code == 0, first
    (token,) = first.json["tokens"]
    assert (token["password"], token["made"]) == ("password1", True)
    second = in_this_process("credentials", "create-token", scoped, "--output", "json")
    (again,) = second.json["tokens"]
    assert (again["made"], again["expiry"]) == (False, token["expiry"])
    assert asked.times("POST", "generateCredentials") == 1


def test_a_token_is_widened_only_when_requested(scoped: Any, quick: Any) -> None:
    assert in_this_process("credentials", "create-token", scoped).code == 0
    other = f"{quick.world.names.login_server}/another:1"
    refused = complaint(in_this_process("credentials", "create-token", scoped, "--image", other), 2)
    assert "does not allow another" in refused and "--widen" in refused
    widened = in_this_process("credentials", "create-token", scoped, "--image", other, "--widen")
    assert widened.code == 0
    assert "may now also pull another" in widened.stderr
    narrower = in_this_process("credentials", "create-token", scoped)
    assert "allows more than this manifest needs: repositories/another/content/read" in narrower.stderr


def test_another_machine_gets_advice(scoped: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "token.env"
    assert in_this_process("credentials", "create-token", scoped, "--out", out).code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    monkeypatch.setenv("MANIFESTGEN_STATE", str(tmp_path / "another machine"))
    refused = complaint(in_this_process("credentials", "create-token", scoped), 2)
    assert "not stored on this machine" in refused and "credentials rotate" in refused
    # What --out wrote is what a pipeline there gives, as a file or as variables.
    scoped.edit("credentials: token", f"credentials: file, file: {out}")
    assert in_this_process("render", scoped).code == 0
    scoped.edit(f"credentials: file, file: {out}", "credentials: token")
    for line in out.read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    assert in_this_process("render", scoped).code == 0


def test_show_tells_everything_but_the_password(scoped: Any) -> None:
    nothing = in_this_process("credentials", "show", scoped)
    assert nothing.code == 1
    assert "create-token" in nothing.stdout
    assert in_this_process("credentials", "create-token", scoped, "--days", "30").code == 0
    shown = in_this_process("credentials", "show", scoped)
    assert shown.code == 0
    for words in ("source token", f"user of-{scoped.device}", "in 29 days", "admin user enabled"):
        assert words in shown.stdout
    (row,) = in_this_process("credentials", "show", scoped, "--output", "json").json["registries"]
    assert (row["source"], row["days_left"], row["admin"], row["found"]) == ("token", 29, True, "state folder")
    assert json.loads(kept_file(scoped).read_text())["password"] not in shown.output + json.dumps(row)


def test_a_project_without_tokens_says_how_to_have_one(ready_made: Any) -> None:
    for command in ("create-token", "rotate"):
        refused = complaint(in_this_process("credentials", command, ready_made, *["--yes"][: command == "rotate"]), 2)
        assert "registry: {credentials: token}" in refused


def test_placeholders_are_filled_in_from_the_projects_sources(
    scoped: Any, quick: Any, desired: Callable[[str], Mapping[str, Any]]
) -> None:
    assert in_this_process("credentials", "create-token", scoped).code == 0
    assert in_this_process("render", scoped, "--secrets", "placeholder").code == 0
    manifest = scoped.root / "deployment.json"
    assert "${ACR_PASSWORD_SANDBOXMODELS}" in manifest.read_text()
    applied = in_this_process("apply", manifest, "--device", scoped.device, "--yes")
    assert applied.code == 0, applied
    password = json.loads(kept_file(scoped).read_text())["password"]
    assert credential(desired, scoped.device)["password"] == password
    assert password not in applied.output + manifest.read_text()


def test_placeholders_without_a_project_still_need_the_environment(scoped: Any, tmp_path: Path) -> None:
    assert in_this_process("render", scoped, "--secrets", "placeholder").code == 0
    moved = tmp_path / "elsewhere.json"
    moved.write_text((scoped.root / "deployment.json").read_text())
    refused = complaint(in_this_process("apply", moved, "--device", scoped.device, "--yes"), 2)
    assert "ACR_PASSWORD_SANDBOXMODELS" in refused or "ACR_USERNAME_SANDBOXMODELS" in refused


def test_a_password_that_expires_soon_is_warned_of(scoped: Any) -> None:
    assert in_this_process("deploy", scoped, "--yes", "--create-token", "--no-wait").code == 0
    file = kept_file(scoped)
    assert in_this_process("render", scoped).code == 0
    manifest = scoped.root / "deployment.json"
    quiet = in_this_process("check", manifest, "--project", scoped, "--output", "json")
    assert "expires" not in quiet.stderr
    scoped.edit("credentials: token", "credentials: token, warn_days: 365")
    rows = scoped.root / "devices.csv"
    rows.write_text(f"device\n{scoped.device}\n")
    condition = ["--target-condition", "tags.of = 'nobody'"]
    for command in (
        ["check", manifest, "--project", scoped],
        ["apply", manifest, "--device", scoped.device, "--yes", "--no-wait"],
        ["apply", manifest, "--deployment", f"of-{scoped.device}", *condition, "--yes", "--no-wait"],
        ["apply", scoped, "--devices", rows, "--yes"],
        ["doctor", scoped],
    ):
        warned = in_this_process(*command)
        assert "in 89 days" in warned.output and "credentials rotate" in warned.output, command
    # Another password was made since this file was rendered.
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "password": "another-password-of-it"}))
    assert "render the manifest again" in in_this_process("check", manifest, "--project", scoped).stderr


def test_a_password_whose_answer_was_lost_is_made_anew(
    scoped: Any, quick: Any, desired: Callable[[str], Mapping[str, Any]]
) -> None:
    quick.fault("reset_after", path="generateCredentials", times=1)
    in_this_process("credentials", "create-token", scoped)  # whether it got its answer in the end or not
    assert in_this_process("credentials", "create-token", scoped).code == 0
    ended = in_this_process("deploy", scoped, "--yes")
    assert ended.code == 0, ended
