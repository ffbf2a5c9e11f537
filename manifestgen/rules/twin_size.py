"""A twin that will be too large to report."""

from collections.abc import Iterator
from typing import Final

from manifestgen.manifest import twin
from manifestgen.manifest.document import Document
from manifestgen.rules._rule import Effect, Problem, rule

_COMFORTABLE: Final = 24 * 1024


@rule(
    Effect.RISK,
    bad='"createOptions": a text of 24 KB',
    good='"createOptions": what Docker must know; the rest in a file that is mounted',
)
def twin_size(document: Document) -> Iterator[Problem]:
    """`$edgeAgent` is so large that its report may not fit.

    edgeAgent reports every module back with its createOptions and its state, and what it reports may also count
    at most 32,768 bytes. A manifest with more than 24 KB of desired properties can be accepted and then exceed
    that limit; the device then looks stuck.

    Shorten createOptions and env, or use fewer modules.
    """
    manifest = document.manifest
    if manifest is None:
        return
    if document.counts_at_most(_COMFORTABLE):
        return
    whole = manifest.agent.whole
    if whole is None or not isinstance(whole.value, dict):
        return
    if document.shape is not None and twin.counts_at_most(whole.value, _COMFORTABLE, numbers=document.shape.numbers):
        return
    size = twin.size(whole.value)
    if _COMFORTABLE < size <= twin.MAX_DESIRED_BYTES:
        yield Problem(
            whole.pointer,
            f"the desired properties of '$edgeAgent' count {size} bytes; what it reports may exceed "
            f"{twin.MAX_DESIRED_BYTES}",
            "shorten createOptions and env, or use fewer modules",
        )
