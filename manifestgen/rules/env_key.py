"""Variables without a value."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.manifest.reading import key_of
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"env": {"LEVEL": {"Val": "info"}}',
    good='"env": {"LEVEL": {"value": "info"}}',
)
def env_key(manifest: Manifest) -> Iterator[Problem]:
    """An environment variable of a module has no `value`.

    The module gets an empty string, which is seldom intended: the key is misspelled, or the variable is null.

    Write `{"value": "text"}`, with `""` if the variable is meant to be empty.
    """
    for module in manifest.modules():
        for name, entry in module.env.items():
            if type(entry) is dict and "value" in entry:
                continue
            if entry is None or (isinstance(entry, dict) and key_of(entry, "value") is None):
                yield Problem(
                    f"{module.at('env')}/{escape(name)}",
                    f"variable {name!r} of module {module.name!r} has no 'value', so it is empty",
                    'write {"value": "…"}',
                )
