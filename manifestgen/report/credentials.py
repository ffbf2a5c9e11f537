"""Registry credentials and their rotation, as text and as JSON data; never a password."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from manifestgen.credentials.expiry import days_left
from manifestgen.credentials.rotation import DeviceOutcome, Rotated
from manifestgen.credentials.source import Standing
from manifestgen.credentials.standing import describe


def standings_text(standings: Sequence[Standing], now: datetime) -> str:
    """One line for each registry, with the fix if something is wrong."""
    lines = []
    width = max((len(one.host) for one in standings), default=0)
    for one in standings:
        lines.append(f"{one.host:<{width}}  {describe(one, now)}")
        if one.problem:
            lines += [f"{'':<{width}}  {one.problem}", f"{'':<{width}}  fix: {one.fix}"]
    return "\n".join(lines) or "no image is in a registry that needs a credential"


def standings_data(standings: Sequence[Standing], now: datetime) -> dict[str, Any]:
    """`{"registries": [{"host", "source", "username", "found", "expiry", "days_left", "admin", "problem", "fix"}]}`."""
    return {
        "registries": [
            {
                "host": one.host,
                "source": one.source,
                "username": one.username,
                "found": one.found,
                "expiry": one.expiry.isoformat() if one.expiry else None,
                "days_left": days_left(one.expiry, now) if one.expiry else None,
                "admin": one.admin,
                "problem": one.problem,
                "fix": one.fix,
            }
            for one in standings
        ]
    }


def outcome_line(one: DeviceOutcome) -> str:
    """A device's outcome in one line."""
    return f"device {one.device!r}: {one.state}{f': {one.words}' if one.words else ''}"


def rotation_text(rotated: Rotated) -> str:
    """The outcome of each device, and whether the old password was deleted."""
    states = [one.state for one in rotated.devices]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    lines = [f"token {rotated.username} of {rotated.registry}{f': {counts}' if counts else ''}"]
    lines += [f"  {outcome_line(one)}" for one in rotated.devices if one.state not in ("rotated", "unaffected")]
    if rotated.dropped is not None:
        lines.append(f"  {rotated.new.name} is in use, {rotated.dropped} no longer works")
        return "\n".join(lines)
    named = {f"device {one.device!r}" for one in rotated.devices if one.state not in ("rotated", "unaffected")}
    lines += [f"  {one.what}: {one.why}" for one in rotated.left if one.what not in named]
    lines.append("  both passwords keep working; run the same command again when these are done")
    return "\n".join(lines)


def rotation_data(rotated: Rotated) -> dict[str, Any]:
    """`{"registry", "token", "password", "expiry", "dropped", "finished", "devices": […], "left": […]}`."""
    return {
        "registry": rotated.registry,
        "token": rotated.username,
        "password": rotated.new.name,
        "expiry": rotated.new.expiry.isoformat() if rotated.new.expiry else None,
        "dropped": rotated.dropped,
        "finished": rotated.finished,
        "devices": [
            {"device": one.device, "state": one.state, "words": one.words, "changed": one.changed}
            for one in rotated.devices
        ],
        "left": [{"what": one.what, "why": one.why} for one in rotated.left],
    }
