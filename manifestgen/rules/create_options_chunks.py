"""createOptions in chunks."""

from collections.abc import Iterator

from manifestgen.manifest import create_options
from manifestgen.manifest.create_options import MAX_CHUNKS, ChunkError
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    pieces=False,
    bad='"createOptions": "…", "createOptions02": "…"',
    good='"createOptions": "…", "createOptions01": "…"',
)
def create_options_chunks(manifest: Manifest) -> Iterator[Problem]:
    """The chunks of createOptions are not in sequence.

    Long createOptions are split into `createOptions`, `createOptions01`, `createOptions02`, … If there is a
    gap, if the first chunk is missing, or if any other key contains the word `createOptions`, edgeAgent rejects
    the whole manifest. It reads at most 100 chunks.

    Number the chunks without a gap; `manifestgen render` does this for you.
    """
    for module in manifest.modules():
        if len(module.settings) < 2 or (len(module.settings) == 2 and "createOptions" in module.settings):
            continue
        try:
            module.create_options()
        except ChunkError as error:
            yield Problem(
                f"{module.at('settings')}/{escape(error.key)}",
                f"{error.what} (module {module.name!r})",
                error.fix,
                at_key=True,
            )
            continue
        chunks = create_options.keys(module.settings)
        if len(chunks) > MAX_CHUNKS:
            yield Problem(
                f"{module.at('settings')}/{escape(chunks[MAX_CHUNKS])}",
                f"createOptions of module {module.name!r} have {len(chunks)} chunks; edgeAgent ignores all after "
                f"{MAX_CHUNKS}",
                "use chunks of up to 4096 bytes",
                at_key=True,
            )
