"""The JSON text in createOptions."""

from collections.abc import Iterator

from manifestgen.manifest.create_options import keys
from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    joins_chunks=True,
    bad='"createOptions": "{\\"Env\\": [}"',
    good='"createOptions": "{\\"Env\\": []}"',
)
def create_options_json(manifest: Manifest) -> Iterator[Problem]:
    """`createOptions` are not a string that holds a JSON object.

    They are JSON inside a JSON string, with escaped quotes. If the string is truncated, encoded twice or quoted
    by a shell, edgeAgent rejects the whole manifest. A blank string is fine, and so are single quotes and
    comments, which edgeAgent accepts.

    Give createOptions as an object to `manifestgen render`, which writes the string.
    """
    for module, options in manifest.options:
        if options.error:
            # In chunks an offset would point into the wrong text.
            single = len(keys(module.settings)) == 1
            yield Problem(
                module.at_setting("createOptions"),
                f"createOptions of module {module.name!r} are not a JSON object: {options.error}",
                "write a string that holds one JSON object",
                start=options.error_offset if single else None,
                length=1,
            )
