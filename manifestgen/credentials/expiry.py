"""When passwords expire, in words."""

from __future__ import annotations

from datetime import datetime, timedelta


def days_left(expiry: datetime, now: datetime) -> int:
    """Whole days until a password expires; negative once it has."""
    return (expiry - now) // timedelta(days=1)


def until(expiry: datetime, now: datetime) -> str:
    """When a password expires, such as `expires on 2026-09-01, in 12 days`."""
    days = days_left(expiry, now)
    if expiry <= now:
        return f"expired on {expiry:%Y-%m-%d}"
    when = "today" if days < 1 else "in 1 day" if days == 1 else f"in {days} days"
    return f"expires on {expiry:%Y-%m-%d}, {when}"


def is_near(expiry: datetime | None, now: datetime, warn_days: int) -> bool:
    """Whether a password expires in fewer whole days than these, or has expired."""
    return expiry is not None and days_left(expiry, now) < warn_days


def warning(subject: str, host: str, expiry: datetime, renewal: str, now: datetime) -> str:
    """A sentence about a password that expires soon.

    Args:
        subject: what expires, such as `the password of token manifestgen-scorer`.
        host: of the registry that it is for.
        expiry: of the password.
        renewal: how to renew it.
        now: the time.
    """
    return f"{subject}, for {host}, {until(expiry, now)}; {renewal}"
