r"""The `.env` of a solution: lines `NAME=VALUE`, read as the tool reads them.

The VS Code extension reads it with dotenv 5 (https://github.com/motdotla/dotenv): of a name that is given twice the
last value counts, quotes at either end are dropped, `\n` in double quotes is a line feed, and `#` begins a comment
only at the start of a line. iotedgedev's reader also ends an unquoted value at ` #`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from manifestgen.files import read_text
from manifestgen.manifest.secrecy import holds_secret
from manifestgen.secret import Secret

_LINE: Final = re.compile(r"(?a)\s*(?:export\s+)?([\w.-]+)\s*=\s*(.*?)\s*")
_MAX_BYTES: Final = 1 << 20


class Variable(Struct, frozen=True):
    """A variable.

    Attributes:
        value: a `Secret` if it looks like one.
        where: `FILE:LINE:COLUMN` of its name.
        replaces: place of an earlier line that gives it too; empty if there is none.
    """

    name: str
    value: Secret | str
    where: str
    replaces: str = ""

    @property
    def secret(self) -> bool:
        """Whether it holds a secret."""
        return isinstance(self.value, Secret)

    @property
    def text(self) -> str:
        """The value itself."""
        return self.value.reveal() if isinstance(self.value, Secret) else self.value


class EnvFile(Struct, frozen=True):
    """A `.env`.

    Attributes:
        name: of the file, for messages; empty if there is none.
        variables: by name.
        ignored: places of lines that are no `NAME=VALUE`, which the tool passes over.
    """

    name: str = ""
    variables: dict[str, Variable] = {}
    ignored: tuple[str, ...] = ()


def read_env(path: Path, *, comments: bool = False) -> EnvFile:
    """Read a `.env`; without one, there are no variables.

    Args:
        path: of the file.
        comments: whether ` #` ends an unquoted value.

    Raises:
        InputError: it is unreadable, or not UTF-8.
    """
    if not path.is_file():
        return EnvFile()
    variables: dict[str, Variable] = {}
    ignored: list[str] = []
    for number, line in enumerate(read_text(path, ".env file", limit=_MAX_BYTES).split("\n"), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            if line.strip() and not line.lstrip().startswith("#"):
                ignored.append(f"{path}:{number}:1")
            continue
        name, where = match[1], f"{path}:{number}:{match.start(1) + 1}"
        text = _value(match[2], comments)
        earlier = variables.pop(name, None)
        value = Secret(text) if holds_secret(name, text) else text
        variables[name] = Variable(name, value, where, earlier.where if earlier is not None else "")
    return EnvFile(str(path), variables, tuple(ignored))


def _value(text: str, comments: bool) -> str:
    if comments and text[:1] not in ("'", '"'):
        text = re.sub(r"(^|\s+)#.*", "", text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text.replace("\\n", "\n")
    return re.sub(r"\A['\"]|['\"]\Z", "", text).strip()
