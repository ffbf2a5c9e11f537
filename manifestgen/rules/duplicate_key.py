"""Keys that an object has twice."""

from collections.abc import Iterator

from manifestgen.manifest.document import Document
from manifestgen.manifest.pointer import split
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='{"scorer": {…}, "scorer": {…}}',
    good='{"scorer": {…}, "scorer2": {…}}',
)
def duplicate_key(document: Document) -> Iterator[Problem]:
    """An object has the same key twice.

    The last one wins and the earlier one is silently dropped: a module, a route or a variable in it is never
    deployed.

    Rename or remove one of them.
    """
    for twice in document.duplicates:
        line = document.position(twice.first).line
        key = split(twice.pointer)[-1]
        yield Problem(
            twice.pointer,
            f"key {key!r} is already in line {line}; only this one counts",
            "rename one of the two, or remove it",
            at_key=True,
            offset=twice.second,
        )
