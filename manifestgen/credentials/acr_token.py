"""Creates repository-scoped tokens of a container registry, which may only pull the images of a manifest.

A token is a user name with up to two passwords, `password1` and `password2`, and a scope map with its permissions
(https://learn.microsoft.com/azure/container-registry/container-registry-token-based-authentication). Here, a
token and its scope map have the same name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from manifestgen.cloud import Registry, RegistryInfo, Token, TokenPassword
from manifestgen.credentials import stored
from manifestgen.credentials.source import Settings
from manifestgen.credentials.stored import StoredPassword
from manifestgen.errors import InputError

PASSWORDS = ("password1", "password2")

_LONGEST_NAME = 50
# To pull, and to list tags, so that `preflight` can suggest the nearest tag. Neither gives access to other
# repositories.
_NEEDED, _HELPFUL = "content/read", "metadata/read"
# The service stores expiries with less precision than it is given.
_TOLERANCE = timedelta(seconds=2)
# Clock skew, and the time that a request and its retries take.
_SAME_TIME = timedelta(minutes=15)


@dataclass(frozen=True)
class Created:
    """A token with the required permissions, and its stored password.

    Attributes:
        stored: its password.
        path: of the password's file.
        fresh: whether the password was just created.
        notes: sentences about everything that was created, or that allows more than needed.
    """

    token: Token
    stored: StoredPassword
    path: Path
    fresh: bool
    notes: tuple[str, ...] = ()


def name_of(settings: Settings) -> str:
    """The name of a project's token: `registry.token`, or else derived from the name of the model's module.

    Names have 5 to 50 letters, digits and hyphens.
    """
    chosen: str | None = settings.registry.setting("token")
    if chosen is not None:
        return chosen
    module = re.sub(r"[^A-Za-z0-9-]+", "-", settings.module)
    return f"manifestgen-{module}"[:_LONGEST_NAME].strip("-")


def expiry_from(now: datetime, days: int) -> datetime:
    """When a password created now expires, in whole seconds."""
    return now.replace(microsecond=0) + timedelta(days=days)


def actions(repositories: Iterable[str], *kinds: str) -> frozenset[str]:
    """The actions of a scope map that allows pulling these repositories, such as `repositories/scorer/content/read`."""
    return frozenset(f"repositories/{name}/{kind}" for name in repositories for kind in kinds or (_NEEDED, _HELPFUL))


def create(
    registry: Registry,
    info: RegistryInfo,
    name: str,
    repositories: Collection[str],
    *,
    root: Path,
    days: int,
    widen: bool = False,
    now: datetime | None = None,
) -> Created:
    """Create the missing parts of a token: its scope map, the token itself, a password. Existing parts are reused.

    Args:
        name: of the token and its scope map.
        repositories: that it must be allowed to pull.
        root: the user's state folder, where the password is stored.
        days: until a new password expires.
        widen: add these repositories to an existing scope map, which is never changed otherwise.
        now: the time; None for the current time.

    Raises:
        InputError: the scope map does not allow all of the repositories, manifestgen did not create the token, or the
            token has a password in use that is not stored on this machine.
        DeniedError: the caller may not create tokens; names the role.
    """
    now = now or datetime.now(timezone.utc)
    notes = [*_scope(registry, info, name, repositories, widen=widen)]
    token = registry.token(info, name)
    if token is None:
        token = registry.create_token(info, name, name)
        notes.append(f"created token {name} of {info.login_server}")
    _check(token)
    known, path = stored.latest(root, info.login_server, name), stored.path_of(root, info.login_server, name)
    if known is not None and not known.expired(now) and is_current(token, known):
        return Created(token, known, path, fresh=False, notes=tuple(notes))
    fresh = _first_password(registry, token, root, expiry_from(now, days), now)
    until = f", expires on {fresh.expiry:%Y-%m-%d}" if fresh.expiry else ""
    notes.append(f"created {fresh.name} of token {name}{until}")
    return Created(registry.token(info, name) or token, fresh, path, fresh=True, notes=tuple(notes))


def live(token: Token, now: datetime) -> dict[str, TokenPassword]:
    """The passwords of a token that its registry accepts, by name."""
    return {one.name: one for one in token.passwords if one.expiry is None or one.expiry > now}


def is_current(token: Token, known: StoredPassword) -> bool:
    """Whether a stored password is still the token's, and was not replaced elsewhere."""
    for password in token.passwords:
        if password.name == known.name:
            if password.expiry is None or known.expiry is None:
                return password.expiry == known.expiry
            return abs(password.expiry - known.expiry) <= _TOLERANCE
    return False


