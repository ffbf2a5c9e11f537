from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from manifestgen.credentials.rotation import DeviceOutcome, Left, Rotated
from manifestgen.credentials.source import Standing
from manifestgen.credentials.stored import StoredPassword
from manifestgen.report.credentials import rotation_data, rotation_text, standings_data, standings_text
from manifestgen.secret import Secret

NOW = datetime(2026, 9, 1, tzinfo=timezone.utc)

STANDINGS = [
    Standing("acme.azurecr.io", "token", "puller", "state folder", NOW + timedelta(days=9), admin=False),
    Standing("env.io", "env", problem="no user name and password", fix="set ACR_USERNAME_ENV and ACR_PASSWORD_ENV"),
]


def test_each_registry_has_a_line_and_what_to_do() -> None:
    assert standings_text(STANDINGS, NOW).splitlines() == [
        "acme.azurecr.io  source token, user puller, password in this machine's state folder, "
        "expires on 2026-09-10, in 9 days, admin user disabled",
        "env.io           source env, no user",
        "                 no user name and password",
        "                 fix: set ACR_USERNAME_ENV and ACR_PASSWORD_ENV",
    ]
    assert standings_text([], NOW) == "no image is in a registry that needs a credential"


def test_the_data_says_the_same() -> None:
    first, second = standings_data(STANDINGS, NOW)["registries"]
    assert first == {
        "host": "acme.azurecr.io", "source": "token", "username": "puller", "found": "state folder",
        "expiry": "2026-09-10T00:00:00+00:00", "days_left": 9, "admin": False, "problem": "", "fix": "",
    }  # fmt: skip
    assert (second["days_left"], second["admin"]) == (None, None)


def rotated(*outcomes: DeviceOutcome, left: tuple[Left, ...] = ()) -> Rotated:
    new = StoredPassword("acme.azurecr.io", "puller", "password2", Secret("canary-of-a-report"), None, NOW)
    return Rotated("acme.azurecr.io", "puller", new, outcomes, left, None if left else "password1")


def test_a_rotation_that_is_finished_says_which_password_works() -> None:
    done = rotated(*(DeviceOutcome(f"edge-{number}", "rotated", changed=True) for number in range(3)))
    assert rotation_text(done).splitlines() == [
        "token puller of acme.azurecr.io: 3 rotated",
        "  password2 is in use, password1 no longer works",
    ]


def test_a_rotation_of_a_deployment_names_no_devices() -> None:
    assert rotation_text(rotated()).splitlines()[0] == "token puller of acme.azurecr.io"


def test_a_rotation_that_continues_names_each_that_is_left_once() -> None:
    half = rotated(
        DeviceOutcome("edge-1", "rotated", changed=True),
        DeviceOutcome("edge-2", "offline", "it gets the new password when it connects", changed=True),
        left=(Left("device 'edge-2'", "it has not taken it"), Left("device 'edge-3'", "it has the old password")),
    )
    assert rotation_text(half).splitlines() == [
        "token puller of acme.azurecr.io: 1 rotated, 1 offline",
        "  device 'edge-2': offline: it gets the new password when it connects",
        "  device 'edge-3': it has the old password",
        "  both passwords keep working; run the same command again when these are done",
    ]
    data = rotation_data(half)
    assert (data["finished"], data["dropped"], len(data["left"])) == (False, None, 2)
    assert "canary" not in json.dumps(data) + rotation_text(half)
