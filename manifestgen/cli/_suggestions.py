"""Suggestions for "did you mean": never a word that removes or changes more than the typed one.

`--prune` is not suggested for `--dry-run`, nor `deploy` for `destroy`. Such words are suggested only for a typo: one
letter left out, added or wrong, or two letters swapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Commands that change something in the cloud, on a device or in a sandbox. A test asks where each new one belongs.
CHANGING_COMMANDS: Final = frozenset(
    {"apply", "create-token", "credentials", "delete", "deploy", "image", "register", "rollback", "rotate", "run"}
    | {"bundle", "restart", "sandbox", "start", "stop", "tag"}
)
#: Options that remove something, change more or more devices, skip a check or a question, or show a secret.
CHANGING_OPTIONS: Final = frozenset(
    {"--allow-moved-tag", "--create-token", "--deployment", "--devices", "--enable-admin", "--force", "--ignore"}
    | {"--no-pin", "--no-preflight", "--no-test"}
    | {"--no-wait", "--prune", "--rebuild", "--rollback-on-failure", "--secrets", "--tag-devices", "--widen", "--yes"}
)


def nearest(typed: str, known: Iterable[str]) -> str | None:
    """The command or option that was probably meant; None if there is none, or if it would change more.

    Args:
        typed: what was given: a command, or an option with its dashes.
        known: those that exist in this place.
    """
    import difflib

    near = difflib.get_close_matches(typed, list(known), n=5)
    return next((word for word in near if not _changes(word) or _is_typo(typed, word)), None)


def hint(error: click.UsageError, message: str) -> tuple[str, str | None]:
    """The message of a usage error without click's own suggestions, and ours in their place."""
    context = error.ctx
    if context is None:
        return message, None
    if isinstance(error, click.NoSuchOption):
        known = [name for parameter in context.command.params for name in (*parameter.opts, *parameter.secondary_opts)]
        options = [name for name in known if name.startswith("--")]
        return f"no such option: {error.option_name}", nearest(error.option_name, options)
    if isinstance(context.command, click.Group) and message.lower().startswith("no such command "):
        typed = message.split("'")[1] if "'" in message else ""
        return f"no such command: {typed!r}", nearest(typed, context.command.list_commands(context))
    return message, None


def _changes(word: str) -> bool:
    return word in (CHANGING_OPTIONS if word.startswith("-") else CHANGING_COMMANDS)


def _is_typo(typed: str, word: str) -> bool:
    """Whether one letter was left out, added or wrong, or two neighbours were swapped."""
    if typed.startswith("--") and word == f"{typed}s":
        return False  # '--device' for '--devices' is one in place of many, and no slip
    if len(typed) == len(word):
        wrong = [place for place, letter in enumerate(word) if typed[place] != letter]
        swapped = len(wrong) == 2 and wrong[1] == wrong[0] + 1
        return len(wrong) == 1 or (
            swapped and [typed[place] for place in wrong] == [word[place] for place in wrong[::-1]]
        )
    shorter, longer = sorted((typed, word), key=len)
    return len(longer) == len(shorter) + 1 and any(
        longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer))
    )
