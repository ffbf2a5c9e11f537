"""Where a route's messages go: what the runtime makes of the words behind INTO.

Source: Azure/iotedge, Microsoft.Azure.Devices.Edge.Hub.Core, routing/EndpointFactory.cs.
"""

from __future__ import annotations

from typing import Final

from manifestgen.manifest.route.error import RouteSyntaxError, quoted
from manifestgen.manifest.route.tree import ModuleInput, Upstream

UPSTREAM: Final = "$upstream"
ENDPOINT: Final = "BrokeredEndpoint"
ADDRESS: Final = "/modules/MODULE/inputs/INPUT"
_PARTS: Final = 4

# White space as .NET's String.Trim knows it; Python's own strip() would take the separators U+001C to U+001F too.
WHITE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def system_sink(word: str, offset: int) -> Upstream:
    """The sink that a `$name` is.

    Raises:
        RouteSyntaxError: unless the name is `$upstream`, in any case.
    """
    if word.lower() != UPSTREAM:
        raise RouteSyntaxError(
            f"unknown sink {quoted(word)}",
            offset,
            len(word),
            (UPSTREAM,),
            fix=f"write {UPSTREAM}: there is no other system endpoint",
        )
    return Upstream(offset, len(word))


def function_sink(name: str, name_offset: int, argument: str, offset: int) -> ModuleInput:
    """The sink that a `name("address")` is.

    Raises:
        RouteSyntaxError: unless the name is `BrokeredEndpoint`, in any case, and the address has four parts.
    """
    if name.lower() != ENDPOINT.lower():
        raise RouteSyntaxError(
            f"unknown sink {quoted(name)}",
            name_offset,
            len(name),
            (ENDPOINT,),
            fix=f'write {ENDPOINT}("{ADDRESS}") or {UPSTREAM}',
        )
    address = argument[1:-1]
    # Exactly one slash at either end is forgiven.
    trimmed = address.strip(WHITE).removeprefix("/").removesuffix("/")
    parts = trimmed.split("/")
    if len(parts) != _PARTS:
        count = f"{len(parts)} part{'s' * (len(parts) > 1)}" if trimmed else "no parts"
        raise RouteSyntaxError(
            f"the address {quoted(address)} has {count}, not {_PARTS}",
            offset + 1,
            len(address),
            (ADDRESS,),
            fix=f'write "{ADDRESS}"',
        )
    return ModuleInput(parts[1], parts[3], address, offset + 1)
