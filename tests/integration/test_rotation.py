"""`credentials rotate` on the sandbox: the registry is asked at each step whether the device's password works."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from integration.command_line import complaint, eventually, in_this_process, started

from manifestgen.cloud import Credential
from manifestgen.errors import DeniedError
from manifestgen.sandbox.arm import provider
from manifestgen.secret import Secret

# The SDKs leave sockets of their many sessions to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def running(ready_made: Any, quick: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project whose device runs an image that it pulled with a token of its own."""
    monkeypatch.setattr(provider, "_RETRY_AFTER", "0")
    text = ready_made.file.read_text() + f"registry: {{credentials: token, token: of-{ready_made.device}}}\n"
    ready_made.file.write_text(text)
    deployed = in_this_process("deploy", ready_made, "--yes", "--create-token")
    assert deployed.code == 0, deployed
    return ready_made


@pytest.fixture
def works(running: Any, quick: Any, desired: Callable[[str], Mapping[str, Any]]) -> Callable[[], bool]:
    """Asks the registry for the device's image with the password that its manifest holds."""
    from azure.identity import EnvironmentCredential

    from manifestgen.azure.acr import Registries

    registries = Registries(EnvironmentCredential())
    host = quick.world.names.login_server

    def ask() -> bool:
        entry = desired(running.device)["runtime"]["settings"]["registryCredentials"]["sandboxmodels"]
        login = Credential(host, entry["username"], Secret(entry["password"]))
        try:
            return registries.digest(f"{host}/scorer:1", login) is not None
        except DeniedError:
            return False

    return ask


def slots(quick: Any, project: Any) -> list[str]:
    """The passwords that the project's token has."""
    from manifestgen.sandbox.accounts import token

    found = token(quick.world, quick.world.names.registry, f"of-{project.device}")
    return sorted(found["passwords"]) if found else []


def test_a_device_gets_the_second_password_and_the_first_ends(
    running: Any, quick: Any, works: Callable[[], bool]
) -> None:
    ended = in_this_process("credentials", "rotate", running, "--yes")
    assert ended.code == 0, ended
    assert "password2 is in use, password1 no longer works" in ended.stdout
    assert slots(quick, running) == ["password2"]
    assert works()
    folder = running.root.parent / "state" / "credentials"
    kept = json.loads(next(folder.rglob(f"of-{running.device}.json")).read_text())
    assert kept["name"] == "password2"
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*.json"))
    # The plan of a later deploy with the new password has nothing to change.
    again = in_this_process("deploy", running, "--yes", "--no-wait", "--output", "json")
    assert again.json["applied"] is False


def test_going_back_to_before_a_rotation_keeps_the_password_that_works(
    running: Any, quick: Any, works: Callable[[], bool]
) -> None:
    assert in_this_process("deploy", running, "--yes", "--set", "ttl=60").code == 0
    assert in_this_process("credentials", "rotate", running, "--yes").code == 0
    ended = in_this_process("rollback", "--device", running.device, "--yes")
    assert ended.code == 0, ended
    assert "using the latest password of token" in ended.stderr
    assert works()


def test_a_device_that_is_offline_keeps_a_password_that_works(
    running: Any, quick: Any, works: Callable[[], bool], new_device: Callable[[], str]
) -> None:
    quick.admin("PUT", f"/devices/{running.device}", {"online": False})
    ended = in_this_process("credentials", "rotate", running, "--device", running.device, "--yes", "--output", "json")
    assert ended.code == 1, ended
    (token,) = ended.json["tokens"]
    assert (token["dropped"], token["finished"]) == (None, False)
    assert [(one["device"], one["state"]) for one in token["devices"]] == [(running.device, "offline")]
    assert slots(quick, running) == ["password1", "password2"]
    assert works()
    quick.admin("PUT", f"/devices/{running.device}", {"online": True})
    eventually(lambda: in_this_process("credentials", "rotate", running, "--yes").code == 0, "the rotation is finished")
    assert slots(quick, running) == ["password2"]
    assert works()


