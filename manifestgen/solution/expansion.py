r"""The placeholders in a text, and their values: `${MODULES.f}`, `${MODULEDIR<../f>}`, `$NAME`, `${NAME}`.

A text is split into pieces. Joined with their values, they are the tool's output; `manifestgen.importing` joins the
same pieces to a template. The tool replaces in the JSON text of the file, line by line; here, it is done value by
value. The result is the same, except for a value with a quotation mark: it breaks the JSON there, and is plain text
here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Final, Literal

from msgspec import Struct

Profile = Literal["vscode", "iotedgedev"]

# As the VS Code extension: greedy, up to the last brace. So of two placeholders in one text neither is found.
_MODULES: Final = re.compile(r"(?s)\$\{MODULES\..+\}|\$\{MODULEDIR<(.+)>(\..+)?\}")
#: A placeholder for a variable, as the VS Code extension finds it; its name is group 1 or 2.
VARIABLE: Final = re.compile(r"(?a)\$(\w+)|\$\{(\w+)\}")
# os.path.expandvars of Python
_POSIX_VARIABLE: Final = re.compile(r"(?a)\$(\w+)|\$\{([^}]*)\}")
_PROTECTED: Final = frozenset({"$edgeHub", "$edgeAgent", "$upstream", "$schema-template"})
#: A placeholder for the image of a module; its key is group 1.
IMAGE: Final = re.compile(r"\$\{(MODULES\.[^{}$]+|MODULEDIR<[^<>]+>[^{}$]*)\}")
#: A placeholder for a folder anywhere in a template.
FOLDER: Final = re.compile(r"\$\{MODULEDIR<([^<>]+)>(?:\.[^{}]+)?\}")


class Kind(Enum):
    """The kind of a piece of text."""

    TEXT = "text"
    IMAGE = "image"
    VARIABLE = "variable"


class Piece(Struct, frozen=True):
    """A part of a text.

    Attributes:
        text: as it is written.
        start: where in the text it begins.
        name: of a variable, or the key of an image, such as `MODULES.f.amd64`.
        value: of the image or variable; None if there is no such image, or the variable has no value.
    """

    kind: Kind
    text: str
    start: int
    name: str = ""
    value: str | None = None

    @property
    def result(self) -> str:
        """The tool's replacement: the value, or the placeholder itself if it has none."""
        return self.text if self.value is None else self.value


Lookup = Callable[[str], str | None]


def pieces(
    text: str, images: Mapping[str, str], lookup: Lookup, profile: Profile = "vscode", *, is_image: bool = True
) -> list[Piece]:
    """The pieces of a text, in order.

    Args:
        text: a value or a key of a template.
        images: image references by key.
        lookup: the value of a variable; None if it has none.
        profile: the tool.
        is_image: whether it is the image of a module: iotedgedev replaces nothing else.
    """
    if "$" not in text:
        return [Piece(Kind.TEXT, text, 0)] if text else []
    found: list[Piece] = []
    for piece in _modules(text, images, profile, is_image):
        if piece.kind is Kind.TEXT or piece.value is None:
            found += _variables(piece.text, piece.start, lookup, profile)
        else:
            found.append(piece)
    return found


def expanded(text: str, images: Mapping[str, str], lookup: Lookup, profile: Profile = "vscode") -> str:
    """The text with everything replaced that has a value."""
    return "".join(piece.result for piece in pieces(text, images, lookup, profile))


def _modules(text: str, images: Mapping[str, str], profile: Profile, is_image: bool) -> Iterator[Piece]:
    end = 0
    for match in _MODULES.finditer(text):
        key = re.sub(r"[${}]", "", match[0])
        if key not in images or (profile == "iotedgedev" and not (is_image and match[0] == text)):
            continue
        if match.start() > end:
            yield Piece(Kind.TEXT, text[end : match.start()], end)
        yield Piece(Kind.IMAGE, match[0], match.start(), key, images[key])
        end = match.end()
    if end < len(text):
        yield Piece(Kind.TEXT, text[end:], end)


def _variables(text: str, offset: int, lookup: Lookup, profile: Profile) -> Iterator[Piece]:
    vscode = profile == "vscode"
    end = 0
    for match in (VARIABLE if vscode else _POSIX_VARIABLE).finditer(text):
        name = match[1] or match[2]
        if vscode and match[0] in _PROTECTED:
            continue
        if match.start() > end:
            yield Piece(Kind.TEXT, text[end : match.start()], offset + end)
        yield Piece(Kind.VARIABLE, match[0], offset + match.start(), name, lookup(name))
        end = match.end()
    if end < len(text):
        yield Piece(Kind.TEXT, text[end:], offset + end)


def as_json_reads(value: str) -> str:
    r"""A variable's value as the tool's JSON has it: `a\"b` is `a"b`, since it is put into the JSON text as it is.

    A value that would break the JSON there is used as plain text.
    """
    try:
        read = json.loads(f'"{value}"')
    except ValueError:
        return value
    return read if isinstance(read, str) else value
