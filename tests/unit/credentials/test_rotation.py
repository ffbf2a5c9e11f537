"""Rotation of a token's password: at no moment does a device hold one that does not work, wherever it is killed."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fakes.hub import FakeHub
from fakes.registry import FakeRegistry, registry_id

from manifestgen.cloud import Configuration, RegistryInfo, Token
from manifestgen.credentials import rotation, stored
from manifestgen.credentials.acr_token import create, may_be_pending_here
from manifestgen.credentials.rotation import DeviceOutcome, Login, Observer, Rotated, renewed, rotate
from manifestgen.device.rotation import Devices
from manifestgen.errors import CloudError, DeniedError, InputError, Interrupted, NotFoundError
from manifestgen.files import write_atomic
from manifestgen.secret import Secret
from manifestgen.target import Patience

HOST, NAME, REPOSITORY = "acme.azurecr.io", "manifestgen-scorer", "scorer"
NOW = datetime(2026, 9, 1, 12, tzinfo=timezone.utc)


class Killed(BaseException):
    """What SIGKILL is to a process: nothing in it goes on."""


def manifest(username: str, password: str, image: str = f"{HOST}/{REPOSITORY}:1") -> dict[str, Any]:
    agent = {
        "schemaVersion": "1.1",
        "runtime": {
            "type": "docker",
            "settings": {
                "registryCredentials": {
                    "acme": {"address": HOST, "username": username, "password": password},
                    "other": {"address": "other.azurecr.io", "username": "u", "password": "password-of-another"},
                }
            },
        },
        "systemModules": {
            name: {"type": "docker", "status": "running", "restartPolicy": "always",
                   "settings": {"image": f"mcr.microsoft.com/{name.lower()}:1.6", "createOptions": "{}"}}
            for name in ("edgeAgent", "edgeHub")
        },
        "modules": {
            "scorer": {"type": "docker", "status": "running", "restartPolicy": "always", "version": "1.0",
                       "settings": {"image": image, "createOptions": "{}"}}
        },
    }  # fmt: skip
    hub = {
        "schemaVersion": "1.1",
        "routes": {"up": "FROM /messages/* INTO $upstream"},
        "storeAndForwardConfiguration": {"timeToLiveSecs": 60},
    }
    contents = {"$edgeAgent": agent, "$edgeHub": hub, "scorer": {"interval": 5}}
    return {"modulesContent": {name: {"properties.desired": desired} for name, desired in contents.items()}}


@dataclass
class World:
    """A registry with a token, a hub whose devices use it, and this machine's state folder.

    Attributes:
        held: the password that each device that is offline has: that of when it was last connected.
    """

    root: Path
    registry: FakeRegistry = field(default_factory=lambda: FakeRegistry.of("acme", images={}))
    hub: FakeHub = field(default_factory=lambda: FakeHub(obedient=True))
    held: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registry.clock = lambda: NOW

    @property
    def info(self) -> RegistryInfo:
        return self.registry.by_id(registry_id("acme"))

    @property
    def token(self) -> Token:
        found = self.registry.token(self.info, NAME)
        assert found is not None
        return found

    def add(self, device: str, password: str | None = None, *, username: str = NAME, offline: bool = False) -> str:
        """Register a device that uses a password of the token, the first if none is given."""
        known = stored.read(self.root, HOST, NAME)
        if password is None:
            assert known is not None and known.password is not None
            password = known.password.reveal()
        self.hub.add(device)
        self.hub.set_modules(device, manifest(username, password))
        if offline:
            self.hub.connect(device, connected=False)
            self.held[device] = password
        return device

    def connect(self, device: str) -> None:
        """Connect a device, which takes at once what it should have."""
        self.hub.connect(device, connected=True)
        self.held.pop(device, None)
        self.hub._obey(self.hub._find(device))

    def passwords(self, device: str) -> set[str]:
        """What a device pulls with now, and will pull with when it is connected."""
        agent = self.hub._find(device).twins["$edgeAgent"]
        entry = agent.desired["runtime"]["settings"]["registryCredentials"]["acme"]
        return {entry["password"], self.held.get(device, entry["password"])}

    def broken(self) -> list[str]:
        """Devices that hold a password which the registry does not take."""
        return [
            device
            for device in self.hub._registered
            for password in self.passwords(device)
            if not self.registry.works(HOST, NAME, password, REPOSITORY)
        ]

    def rotate(self, *ids: str, **options: Any) -> Rotated:
        observer = options.pop("observer", Observer())
        ticks = itertools.count()
        patience = Patience(timeout=5, grace=1, clock=lambda: float(next(ticks)), sleep=nothing)
        target = Devices(self.hub, ids, observer.device, patience, workers=1)
        options = {"root": self.root, "days": 30, "now": lambda: NOW, "sleep": nothing, **options}
        return rotate(self.registry, self.hub, self.token, target, observer=observer, **options)


def nothing(seconds: float) -> None:
    """Sleep, as far as these tests are concerned."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    create(made.registry, made.info, NAME, [REPOSITORY], root=tmp_path, days=10, now=NOW)
    return made


