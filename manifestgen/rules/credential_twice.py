"""Registry credentials with one address."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='"a": {"address": "acme.azurecr.io", …}, "b": {"address": "ACME.azurecr.io", …}',
    good='"a": {"address": "acme.azurecr.io", …}',
)
def credential_twice(manifest: Manifest) -> Iterator[Problem]:
    """Two registry credentials have the same address.

    edgeAgent uses the first that matches, but not in the order of the file: it may use either.

    Keep one of them.
    """
    seen: dict[str, tuple[str, str]] = {}
    for part in manifest.credential_entries():
        address = child(part, "address")
        if address is None or not isinstance(address.value, str):
            continue
        key = address.value.upper()
        if key in seen:
            yield Problem(
                address.pointer,
                f"registry credentials {seen[key][0]!r} and {part.name!r} have the same address {address.value!r}",
                "keep one of them",
                needs=(seen[key][1],),
            )
        else:
            seen[key] = part.name, address.pointer