def may_be_pending_here(token: Token, begun: StoredPassword) -> bool:
    """Whether a password may be the pending one of a killed run on this machine, which is unused."""
    made = next((one.created for one in token.passwords if one.name == begun.name), None)
    return made is None or abs(made - begun.made) <= _SAME_TIME


def _scope(
    registry: Registry, info: RegistryInfo, name: str, repositories: Collection[str], *, widen: bool
) -> Iterable[str]:
    """Create or widen the scope map if needed; sentences about it."""
    listed = ", ".join(sorted(repositories))
    there = registry.scope_map(info, name)
    if there is None:
        registry.put_scope_map(info, name, actions(repositories))
        yield f"created scope map {name} of {info.login_server}: may pull {listed}"
        return
    missing = sorted(one for one in repositories if not actions([one], _NEEDED) <= there)
    if missing and not widen:
        raise InputError(
            f"scope map {name} does not allow {', '.join(missing)}",
            where=f"registry {info.login_server}",
            fix="let the token pull them with 'manifestgen credentials create-token --widen', or name another one in "
            "registry.token",
        )
    if missing:
        registry.put_scope_map(info, name, there | actions(missing))
        yield f"widened scope map {name} of {info.login_server}: may now also pull {', '.join(missing)}"
    more = sorted({one for one in there - actions(repositories) if not one.endswith(f"/{_HELPFUL}")})
    if more:
        yield f"scope map {name} of {info.login_server} allows more than this manifest needs: {', '.join(more)}"


def _check(token: Token) -> None:
    where = f"token {token.name} of {token.registry.login_server}"
    if not token.enabled:
        raise InputError(
            "the token is disabled",
            where=where,
            fix="enable it in the registry, or name another token in registry.token",
        )
    if token.scope_map != token.name:
        what = f"the token has the scope map {token.scope_map!r}, so manifestgen did not create it"
        raise InputError(what, where=where, fix="name another token in registry.token")


def _first_password(registry: Registry, token: Token, root: Path, expiry: datetime, now: datetime) -> StoredPassword:
    """A password in an unused slot: pending on this machine, free, or expired."""
    host = token.registry.login_server
    begun = stored.read(root, host, token.name)
    used = set(live(token, now))
    if begun is not None and begun.password is None and may_be_pending_here(token, begun):
        used.discard(begun.name)
        names = [begun.name]
    else:
        names = [name for name in PASSWORDS if name not in used]
    if used:
        raise InputError(
            f"the token has a password in use ({', '.join(sorted(used))}) that is not stored on this machine",
            where=f"token {token.name} of {host}",
            fix="give it as ACR_USERNAME_… and ACR_PASSWORD_…, or put a new one on the devices with "
            "'manifestgen credentials rotate'",
        )
    return generate(registry, token, names[0], root, expiry, now, "current")


def generate(
    registry: Registry, token: Token, name: str, root: Path, expiry: datetime, now: datetime, which: stored.Which
) -> StoredPassword:
    """Create a password and store it, in an order that is safe if the run is killed at any point."""
    begun = stored.pending(token.registry.login_server, token.name, name, now)
    stored.write(root, begun, which)
    new = registry.generate_password(token, name, expiry)
    done = stored.completed(begun, new.value, new.expiry)
    stored.write(root, done, which)
    return done