def states(rotated: Rotated) -> dict[str, str]:
    return {one.device: one.state for one in rotated.devices}


def test_an_entry_that_is_none_is_passed_over_and_left_as_it_is() -> None:
    entries = {"odd": "acme.azurecr.io", "acme": {"address": "ACME.azurecr.io", "Username": "pull", "password": "old"}}
    settings = {"registryCredentials": entries}
    content = {"modulesContent": {"$edgeAgent": {"properties.desired": {"runtime": {"settings": settings}}}}}
    login = Login("acme.azurecr.io", "pull", Secret("canary-new"))
    assert login.passwords_in(content) == ["old"]
    agent = login.put_into(content)["modulesContent"]["$edgeAgent"]["properties.desired"]
    assert agent["runtime"]["settings"]["registryCredentials"] == {
        **entries,
        "acme": {"address": "ACME.azurecr.io", "Username": "pull", "password": "canary-new"},
    }


def test_devices_get_the_second_password_and_then_the_first_is_dropped(world: World) -> None:
    previous = stored.latest(world.root, HOST, NAME)
    ids = [world.add(f"edge-{number}") for number in range(3)]
    said: list[str] = []
    rotated = world.rotate(*ids, observer=Observer(permit=said.append, step=said.append))
    assert states(rotated) == dict.fromkeys(ids, "rotated")
    assert (rotated.dropped, rotated.left, rotated.finished) == ("password1", (), True)
    assert [one.name for one in world.token.passwords] == ["password2"]
    assert world.broken() == []
    now = stored.latest(world.root, HOST, NAME)
    assert now is not None and previous is not None
    assert (now.name, now.expiry) == ("password2", NOW + timedelta(days=30))
    assert now.password != previous.password
    assert said == [
        f"create password2 of token {NAME} of {HOST} for 3 devices",
        f"created password2 of token {NAME}, expires on 2026-10-01",
        f"{HOST} accepts password2",
        f"deleted password1 of token {NAME}",
    ]


def test_nothing_of_the_manifest_changes_but_this_password(world: World) -> None:
    device = world.add("edge-1")
    before = {name: copy.deepcopy(twin.desired) for name, twin in world.hub._find(device).twins.items()}
    world.rotate(device)
    after = {name: twin.desired for name, twin in world.hub._find(device).twins.items()}
    entry = after["$edgeAgent"]["runtime"]["settings"]["registryCredentials"]["acme"]
    entry["password"] = before["$edgeAgent"]["runtime"]["settings"]["registryCredentials"]["acme"]["password"]
    assert after == before


def test_rotating_again_goes_back_and_forth_between_the_two(world: World) -> None:
    device = world.add("edge-1")
    assert [world.rotate(device).dropped for _ in range(4)] == ["password1", "password2"] * 2
    assert world.broken() == []


def test_a_device_that_stays_offline_keeps_a_password_that_works_and_is_named(world: World) -> None:
    ids = [world.add("edge-1"), world.add("edge-2", offline=True)]
    for _ in range(2):
        rotated = world.rotate(*ids)
        assert states(rotated) == {"edge-1": "rotated", "edge-2": "offline"}
        assert [(one.what, one.why) for one in rotated.left] == [
            ("device 'edge-2'", "it has not applied the new password yet")
        ]
        assert (rotated.dropped, rotated.finished) == (None, False)
        assert {one.name for one in world.token.passwords} == {"password1", "password2"}
        assert world.broken() == []
    assert world.registry.made == 2  # running again makes no third password
    world.connect("edge-2")
    rotated = world.rotate(*ids)
    assert rotated.finished and world.broken() == []
    assert [one.name for one in world.token.passwords] == ["password2"]


