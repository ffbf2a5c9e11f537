"""The passwords of tokens that were created on this machine, in the user's state folder, readable by their owner only.

Azure shows a token's password only once, when it is created, so it must be stored for manifests that are rendered
later. Each token has the password in use and, during a rotation, the next one:

    STATE/credentials/HOST/TOKEN.json         {"format", "registry", "username", "name", "password", "expiry", "made"}
    STATE/credentials/HOST/TOKEN.next.json    the same

A file is written before its password is created, with `null` in its place. If the run is killed in between, the file
shows that this password of the token is unused, so it can safely be created again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from manifestgen.errors import InputError, os_reason
from manifestgen.files import OWNER_ONLY, refuse_newer, write_atomic
from manifestgen.secret import Secret

_FORMAT = 1

Which = Literal["current", "next"]


@dataclass(frozen=True)
class StoredPassword:
    """A password of a token.

    Attributes:
        registry: the login server, in lower case.
        username: the token's name.
        name: `password1` or `password2`.
        password: None while it is pending: about to be created.
        expiry: None if it never expires.
        made: creation time, in UTC.
    """

    registry: str
    username: str
    name: str
    password: Secret | None
    expiry: datetime | None
    made: datetime

    def expired(self, now: datetime) -> bool:
        """Whether the registry no longer accepts it."""
        return self.expiry is not None and self.expiry <= now


def path_of(root: Path, registry: str, username: str, which: Which = "current") -> Path:
    """The file of a token's password.

    Args:
        root: the user's state folder, see `manifestgen.state.state_folder`.
    """
    ending = ".json" if which == "current" else ".next.json"
    return root / "credentials" / quote(registry.lower(), safe="") / f"{quote(username, safe='')}{ending}"


def read(root: Path, registry: str, username: str, which: Which = "current") -> StoredPassword | None:
    """The stored password of a token; None if there is none. It may be pending, see `StoredPassword`.

    Raises:
        InputError: the file cannot be read, is invalid, or was written by a newer version.
    """
    path = path_of(root, registry, username, which)
    try:
        data = json.loads(path.read_bytes())
        refuse_newer(data["format"], _FORMAT, path)
        if data["format"] != _FORMAT:
            raise ValueError("another format")
        password = Secret(data["password"]) if data["password"] is not None else None
        return StoredPassword(
            data["registry"], data["username"], data["name"], password, _time(data["expiry"]), _at(data["made"])
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"the token's password cannot be read: {os_reason(error)}"
        raise InputError(what, where=str(path), fix="make the file readable, or set MANIFESTGEN_STATE") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        # The parser's message may quote the file.
        fix = "remove the file, then run 'manifestgen credentials rotate'"
        raise InputError("not a password file that manifestgen wrote", where=str(path), fix=fix) from None


def latest(root: Path, registry: str, username: str) -> StoredPassword | None:
    """The password for a new manifest: during a rotation the next one. None if none is stored."""
    for which in ("next", "current"):
        found = read(root, registry, username, which)
        if found is not None and found.password is not None:
            return found
    return None


def write(root: Path, stored: StoredPassword, which: Which = "current") -> Path:
    """Store a password, readable by its owner only.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = path_of(root, stored.registry, stored.username, which)
    try:
        root.mkdir(parents=True, exist_ok=True)
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the token's password cannot be stored: {os_reason(error)}",
            where=str(path),
            fix="make the folder writable, or set MANIFESTGEN_STATE to another one",
        ) from error
    data = {
        "format": _FORMAT,
        "registry": stored.registry,
        "username": stored.username,
        "name": stored.name,
        "password": stored.password.reveal() if stored.password is not None else None,
        "expiry": stored.expiry.isoformat() if stored.expiry else None,
        "made": stored.made.isoformat(),
    }
    write_atomic(path, json.dumps(data, indent=2) + "\n", OWNER_ONLY)
    return path


def promote(root: Path, registry: str, username: str) -> Path:
    """Make the next password the one in use. A second call does nothing."""
    upcoming = read(root, registry, username, "next")
    path = path_of(root, registry, username)
    if upcoming is not None:
        write(root, upcoming)
        path_of(root, registry, username, "next").unlink(missing_ok=True)
    return path


def pending(registry: str, username: str, name: str, now: datetime) -> StoredPassword:
    """The record that is stored before a password is created."""
    return StoredPassword(registry.lower(), username, name, None, None, now)


def completed(before: StoredPassword, password: Secret, expiry: datetime | None) -> StoredPassword:
    """The record that is stored once it is created."""
    return replace(before, password=password, expiry=expiry)


def _time(text: Any) -> datetime | None:
    return None if text is None else _at(text)


def _at(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
