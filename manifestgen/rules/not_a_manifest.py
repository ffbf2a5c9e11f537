"""JSON that is not a deployment manifest."""

from collections.abc import Iterator

from manifestgen.manifest.document import Document, Kind
from manifestgen.manifest.manifest import locate
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.HUB,
    other_json=True,
    bad='{"$edgeAgent": {…}}',
    good='{"modulesContent": {"$edgeAgent": {…}, "$edgeHub": {…}}}',
)
def not_a_manifest(document: Document) -> Iterator[Problem]:
    """The file is JSON, but not a deployment manifest.

    A manifest is an object with an object `modulesContent`, which names module twins and what to set in them.

    Write `{"modulesContent": {"$edgeAgent": {…}, "$edgeHub": {…}}}`, or let `manifestgen render` write one.
    """
    if document.error is not None or document.manifest is not None or document.kind is Kind.TEMPLATE:
        return
    found = locate(document.data)
    fix = 'write {"modulesContent": {"$edgeAgent": {…}, "$edgeHub": {…}}}'
    if found is not None:
        yield Problem(found.pointer, f"{found.name!r} is not an object", fix)
    elif isinstance(document.data, dict) and ("$edgeAgent" in document.data or "$edgeHub" in document.data):
        yield Problem("", "'$edgeAgent' is outside 'modulesContent'", "move everything into 'modulesContent'")
    else:
        yield Problem("", "there is no 'modulesContent' object in the file", fix)
