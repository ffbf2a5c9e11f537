"""Names of modules that no route can name."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

_NUMBER: Final = r"-?(?:\d+|\d*\.?\d+(?:[eE][+-]?\d+)?|0[xX][0-9a-fA-F]+)\Z"
_FIRST: Final = frozenset("-.0123456789")
_KEYWORDS: Final = frozenset({"select", "from", "where", "into", "and", "or", "not"})
_LITERALS: Final = frozenset({"true", "false", "null", "undefined"})


@rule(
    Effect.RISK,
    alone=True,
    bad='"modules": {"42": {…}}',
    good='"modules": {"m42": {…}}',
)
def routeless_name(manifest: Manifest) -> Iterator[Problem]:
    """A module's name is a number or a keyword of the route language.

    The module runs, but no route can name it in `FROM /messages/modules/NAME/…`: the name is read as a number
    or a keyword, and that syntax error makes edgeHub reject all routes.

    Begin the name with a letter and avoid the keywords of the route language.
    """
    for module in manifest.modules():
        name = module.name
        if name.lower() in _KEYWORDS or name in _LITERALS or (name[:1] in _FIRST and re.match(_NUMBER, name)):
            yield Problem(
                module.pointer, f"no route can name module {name!r} as its source", "rename the module", at_key=True
            )
