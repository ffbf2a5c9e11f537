"""Why an engine's command failed, from what it printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from manifestgen.errors import CloudError, DeniedError, FoundError, InputError, ManifestgenError, NotFoundError

_LINES: Final = 20


@dataclass(frozen=True)
class _Cause:
    pattern: re.Pattern[str]
    error: type[ManifestgenError]
    what: str
    fix: str


def _cause(pattern: str, error: type[ManifestgenError], what: str, fix: str) -> _Cause:
    return _Cause(re.compile(pattern, re.IGNORECASE), error, what, fix)


# The first that matches. {program}, {host} and {repository} are replaced.
_CAUSES: Final = (
    _cause(
        r"cannot connect to the docker daemon|is the docker daemon running|cannot connect to podman|"
        r"error during connect|docker\.sock|podman machine",
        InputError,
        "{program} is installed, but its daemon is not running",
        "start it ('sudo systemctl start docker', 'podman machine start'), or choose another one with --engine",
    ),
    _cause(
        r"'buildx' is not a docker command|unknown command:? docker buildx",
        InputError,
        "docker is installed without its plug-in buildx",
        "install docker-buildx-plugin, or choose another one with --engine",
    ),
    _cause(
        r"multi-?platform build is not supported|multiple platforms feature is currently not supported",
        InputError,
        "the builder that docker uses can build for one platform only",
        "run 'docker buildx create --use' once, or build for one platform",
    ),
    _cause(
        r"no space left on device|disk quota exceeded",
        InputError,
        "the disk is full",
        "free disk space ({program} keeps old layers: '{program} system prune' or '{program} prune')",
    ),
    _cause(
        r"exec format error|exec user process caused",
        FoundError,
        "a RUN step cannot run programs of another platform on this machine",
        "install its emulation (qemu-user-static, binfmt-support), or use a Dockerfile without RUN",
    ),
    _cause(
        r"no image found in (?:image index|manifest list) for|no match for platform in manifest|no matching manifest",
        InputError,
        "the base image is not for one of the platforms",
        "name a base image that is for all of image.platforms, or remove a platform",
    ),
    _cause(
        r"pull access denied|initializing source docker://.*(?:\bdenied\b|unauthorized|40[13])",
        DeniedError,
        "an image that the Dockerfile names does not exist, or this login may not pull it",
        "correct image.base, or FROM in the Dockerfile, or log in to its registry with '{program} login'",
    ),
    # containers/image, which buildah and podman push with, says no more than "denied".
    _cause(
        r"insufficient_scope|status ?(?:code)?:? ?403|403 \(?forbidden|\bforbidden\b|authorization failed|"
        r"(?<!permission )\bdenied\b",
        DeniedError,
        "the registry {host} does not let this login push {repository}",
        "give it the right to push (AcrPush, or Container Registry Repository Writer), or log in as someone who has "
        "it: {program} login {host}",
    ),
    _cause(
        r"no basic auth credentials|(?:invalid|incorrect) username|failed to fetch (?:oauth|anonymous) token",
        DeniedError,
        "the registry {host} does not accept the login",
        "log in with '{program} login {host}', or correct the project's registry credentials",
    ),
    # Some answer so, too, if a login is right and may only pull: ACR does.
    _cause(
        r"unauthorized|authentication required|status ?(?:code)?:? ?401",
        DeniedError,
        "the registry {host} does not accept the login, or does not let it push {repository}",
        "log in with '{program} login {host}', or correct the project's registry credentials; that login needs the "
        "right to push (AcrPush, or Container Registry Repository Writer)",
    ),
    _cause(
        r"\bunsupported: |status ?(?:code)?:? ?405|405 \(?method not allowed|read-?only",
        CloudError,
        "the registry {host} takes no images: it is read-only",
        "push to another registry with image.registry, or wait until its maintenance is over",
    ),
    _cause(
        r"status ?(?:code)?:? ?507|quota|storage limit|too ?large: 413|413 \(?request entity",
        CloudError,
        "the registry {host} is full, or takes no layer of this size",
        "delete old images from it, or enlarge it",
    ),
    _cause(
        r"no such host|could not resolve|server misbehaving|name or service not known",
        CloudError,
        "there is no registry {host}: its name is unknown",
        "correct image.registry, and check the network",
    ),
    _cause(
        r"server gave http response to https client|http: server gave",
        CloudError,
        "the registry {host} speaks HTTP, not HTTPS",
        "give it a certificate, or configure {program} to trust it as an insecure registry",
    ),
    _cause(
        r"x509:|certificate signed by unknown authority|tls: ",
        CloudError,
        "the certificate of registry {host} is not trusted",
        "add its certificate authority to this machine, or to {program}'s folder certs.d/{host}",
    ),
    _cause(
        r"status ?(?:code)?:? ?5\d\d|blob upload (?:invalid|unknown)",
        CloudError,
        "the registry {host} failed with an error of its own",
        "run the same command again; if it persists, look into the registry's log: a full disk looks like this from "
        "outside",
    ),
    _cause(
        r"connection refused|no route to host|network is unreachable|i/o timeout|connection reset|timeout exceeded|"
        r"\beof$",
        CloudError,
        "the registry {host} could not be reached",
        "check the network and HTTPS_PROXY, then run the same command again",
    ),
    _cause(
        r"manifest unknown|name unknown|name not known|failed to resolve source metadata|initializing source docker://",
        NotFoundError,
        "an image that the Dockerfile names was not found",
        "correct image.base, or FROM in the Dockerfile",
    ),
)


def explain(program: str, reference: str, output: str) -> ManifestgenError:
    """The error for a command that failed.

    Args:
        program: that was run.
        reference: of the image; empty if the command was not about one.
        output: what it printed.
    """
    host, _, rest = reference.partition("/")
    repository = rest.rpartition(":")[0]
    lines = tuple(line.rstrip() for line in output.splitlines() if line.strip())[-_LINES:]
    for cause in _CAUSES:
        if cause.pattern.search(output):
            fill: Callable[[str], str] = lambda text: text.format(program=program, host=host, repository=repository)  # noqa: E731
            return cause.error(fill(cause.what), where=reference or program, fix=fill(cause.fix), detail=lines)
    last = lines[-1] if lines else "it printed nothing"
    return FoundError(
        f"{program} failed: {last}",
        where=reference or program,
        fix="correct what it says, and run the same command again",
        detail=lines,
    )