def test_a_device_that_was_not_named_keeps_the_first_password_alive(world: World) -> None:
    world.add("edge-1")
    world.add("forgotten")
    rotated = world.rotate("edge-1")
    assert [(one.what, one.why) for one in rotated.left] == [
        ("device 'forgotten'", "its manifest has the old password")
    ]
    assert rotated.dropped is None and not rotated.finished and world.broken() == []
    assert world.rotate("edge-1", "forgotten").finished


def test_a_device_that_the_hubs_index_still_has_with_the_token_keeps_no_password_alive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("edge-1")
    world.add("edge-2", "password-of-another", username="another")
    world.hub.add("gone")
    read = world.hub.module_twin
    rows = [{"deviceId": device, "runtime": None} for device in ("edge-1", "edge-2", "gone")]
    monkeypatch.setattr(world.hub, "query", lambda text, **columns: iter(rows))
    monkeypatch.setattr(world.hub, "module_twin", lambda device, name: None if device == "gone" else read(device, name))
    rotated = world.rotate("edge-1")
    assert rotated.left == () and rotated.finished


def test_an_automatic_deployment_with_the_first_password_keeps_it_alive(world: World) -> None:
    world.add("edge-1")
    known = stored.latest(world.root, HOST, NAME)
    assert known is not None and known.password is not None
    content = manifest(NAME, known.password.reveal())
    world.hub.create_configuration(Configuration("later", content, condition="tags.site = 'new'"))
    rotated = world.rotate("edge-1")
    assert [one.what for one in rotated.left] == ["automatic deployment 'later'"]
    assert world.registry.works(HOST, NAME, known.password.reveal(), REPOSITORY)


def test_a_device_that_does_not_come_to_run_keeps_the_way_back(world: World) -> None:
    world.add("edge-1")
    world.hub.obedient = False
    report = world.hub._find("edge-1").twins["$edgeAgent"].reported
    rotated = world.rotate("edge-1")
    assert states(rotated) == {"edge-1": "unhealthy"}
    assert rotated.dropped is None and rotated.left
    assert world.hub._find("edge-1").twins["$edgeAgent"].reported == report
    assert world.broken() == []


def test_what_goes_wrong_with_one_device_is_its_own_affair(world: World) -> None:
    ids = [world.add("edge-1"), world.add("edge-2"), "nobody"]
    world.hub.trouble["set_modules"] = [DeniedError("403", where="device 'edge-1'", fix="ask for a role")]
    rotated = world.rotate(*ids)
    assert states(rotated) == {"edge-1": "failed", "edge-2": "rotated", "nobody": "failed"}
    assert rotated.dropped is None and world.broken() == []


def test_a_device_that_somebody_else_changes_meanwhile_is_read_again(world: World) -> None:
    world.add("edge-1")
    world.hub.trouble["set_modules"] = [CloudError("busy", fix="again")]
    assert world.rotate("edge-1").finished


def test_a_device_without_the_token_is_left_alone(world: World) -> None:
    world.add("edge-1")
    world.add("edge-2", "password-of-acme.azurecr.io", username="acme")
    applied = len(world.hub.applied)
    rotated = world.rotate("edge-1", "edge-2")
    assert states(rotated) == {"edge-1": "rotated", "edge-2": "unaffected"}
    assert rotated.finished
    assert len(world.hub.applied) == applied + 1


def test_where_nobody_uses_the_token_nothing_is_made(world: World) -> None:
    world.add("edge-1", "password-of-acme.azurecr.io", username="acme")
    with pytest.raises(InputError, match="pulls no image with token"):
        world.rotate("edge-1")
    assert [one.name for one in world.token.passwords] == ["password1"]


def test_where_no_device_is_there_that_is_said(world: World) -> None:
    with pytest.raises(NotFoundError, match="device 'edge-9'"):
        world.rotate("edge-9")
    assert [one.name for one in world.token.passwords] == ["password1"]


