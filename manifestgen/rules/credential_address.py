"""Addresses of registry credentials that match no image."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.image import DOCKER_HUB
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import is_blank
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, rule

_SCHEME: Final = r"(?i)https?://"


@rule(
    Effect.RISK,
    bad='"address": "https://acme.azurecr.io/"',
    good='"address": "acme.azurecr.io"',
)
def credential_address(manifest: Manifest) -> Iterator[Problem]:
    """The address of a registry credential cannot match any image.

    edgeAgent compares the whole address with the first part of the image, ignoring only case. With a scheme, a
    trailing slash, a space, port 443 or a path it matches no image, and the image is pulled without logging in.
    Only Docker Hub's address has a scheme: `https://index.docker.io/v1/`.

    Write the host exactly as the images do.
    """
    for part in manifest.credential_entries():
        found = child(part, "address")
        if found is None or not isinstance(found.value, str) or is_blank(found.value):
            continue
        address = found.value
        if address.lower() == DOCKER_HUB:
            continue
        host = (re.sub(_SCHEME, "", address.strip()) if "://" in address else address.strip()).rstrip("/")
        if host.lower() in ("index.docker.io/v1", "index.docker.io", "registry-1.docker.io", "hub.docker.com"):
            fix = f"write '{DOCKER_HUB}'"
        elif address == host and "/" not in host and (not host.endswith(":443") or host == "$upstream:443"):
            continue
        else:
            fix = f"write {host.partition('/')[0].removesuffix(':443')!r}"
        yield Problem(found.pointer, f"address {address!r} of registry credential {part.name!r} matches no image", fix)
