"""`RUN pip install …` of a Dockerfile: which packages it names."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

from manifestgen.sandbox.acr_tasks.files import resolve
from manifestgen.sandbox.acr_tasks.source import Entry

_INSTALL: Final = re.compile(r"(?:(?:/\S*/)?python[\d.]*\s+-m\s+)?(?:uv\s+)?pip[\d.]*\s+install\s+(?P<rest>.+)")
# Options of pip that take a value in the next word.
_VALUED: Final = ("-i", "--index-url", "--extra-index-url", "-c", "--constraint", "-t", "--target", "--timeout", "-f")


def requirements(command: str, files: Mapping[str, Entry], folder: str) -> list[str] | None:
    """The packages that a command installs with pip, as lines of a requirements.txt.

    Args:
        command: of RUN, in its shell form.
        files: of the image so far, by their path below `/`.
        folder: the working directory.

    Returns:
        None if the command is another one, or does more than that.
    """
    match = _INSTALL.fullmatch(command.strip())
    if match is None or re.search(r"[$`]", command):
        return None
    lexer = shlex.shlex(match["rest"], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return None
    if any(set(word) <= set(";&|<>()") for word in words):
        return None
    found: list[str] = []
    while words:
        word = words.pop(0)
        if word in ("-r", "--requirement") and words:
            entry = files.get(resolve(files, posixpath.join("/", folder, words.pop(0))))
            if entry is None or entry.content is None:
                return None
            found += b"".join(entry.content.chunks()).decode("utf-8", "replace").splitlines()
        elif word in _VALUED:
            del words[:1]
        elif not word.startswith("-"):
            found.append(word)
    return [line for line in found if line.strip()]


def python_of(name: str, config: Mapping[str, Any]) -> str:
    """The version of Python in a base image, by its variables or its name; empty if neither says."""
    for variable in config.get("Env") or ():
        key, _, value = str(variable).partition("=")
        if key == "PYTHON_VERSION" and (found := re.match(r"\d+\.\d+", value)):
            return found[0]
    named = re.search(r"(?:^|/)python:(\d+\.\d+)", name)
    return named[1] if named else ""
