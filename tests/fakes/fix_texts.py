"""Which command of the command line an error belongs to, and which options of a fix text that command does not have."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click
from fakes.commands import commands

# Options of these programs are theirs.
_OTHER_PROGRAM = re.compile(r"'(?:…|az|docker|iotedge|podman|openssl|pip|git) [^']*'|pip install .*")
_QUOTED = re.compile(r"'manifestgen ([^']*)'|with: manifestgen ([^']*)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


# What the user typed, which may be an option of the same command for another target.
_TYPED = re.compile(r"\bdrop --[a-z-]+(?:,? or --[a-z-]+)?")


def options_of(command: click.Command) -> set[str]:
    """Its options, without hidden ones."""
    shown = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return {"--help", *(name for option in shown for name in (*option.opts, *option.secondary_opts))}


ALL = dict(commands())


def command_of(words: Sequence[str]) -> tuple[str, ...]:
    """The path of the command that a command line's words name."""
    path: tuple[str, ...] = ()
    for word in words:
        if (*path, word) not in ALL or word.startswith("-"):
            break
        path = (*path, word)
    given = {word.partition("=")[0] for word in words}
    return next((found for found in ALL if found and found[:-1] == path and found[-1] in given), path)


def unknown_options(fix: str, *paths: tuple[str, ...]) -> list[str]:
    """Options that a fix text names and that do not exist: in a command that it quotes, or else in one of these.

    Args:
        fix: the text; `…` stands for what is not known of it.
        paths: of the commands that may say it.
    """
    wrong = []
    text = _TYPED.sub("", _OTHER_PROGRAM.sub("", fix))
    for match in _QUOTED.finditer(text):
        words = (match[1] or match[2]).split()
        path = command_of(words)
        if not path and words[0] != "…" and not words[0].startswith("-"):
            wrong.append(f"manifestgen {words[0]}")
        wrong += [option for option in _OPTION.findall(" ".join(words)) if option not in _having(path)]
    for option in _OPTION.findall(_QUOTED.sub("", text)):
        wrong += [f"{option} of {' '.join(path)}" for path in paths if option not in _having(path)]
    return wrong


def _having(path: tuple[str, ...]) -> set[str]:
    """The options of a command; where the target decides which variant runs, also those that name a target."""
    whole = path[:-1] if path[-1:] and path[-1].startswith("-") else path
    return options_of(ALL[path]) | _targets(whole)


def _targets(whole: tuple[str, ...]) -> set[str]:
    variants = (found for found in ALL if found and found[:-1] == whole)
    return {found[-1] for found in variants if found[-1].startswith("-")}
