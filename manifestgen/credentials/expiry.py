"""How long the passwords of tokens last, as far as this machine knows: from what is kept of them, nothing is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from manifestgen.credentials import kept as keeping
from manifestgen.errors import InputError
from manifestgen.manifest.credentials import RegistryCredential

_BOTH: Final[tuple[keeping.Which, ...]] = ("next", "current")

#: Where a project does not say.
WARN_DAYS = 14


def days_left(expiry: datetime, now: datetime) -> int:
    """Whole days until a password expires; negative once it has."""
    return (expiry - now) // timedelta(days=1)


def words(expiry: datetime, now: datetime) -> str:
    """When a password expires, such as `expires on 2026-09-01, in 12 days`."""
    days = days_left(expiry, now)
    if expiry <= now:
        return f"expired on {expiry:%Y-%m-%d}"
    when = "today" if days < 1 else "in 1 day" if days == 1 else f"in {days} days"
    return f"expires on {expiry:%Y-%m-%d}, {when}"


def warning(username: str, registry: str, expiry: datetime | None, now: datetime, warn_days: int) -> str | None:
    """A sentence if a password expires in fewer days than these."""
    if expiry is None or days_left(expiry, now) >= warn_days:
        return None
    advice = "renew it with 'manifestgen credentials rotate'"
    return f"the password of token {username} for {registry} {words(expiry, now)}; {advice}"


def warnings(
    credentials: Iterable[RegistryCredential], root: Path, now: datetime, warn_days: int = WARN_DAYS
) -> Iterator[str]:
    """Sentences about those of a manifest's registry credentials that do not last, or have been replaced.

    Args:
        credentials: of the manifest.
        root: the user's state folder.
        now: the time.
        warn_days: expiries further away than this are fine.
    """
    for one in credentials:
        try:
            known = [keeping.read(root, one.address, one.username, which) for which in _BOTH]
        except InputError:
            continue  # told by those who need the password
        passwords = [each for each in known if each is not None and each.password is not None]
        same = next((each for each in passwords if each.password == one.password), None)
        if same is not None:
            about = warning(one.username, one.address, same.expiry, now, warn_days)
            if about is not None:
                yield about
        elif passwords and not one.password.reveal().startswith("${"):
            yield (
                f"the password of token {one.username} for {one.address} is not the one that was made last on this "
                "machine, and may have been dropped; render the manifest again"
            )
