"""Why a run of ACR Tasks failed, by the end of its log: the service's own error says only that it did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from manifestgen.azure.acr_tasks_arm import LOCAL, Run

_LOG: Final = "correct what the build log names, and run the same command again"
_WRITER: Final = "give the identity the role 'Container Registry Repository Writer' on the registry"
# Words in a log, and what they mean; the first that is found counts.
_CAUSES: Final = (
    (
        r"is not allowed access|aka\.ms/acr/firewall",
        "the registry's firewall rejects ACR's shared agents",
        f"set image.agent_pool to an agent pool in the registry's network, or {LOCAL}",
    ),
    (
        r"storage limit|maximum storage|storage quota",
        "the registry is full",
        "delete images that no device needs, or move the registry to a tier with more storage",
    ),
    (
        r"requires BuildKit",
        "the Dockerfile uses a feature that ACR's builder does not have",
        f"write it without that feature, or {LOCAL}",
    ),
    (
        r"no matching manifest for|does not match the specified platform",
        "the base image is not for this platform",
        "choose another image.base, or leave the platform out of image.platforms",
    ),
    (
        r"manifest unknown|pull access denied|no such host|failed to parse image name",
        "the base image cannot be pulled",
        "check image.base, and copy a private base image into this registry",
    ),
    (
        r"toomanyrequests|pull rate limit",
        "the base image's registry limits pulls",
        "copy the base image into this registry",
    ),
    (
        r"failed to download context",
        "ACR could not read the uploaded build context",
        "run the same command again",
    ),
)
_DENIED: Final = r"unauthorized: authentication required|denied: requested access|insufficient_scope"


@dataclass(frozen=True)
class Failure:
    """Why a run failed, and what to do."""

    what: str
    fix: str


def explain(run: Run, log: str, *, by_repository: bool, timeout: int) -> Failure:
    """Explain a run that is over and has not succeeded.

    Args:
        run: the run.
        log: the end of its log.
        by_repository: whether the registry's roles are for repositories.
        timeout: of the run, in seconds.
    """
    where = f"run {run.id} for {run.platform}"
    if run.status == "Canceled":
        return Failure(f"{where} was cancelled", "run the same command again to build anew")
    if run.status == "Timeout":
        return Failure(f"{where} took longer than {timeout // 60} min", f"make the build shorter, or {LOCAL}")
    for pattern, what, fix in _CAUSES:
        if re.search(pattern, log, re.IGNORECASE):
            return Failure(f"{where}: {what}", fix)
    if re.search(_DENIED, log):
        if by_repository:
            return Failure(f"{where}: the identity may not pull from or push to the repository", _WRITER)
        return Failure(
            f"{where}: a registry requires a login",
            "check image.base, and copy a private base image into this registry",
        )
    if run.status == "Error":
        said = f": {run.error}" if run.error else ""
        return Failure(f"{where} failed within ACR{said}", f"run the same command again; if it persists, {LOCAL}")
    return Failure(f"{where}: {_last_words(log) or run.error or 'no reason given'}", _LOG)


def _last_words(log: str) -> str:
    """The last line that says something: ACR adds some that say only that a step failed."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if not re.search(r"^Run ID: |failed to run step ID|^\d{4}/\d\d/\d\d ", line)]
    return telling[-1][:200].rstrip(".") if telling else ""