def test_nothing_happens_without_permission(world: World) -> None:
    world.add("edge-1")

    def no(words: str) -> None:
        raise Interrupted("stopped", fix="run it again")

    with pytest.raises(Interrupted):
        world.rotate("edge-1", observer=Observer(permit=no))
    assert [one.name for one in world.token.passwords] == ["password1"]


def test_a_password_that_the_registry_does_not_take_reaches_no_device(world: World) -> None:
    world.hub.add("edge-1")
    world.hub.set_modules("edge-1", manifest(NAME, "canary-whatever", image=f"{HOST}/elsewhere:1"))
    times = iter([0.0, 50.0, 100.0])
    with pytest.raises(DeniedError, match="does not pull") as caught:
        world.rotate("edge-1", clock=lambda: next(times))
    assert "--widen" in caught.value.fix
    assert world.passwords("edge-1") == {"canary-whatever"}


def test_a_password_that_takes_effect_late_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("edge-1")
    ask, refusals = world.registry.digest, iter([True, True])

    def late(image: str, credential: Any) -> Any:
        if next(refusals, False):
            raise DeniedError("not yet", fix="wait")
        return ask(image, credential)

    monkeypatch.setattr(world.registry, "digest", late)
    assert world.rotate("edge-1", clock=lambda: 0.0).finished


class TestWhichPasswordIsMadeAnew:
    def test_where_both_work_and_nothing_is_known_it_must_be_said(self, world: World, tmp_path: Path) -> None:
        world.registry.generate_password(world.token, "password2", None)
        second = world.registry.token_passwords[HOST, NAME, "password2"]
        world.add("edge-1", second)
        elsewhere = {"root": tmp_path / "other machine"}
        with pytest.raises(InputError, match="both passwords") as caught:
            world.rotate("edge-1", **elsewhere)
        assert "--in-use password1 or --in-use password2" in caught.value.fix
        assert world.rotate("edge-1", in_use="password2", **elsewhere).dropped == "password2"
        assert world.broken() == []

    def test_one_password_that_is_not_known_here_is_replaced_all_the_same(self, world: World, tmp_path: Path) -> None:
        world.add("edge-1")
        assert world.rotate("edge-1", root=tmp_path / "other machine").dropped == "password1"
        assert world.broken() == []

    def test_an_expired_password_leaves_its_place(self, world: World) -> None:
        world.registry.generate_password(world.token, "password2", NOW - timedelta(days=1))
        world.add("edge-1")
        assert world.rotate("edge-1").dropped == "password1"

    def test_a_password_in_use_that_the_token_does_not_have_is_refused(self, world: World) -> None:
        world.add("edge-1")
        with pytest.raises(InputError, match="has no password2; it has password1"):
            world.rotate("edge-1", in_use="password2")

    def test_one_that_was_made_anew_elsewhere_meanwhile_is_refused(self, world: World) -> None:
        world.add("edge-1", offline=True)
        world.rotate("edge-1")
        world.registry.generate_password(world.token, "password2", NOW + timedelta(days=99))
        with pytest.raises(InputError, match="replaced elsewhere"):
            world.rotate("edge-1")

    def test_one_that_somebody_made_long_after_the_run_was_killed_is_refused(self, world: World) -> None:
        world.add("edge-1")
        stored.write(world.root, stored.pending(HOST, NAME, "password2", NOW - timedelta(hours=1)), "next")
        assert world.rotate("edge-1").finished  # nobody made it: its place is free
        stored.write(world.root, stored.pending(HOST, NAME, "password1", NOW - timedelta(hours=1)), "next")
        world.registry.generate_password(world.token, "password1", None)
        with pytest.raises(InputError, match="replaced elsewhere"):
            world.rotate("edge-1")

    def test_one_that_was_dropped_elsewhere_meanwhile_is_made_anew(self, world: World) -> None:
        world.add("edge-1", offline=True)
        world.rotate("edge-1")
        world.registry.drop_password(world.token, "password2")
        world.connect("edge-1")
        assert world.rotate("edge-1").finished and world.broken() == []

    def test_a_rotation_that_was_left_until_its_password_expired_makes_it_anew(self, world: World) -> None:
        world.add("edge-1", offline=True)
        world.rotate("edge-1")
        world.connect("edge-1")
        rotated = world.rotate("edge-1", now=lambda: NOW + timedelta(days=31))
        assert rotated.new.expiry == NOW + timedelta(days=61)
        assert rotated.finished


