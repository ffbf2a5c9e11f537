"""Text that is not JSON."""

from collections.abc import Iterator

from manifestgen.manifest.document import Document, Kind
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(Effect.REFUSED, side=Side.HUB)
def not_json(document: Document) -> Iterator[Problem]:
    """The file is not JSON.

    IoT Hub takes JSON (RFC 8259) and nothing near it: no comments, no comma after the last item, no single
    quotes, no NaN. Numbers of brackets beyond what anybody could read count as well.

    Put the place right that the message names; editors mark it when the file's type is JSON. A template of
    another tool has to be rendered first.
    """
    if document.error is not None and document.kind is not Kind.TEMPLATE:
        yield Problem("", document.error.what, document.error.fix, offset=document.error.offset)
