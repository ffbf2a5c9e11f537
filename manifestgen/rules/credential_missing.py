"""Private images without a registry credential."""

from collections.abc import Iterator

from manifestgen.manifest.image import is_private
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import as_text, is_blank
from manifestgen.manifest.section import child
from manifestgen.rules._operands import addresses, is_malformed
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    layers=False,
    bad='"image": "acme.azurecr.io/scorer:1", "registryCredentials": {}',
    good='"image": "acme.azurecr.io/scorer:1", "registryCredentials": {"acme": {"address": "acme.azurecr.io", …}}',
)
def credential_missing(manifest: Manifest) -> Iterator[Problem]:
    """An image comes from a private registry, and no credential matches it.

    The device pulls it without logging in, unless it has its own credential. The registry answers
    "unauthorized" or "not found".

    Add a registry credential whose address is exactly the image's host.
    """
    known = _addresses(manifest)
    if known is None:
        return
    for module in manifest.modules():
        host = module.image.host if module.image else None
        if host is not None and is_private(host) and host.upper() not in known:
            yield Problem(
                module.at_setting("image"),
                f"no registry credential for {host!r}, from which module {module.name!r} is pulled",
                f"add an entry to registryCredentials with the address {host!r}",
                start=(module.image_text or "").find(host),
                length=len(host) + 1,
                needs=addresses(manifest),
                part=True,
            )


def _addresses(manifest: Manifest) -> set[str] | None:
    """The addresses of all credentials, in capitals; None if one cannot be read: it may be the one that is needed."""
    if is_malformed(manifest, "runtime", "settings", "registryCredentials"):
        return None
    found = set()
    for part in manifest.credential_entries():
        address = child(part, "address")
        text = None if address is None else as_text(address.value)
        if text is None or is_blank(text):
            return None
        found.add(text.upper())
    return found
