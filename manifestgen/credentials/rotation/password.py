"""Creates the new password of a rotation in the unused slot, stores it before use, and tests it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from manifestgen.cloud import Credential, Registry, Token
from manifestgen.credentials import stored
from manifestgen.credentials.acr_token import PASSWORDS, generate, is_current, live, may_be_pending_here
from manifestgen.credentials.stored import StoredPassword
from manifestgen.errors import DeniedError, InputError

# All front ends of a registry accept a new password only after some seconds.
_PULL_PAUSE = 3.0
_PULL_TIME = 90.0


def other(name: str) -> str:
    """The name of a token's other password."""
    return PASSWORDS[1 - PASSWORDS.index(name)]


def unfinished(token: Token, root: Path, now: datetime) -> StoredPassword | None:
    """The new password of a rotation that was interrupted, if the rotation can resume with it.

    Raises:
        InputError: that password of the token was replaced elsewhere in the meantime.
    """
    host = token.registry.login_server
    begun = stored.read(root, host, token.name, "next")
    if begun is None or begun.password is None:
        return None
    if begun == stored.read(root, host, token.name):
        # The last rotation had finished except for the removal of this file.
        stored.promote(root, host, token.name)
        return None
    if begun.name not in {one.name for one in token.passwords}:
        return None
    if not is_current(token, begun):
        raise _replaced_elsewhere(token, begun, root)
    return None if begun.expired(now) else begun


def _replaced_elsewhere(token: Token, begun: StoredPassword, root: Path) -> InputError:
    host = token.registry.login_server
    path = stored.path_of(root, host, token.name, "next")
    return InputError(
        f"{begun.name} of the token was replaced elsewhere after the rotation began",
        where=f"token {token.name} of {host}",
        fix=f"make sure that nothing else rotates it, remove {path}, then run the same command again",
    )


def choose(token: Token, root: Path, in_use: str | None, now: datetime) -> str:
    """Which of a token's two passwords to replace: one that nothing uses.

    Args:
        token: with its passwords.
        root: the user's state folder.
        in_use: the password that devices have, if the caller knows it.
        now: the time.

    Raises:
        InputError: both are valid and it is unknown which one devices have, or the token is also rotated elsewhere.
    """
    host = token.registry.login_server
    begun = stored.read(root, host, token.name, "next")
    if begun is not None:
        # It was pending when the run was killed, so no device has it; or it has expired.
        if begun.password is None and not may_be_pending_here(token, begun):
            raise _replaced_elsewhere(token, begun, root)
        return begun.name
    alive = set(live(token, now))
    if in_use is not None:
        if in_use not in alive:
            has = f"it has {' and '.join(sorted(alive))}" if alive else "none of its passwords works"
            raise InputError(f"token {token.name} has no {in_use}; {has}", where="--in-use", fix="drop --in-use")
        return other(in_use)
    if len(alive) == len(PASSWORDS):
        known = stored.read(root, host, token.name)
        hint = f"; {known.name} is stored on this machine" if known is not None and is_current(token, known) else ""
        raise InputError(
            f"both passwords of the token work, and it is not known which of them devices use{hint}",
            where=f"token {token.name} of {host}",
            fix="name it with --in-use password1 or --in-use password2; the other one is replaced",
        )
    return other(alive.pop()) if alive else PASSWORDS[0]


def make(registry: Registry, token: Token, name: str, root: Path, expiry: datetime, now: datetime) -> StoredPassword:
    """Create the new password and store it as the next one."""
    return generate(registry, token, name, root, expiry, now, "next")


def verify_pull(
    registry: Registry,
    credential: Credential,
    image: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Request an image from the registry with the new password until it is accepted.

    Raises:
        DeniedError: it still does not after a minute and a half; no device has been changed.
    """
    deadline = clock() + _PULL_TIME
    while True:
        try:
            registry.digest(image, credential)
        except DeniedError as error:
            if clock() >= deadline:
                raise DeniedError(
                    f"the new password of token {credential.username} does not pull {image}: {error.what}",
                    where=error.where,
                    fix="let the token pull this repository with 'manifestgen credentials create-token --widen', then "
                    "run the same command again; no device was changed",
                ) from error
            sleep(_PULL_PAUSE)
        else:
            return
