"""The result of a preflight, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manifestgen.cloud.distribution import Platform
from manifestgen.images.preflight import Pull, State
from manifestgen.report.amount import amount
from manifestgen.report.printable import printable

_MARKS = {State.FOUND: "ok", State.FAILED: "xx", State.NOT_ASKED: "--"}


def text(pulls: Sequence[Pull]) -> str:
    """One or two lines for each image, and a summary."""
    return "\n".join([*_lines(pulls), summary(pulls)])


def failures(pulls: Sequence[Pull]) -> list[str]:
    """The lines of the images that could not be pulled."""
    return _lines([pull for pull in pulls if pull.state is State.FAILED])


def _lines(pulls: Sequence[Pull]) -> list[str]:
    width = max((len(pull.image) for pull in pulls), default=0)
    lines: list[str] = []
    for pull in pulls:
        lines.append(f"{_MARKS[pull.state]} {printable(pull.image):<{width}}  {_words(pull)}")
        if pull.fix:
            lines.append(f"   fix: {printable(pull.fix)}")
    return lines


def summary(pulls: Sequence[Pull]) -> str:
    """`3 of 4 images would be pulled, 1 would fail`."""
    counts = {state: sum(pull.state is state for pull in pulls) for state in State}
    parts = [f"{counts[State.FOUND]} of {len(pulls)} image{'' if len(pulls) == 1 else 's'} would be pulled"]
    if counts[State.FAILED]:
        parts.append(f"{counts[State.FAILED]} would fail")
    if counts[State.NOT_ASKED]:
        parts.append(f"{counts[State.NOT_ASKED]} not checked")
    return ", ".join(parts)


def data(pulls: Sequence[Pull], platform: Platform | None) -> dict[str, Any]:
    """As JSON data; sizes are bytes."""
    counts = {state: sum(pull.state is state for pull in pulls) for state in State}
    return {
        "platform": str(platform) if platform else None,
        "images": [_image(pull) for pull in pulls],
        "summary": {
            "found": counts[State.FOUND],
            "failed": counts[State.FAILED],
            "not_asked": counts[State.NOT_ASKED],
        },
    }


def _image(pull: Pull) -> dict[str, Any]:
    remote = pull.remote
    return {
        "image": pull.image,
        "modules": list(pull.modules),
        "state": pull.state.value,
        "trouble": pull.trouble.value if pull.trouble else None,
        "message": pull.words,
        "fix": pull.fix,
        "credential": {"key": pull.entry, "username": pull.username} if pull.entry is not None else None,
        "digest": remote.digest if remote else None,
        "platforms": [str(platform) for platform in remote.platforms] if remote else [],
        "size": {"platform": str(remote.platform) if remote.platform else None, "bytes": remote.size}
        if remote and remote.size is not None
        else None,
    }


def _words(pull: Pull) -> str:
    remote = pull.remote
    if pull.state is not State.FOUND or remote is None:
        return printable(pull.words)
    who = f"as {printable(pull.username)}" if pull.entry is not None else "without a login"
    platforms = ", ".join(map(str, remote.platforms)) or "platform unknown"
    return f"{who}, {remote.digest[:19]}, {platforms}{_size(remote.size, remote.platform, len(remote.platforms))}"


def _size(size: int | None, platform: Platform | None, platforms: int) -> str:
    if size is None:
        return ""
    of = f" for {platform}" if platforms > 1 and platform is not None else ""
    return f", {amount(size)}{of}"
