"""The tag that an image gets from the hash of its inputs, and whether its registry has it already.

Equal inputs give equal tags, so an image can be found without a lock file: in a colleague's clone, or in a pipeline.
Such a tag is never pushed over: a device that has it would not pull it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from manifestgen.cloud import Credential, Services
from manifestgen.cloud.distribution import PullError, Trouble
from manifestgen.errors import ManifestgenError
from manifestgen.project.builders import entry_of
from manifestgen.project.sections import Image

_LENGTH = 12
_NOT_REACHED = (Trouble.UNKNOWN_HOST, Trouble.UNREACHABLE)


@dataclass(frozen=True)
class Found:
    """The registry's image of the same inputs.

    Attributes:
        label: tag for a build, which nothing has yet as far as is known.
        image: the image of these inputs, `login-server/repository:tag`; empty if the registry has none.
        digest: of that image.
    """

    label: str
    image: str = ""
    digest: str | None = None


def content_tag(inputs: str) -> str:
    """The tag for these inputs."""
    return inputs[:_LENGTH]


def own_tag(inputs: str) -> str:
    """A tag that no other build of these inputs has: with the time, to the second."""
    return content_tag(inputs) + datetime.now(timezone.utc).strftime("-%Y%m%d%H%M%S")


def target_host(image: Image, services: Services) -> str | None:
    """Login server of the registry that the builder pushes to; None while that is not known."""
    if entry_of(image).context:
        return image.registry
    arm_id = services.builder.registry_id()
    return services.registry.by_id(arm_id).login_server if arm_id is not None else None


def look_up(image: Image, inputs: str, services: Services, report: Callable[[str], None]) -> Found:
    """Ask the registry that the builder pushes to for the image of these inputs.

    A registry that cannot be reached may have it, so the build gets another tag.

    Args:
        image: section of the project file.
        inputs: hash of the image's inputs.
        services: of the project.
        report: is called if the registry cannot be asked.

    Raises:
        PullError: this machine would push the image, and cannot reach the registry.
    """
    label = content_tag(inputs)
    if entry_of(image).numbers:
        return Found(label)
    try:
        host = target_host(image, services)
        if host is None:
            return Found(label)
        reference = f"{host}/{image.name}:{label}"
        digest = digest_of(reference, services)
    except ManifestgenError as error:
        if entry_of(image).pushes and isinstance(error, PullError) and error.trouble in _NOT_REACHED:
            raise
        report(f"could not ask the registry for tag {label}, so the image gets a tag of its own: {error}")
        return Found(own_tag(inputs))
    return Found(label, reference, digest) if digest is not None else Found(label)


def digest_of(image: str, services: Services) -> str | None:
    """The digest of an image, read with the credential that the device will use; None if there is no such image."""
    host = image.partition("/")[0]
    login = services.credentials({host: frozenset()}).get(host)
    credential = Credential(host, login.username, login.password) if login is not None else None
    return services.registry.digest(image, credential)