class Killer:
    """Kills at a certain step, before or after it takes effect; from then on nothing of the run does anything."""

    def __init__(self, world: World, step: int, after: bool) -> None:
        self.world, self.step, self.after = world, step, after
        self.count, self.dead = 0, False

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **named: Any) -> Any:
            if self.dead:
                raise Killed
            self.count += 1
            hit = self.count == self.step
            if hit and not self.after:
                self.die()
            result = call(*args, **named)
            assert self.world.broken() == [], f"after step {self.count}"
            if hit:
                self.die()
            return result

        return guarded

    def die(self) -> None:
        self.dead = True
        raise Killed


_STEPS = {
    "registry": ("generate_password", "drop_password", "digest"),
    "hub": ("module_twin", "set_modules", "query", "configurations"),
}


def killed_at(world: World, step: int, after: bool, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Rotate with a killer at this step; whether it came to it. The next run is one that nobody kills."""
    killer = Killer(world, step, after)
    with monkeypatch.context() as patch:
        for owner, names in _STEPS.items():
            for name in names:
                patch.setattr(getattr(world, owner), name, killer.guard(getattr(getattr(world, owner), name)))
        patch.setattr(stored, "write_atomic", killer.guard(write_atomic))
        try:
            world.rotate(*ids)
        except Killed:
            return True
    return False


def walk(root: Path, ids: int, offline: int, steps: Iterator[int], after: bool, monkeypatch: pytest.MonkeyPatch) -> int:
    """Kill a fresh rotation at each of the steps and finish it; returns at how many."""
    killed = 0
    for step in steps:
        world = World(root / f"{step}-{after}")
        world.root.mkdir()
        create(world.registry, world.info, NAME, [REPOSITORY], root=world.root, days=10, now=NOW)
        names = [world.add(f"edge-{number}", offline=number < offline) for number in range(ids)]
        if not killed_at(world, step, after, names, monkeypatch):
            break
        killed += 1
        assert world.broken() == [], step
        again = world.rotate(*names)
        assert world.broken() == [], step
        assert len(again.left) == offline, step
        for name in names[:offline]:
            world.connect(name)
        if offline:
            assert world.rotate(*names).finished, step
        else:
            assert again.finished, step
        assert len(world.token.passwords) == 1, step
        assert world.broken() == [], step
        assert not stored.path_of(world.root, HOST, NAME, "next").exists(), step
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before it takes effect", "after it took effect"])
@pytest.mark.parametrize("offline", [0, 1])
def test_killed_at_every_step_and_run_again(
    offline: int, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = walk(tmp_path, 2, offline, iter(range(1, 1000)), after, monkeypatch)
    # To make (two files, one request), to prove, to set and to wait for each device, to look around, to end the first.
    assert killed > 15


def test_a_hundred_devices_of_which_three_are_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter([60, 620])
    assert walk(tmp_path, 100, 3, steps, True, monkeypatch) == 2


def test_a_manifest_from_before_gets_the_latest_password(world: World) -> None:
    device = world.add("edge-1")
    before = manifest(NAME, next(iter(world.passwords(device))))
    assert renewed(before, world.root) == (before, ())
    world.rotate(device)
    content, notes = renewed(before, world.root)
    (now,) = world.passwords(device)
    assert content == manifest(NAME, now)
    assert notes == (f"using the latest password of token {NAME} for {HOST}, not the one in the snapshot",)


def test_the_login_of_a_rotation_shows_no_password() -> None:
    login = Login(HOST, NAME, Secret("canary-in-a-login"))
    assert "canary" not in repr(login) + repr(DeviceOutcome("edge-1", "failed", "x"))
    assert set(rotation.__all__) <= set(dir(rotation))


@pytest.mark.parametrize(("minutes", "may_be"), [(-15, True), (0, True), (15, True), (16, False), (-16, False)])
def test_a_password_may_be_the_pending_one_if_it_was_made_within_a_quarter_of_an_hour(
    world: World, minutes: int, may_be: bool
) -> None:
    known = stored.latest(world.root, HOST, NAME)
    assert known is not None
    begun = replace(known, made=NOW + timedelta(minutes=minutes))
    assert may_be_pending_here(world.token, begun) == may_be
