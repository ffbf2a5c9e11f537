"""Encodings that other tools trip over."""

from collections.abc import Iterator

from manifestgen.manifest.document import Document
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad="UTF-16, or UTF-8 with a byte order mark",
    good="UTF-8",
)
def text_encoding(document: Document) -> Iterator[Problem]:
    """The file begins with a byte order mark or is UTF-16.

    JSON is exchanged as UTF-8 without a byte order mark. Windows tools add the mark, and `>` in Windows
    PowerShell writes UTF-16; other tools reject both.

    Save the file as UTF-8 without a byte order mark.
    """
    if document.encoding == "utf-8-sig":
        yield Problem("", "the file begins with a byte order mark", "save it as UTF-8 without one", offset=0)
    elif document.encoding == "utf-16":
        yield Problem("", "the file is UTF-16", "save it as UTF-8", offset=0)
