"""Places that a template tool has still to fill in."""

from collections.abc import Iterator

from manifestgen.manifest.document import Document, Kind
from manifestgen.rules._rule import Effect, Problem, rule


@rule(Effect.NOTE, about_placeholders=True)
def placeholder(document: Document) -> Iterator[Problem]:
    """A placeholder is not filled in.

    The file is a template: it has `{{ x }}`, `${X}`, `$X`, `__X__`, `#{X}#` or `<x>` where a value belongs.
    Whatever depends on the value is not checked, and `apply` does not send such a file.

    Render the template and check the result.
    """
    fix = "render the template, then check the result"
    if document.kind is Kind.TEMPLATE and document.error is not None:
        yield Problem("", "this is a template, and not JSON until it is rendered", fix, offset=document.error.offset)
    for pointer in document.placeholders:
        if pointer != "/$schema-template":
            yield Problem(pointer, "a template tool must fill this in", fix)