def test_killed_three_times_and_run_again(running: Any, quick: Any, works: Callable[[], bool]) -> None:
    quick.fault("latency", host=r"sandbox-hub\..*", seconds=0.03, times="forever")
    for words in ("created password2", "accepts password2", "rotated"):
        rotating = started("credentials", "rotate", running, "--yes", cwd=running.root)
        rotating.until_it_says(words)
        rotating.kill()
        assert works(), words
    quick.admin("DELETE", "/faults")
    ended = in_this_process("credentials", "rotate", running, "--yes")
    assert ended.code == 0, ended
    assert works()
    # The third run may have dropped the first password before it was killed: then the last one made another.
    assert len(slots(quick, running)) == 1


def test_an_automatic_deployment_is_rotated_too(
    running: Any, quick: Any, works: Callable[[], bool], new_device: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifestgen.deployments import replace
    from manifestgen.target import Patience

    monkeypatch.setattr(replace, "PATIENCE", Patience(60.0, 5.0, 0.1, 0.2))
    assert in_this_process("render", running).code == 0
    name = f"rotated-{running.device}"
    created = in_this_process(
        "apply", running.root / "deployment.json", "--deployment", name, "--yes",
        "--target-condition", f"deviceId = '{running.device}'",
    )  # fmt: skip
    assert created.code == 0, created
    ended = in_this_process("credentials", "rotate", running, "--deployment", name, "--yes", "--timeout", "60")
    assert ended.code == 0, ended
    assert slots(quick, running) == ["password2"]
    assert works()


def test_without_a_token_nothing_is_rotated(ready_made: Any) -> None:
    ready_made.file.write_text(ready_made.file.read_text() + "registry: {credentials: token, token: nobody-made}\n")
    refused = complaint(in_this_process("credentials", "rotate", ready_made, "--yes"), 3)
    assert "has no token nobody-made" in refused and "create-token" in refused


def test_nothing_is_changed_unless_someone_said_yes(running: Any, quick: Any) -> None:
    refused = complaint(in_this_process("credentials", "rotate", running), 2)
    assert "--yes" in refused
    assert slots(quick, running) == ["password1"]


class TestDevices:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("devices.txt", "# lab\nedge-1\n\nedge-2  # behind the door\n"),
            ("devices.csv", "site,device\nlab,edge-1\nlab,edge-2\n"),
            ("devices.jsonl", '{"device": "edge-1"}\n{"deviceId": "edge-2"}\n'),
        ],
    )
    def test_are_read_from_lines_or_rows(self, name: str, text: str, tmp_path: Path) -> None:
        from manifestgen.project import Project
        from manifestgen.rotate import choose

        (tmp_path / name).write_text(text)
        chosen = choose(Project(tmp_path / "manifestgen.yaml", tmp_path), (), tmp_path / name, None)
        assert chosen.devices == ("edge-1", "edge-2")

    def test_must_be_named_somewhere(self, ready_made: Any, tmp_path: Path) -> None:
        rotate = ["credentials", "rotate", ready_made, "--yes"]
        (tmp_path / "empty").write_text("# nobody\n")
        assert "names no device" in complaint(in_this_process(*rotate, "--devices", tmp_path / "empty"), 2)
        both = in_this_process(*rotate, "--device", "a", "--deployment", "b")
        assert "only one kind of target" in complaint(both, 2)
        ready_made.edit(f"target: {{device: {ready_made.device}}}\n", "")
        assert "no device or deployment is specified" in complaint(in_this_process(*rotate), 2)


def test_two_rotations_keep_out_of_each_others_way(tmp_path: Path) -> None:
    from manifestgen.errors import InputError
    from manifestgen.rotate import _alone

    with _alone(tmp_path), pytest.raises(InputError, match="another rotation"), _alone(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to"), _alone(tmp_path / "file"):
        pass
