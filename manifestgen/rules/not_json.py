"""Text that is not JSON."""

from collections.abc import Iterator

from manifestgen.manifest.document import Document
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.HUB,
    bad='{"modulesContent": {},}',
    good='{"modulesContent": {}}',
)
def not_json(document: Document) -> Iterator[Problem]:
    """The file is not JSON.

    IoT Hub takes strict JSON (RFC 8259): no comments, no trailing commas, no single quotes, no NaN. Brackets
    nested too deeply to read count as well.

    Correct the place that the message names; an editor marks it when the file's type is JSON. Render another
    tool's template first.
    """
    if document.error is not None and not document.blocks:
        yield Problem("", document.error.what, document.error.fix, offset=document.error.offset)
