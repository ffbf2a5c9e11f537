"""Registry credentials that no image needs."""

from collections.abc import Iterator

from manifestgen.manifest.image import DOCKER_HUB
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import is_blank, trim
from manifestgen.manifest.section import child
from manifestgen.rules._operands import image_hosts, is_malformed
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    layers=False,
    bad='"address": "docker.io"',
    good='"address": "https://index.docker.io/v1/"',
)
def credential_unused(manifest: Manifest) -> Iterator[Problem]:
    """A registry credential matches no image.

    Either an image names its registry differently and is pulled without logging in, or the device stores a
    password that it does not need. For `user/image` on Docker Hub, the address must be
    `https://index.docker.io/v1/`, not `docker.io`.

    Write the address as the images name the host, or remove the entry.
    """
    entries = list(manifest.credential_entries())
    if not entries or _hides_an_image(manifest):
        return
    hosts = {module.image.host.upper() for module in manifest.modules() if module.image and module.image.host}
    # Images that edgeAgent or Docker rejects name a registry all the same.
    hosts |= {_first(module.image_text or "").upper() for module in manifest.modules()}
    for part in entries:
        found = child(part, "address")
        if found is None or not isinstance(found.value, str) or found.value.upper() in hosts:
            continue
        if (
            is_blank(found.value)
            or "/" in found.value
            or found.value != found.value.strip()
            or found.value.endswith(":443")
        ):
            # credential-shape and credential-address say so, and why.
            continue
        if found.value.lower() in ("docker.io", "index.docker.io") and DOCKER_HUB.upper() in hosts:
            fix = f"write '{DOCKER_HUB}'"
        else:
            fix = "write the host as the images name it, or remove the entry"
        yield Problem(
            found.pointer,
            f"registry credential {part.name!r} for {found.value!r} matches no image",
            fix,
            needs=image_hosts(manifest),
        )


def _hides_an_image(manifest: Manifest) -> bool:
    """Whether an image cannot be read, which other rules say: it may be the one that needs the credential."""
    if any(is_blank(module.image_text or "") for module in manifest.modules()):
        return True
    sections = ("modules", "systemModules")
    if any(is_malformed(manifest, name) for name in sections):
        return True
    return any(not isinstance(part.value, dict) for name in sections for part in manifest.agent.children(name))


def _first(image: str) -> str:
    return trim(image.partition("://")[2] or image).partition("/")[0]
