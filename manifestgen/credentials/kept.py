"""The passwords of tokens that this machine made, in the user's state folder, for their owner only.

Azure tells a token's password once, when it is made, so whoever renders a manifest later must have kept it. Of each
token there is the password in use, and during a rotation the next one:

    STATE/credentials/HOST/TOKEN.json         {"format", "registry", "username", "name", "password", "expiry", "made"}
    STATE/credentials/HOST/TOKEN.next.json    the same

A file is written before its password is made, with `null` for it: a run that is killed in between leaves behind that
this password of the token is nobody's, and may be made anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from manifestgen.errors import InputError
from manifestgen.files import OWNER_ONLY, write_atomic
from manifestgen.secret import Secret

_FORMAT = 1

Which = Literal["current", "next"]


@dataclass(frozen=True)
class Kept:
    """A password of a token.

    Attributes:
        registry: the login server, in lower case.
        username: the token's name.
        name: `password1` or `password2`.
        password: None while it is being made.
        expiry: None if it never expires.
        made: when, in UTC.
    """

    registry: str
    username: str
    name: str
    password: Secret | None
    expiry: datetime | None
    made: datetime

    def expired(self, now: datetime) -> bool:
        """Whether the registry no longer takes it."""
        return self.expiry is not None and self.expiry <= now


def path_of(root: Path, registry: str, username: str, which: Which = "current") -> Path:
    """Where a token's password is kept.

    Args:
        root: the user's state folder, see `manifestgen.device.snapshots.state_folder`.
    """
    ending = ".json" if which == "current" else ".next.json"
    return root / "credentials" / quote(registry.lower(), safe="") / f"{quote(username, safe='')}{ending}"


def read(root: Path, registry: str, username: str, which: Which = "current") -> Kept | None:
    """What is kept of a token; None if nothing is. Its password may be None, see `Kept`.

    Raises:
        InputError: the file cannot be read, or is not what was written.
    """
    path = path_of(root, registry, username, which)
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != _FORMAT:
            raise ValueError("another format")
        password = Secret(data["password"]) if data["password"] is not None else None
        return Kept(
            data["registry"], data["username"], data["name"], password, _time(data["expiry"]), _at(data["made"])
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"the token's password cannot be read: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=str(path), fix="make the file readable, or set MANIFESTGEN_STATE") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        # The parser's own words may show what is in the file.
        fix = "remove the file, then run 'manifestgen credentials rotate'"
        raise InputError("this is no password that manifestgen kept", where=str(path), fix=fix) from None


def latest(root: Path, registry: str, username: str) -> Kept | None:
    """The password that a new manifest should hold: during a rotation the next one. None if none is known."""
    for which in ("next", "current"):
        found = read(root, registry, username, which)
        if found is not None and found.password is not None:
            return found
    return None


def write(root: Path, kept: Kept, which: Which = "current") -> Path:
    """Keep a password, for its owner only.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = path_of(root, kept.registry, kept.username, which)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the token's password cannot be kept: {(error.strerror or str(error)).lower()}",
            where=str(path),
            fix="make the folder writable, or set MANIFESTGEN_STATE to another one",
        ) from error
    data = {
        "format": _FORMAT,
        "registry": kept.registry,
        "username": kept.username,
        "name": kept.name,
        "password": kept.password.reveal() if kept.password is not None else None,
        "expiry": kept.expiry.isoformat() if kept.expiry else None,
        "made": kept.made.isoformat(),
    }
    write_atomic(path, json.dumps(data, indent=2) + "\n", OWNER_ONLY)
    return path


def promote(root: Path, registry: str, username: str) -> Path:
    """The next password becomes the one in use. Done twice, the second time does nothing."""
    upcoming = read(root, registry, username, "next")
    path = path_of(root, registry, username)
    if upcoming is not None:
        write(root, upcoming)
        path_of(root, registry, username, "next").unlink(missing_ok=True)
    return path


def being_made(registry: str, username: str, name: str, now: datetime) -> Kept:
    """What is written before a password is made."""
    return Kept(registry.lower(), username, name, None, None, now)


def made(before: Kept, password: Secret, expiry: datetime | None) -> Kept:
    """What is written once it is."""
    return replace(before, password=password, expiry=expiry)


def _time(text: Any) -> datetime | None:
    return None if text is None else _at(text)


def _at(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
