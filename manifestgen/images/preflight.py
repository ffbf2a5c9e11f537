"""Checks that a device can pull the images of a manifest with the manifest's own credentials.

The runtime, not Docker, chooses the credential for an image: the first whose address equals the image's registry host,
ignoring case; see `manifest.credentials.match`. An image without one is pulled anonymously.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from manifestgen.cloud import Credential, Hub
from manifestgen.cloud.distribution import Distribution, Platform, PullError, RemoteImage, Trouble, locate
from manifestgen.errors import FoundError, InputError, ManifestgenError
from manifestgen.images.logins import login_of
from manifestgen.manifest.credentials import RegistryCredential, match
from manifestgen.manifest.image import DOCKER_HUB, ImageReference, is_from_parent, registry_host
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.reading import trim
from manifestgen.project.lock import LockedImage

# One image is a handful of round trips, one after the other, so many images are checked at once.
_WORKERS: Final = 32
_NEAREST: Final = 3

_MISSING: Final = (Trouble.TAG_NOT_FOUND, Trouble.DIGEST_NOT_FOUND)
_LOOPBACK: Final = ("localhost", "127.0.0.1")
_HUB_SPELLINGS: Final = ("index.docker.io", "registry-1.docker.io", "docker.io", "hub.docker.com")
# Problems of the network between this machine and a registry; a device may be in another network.
_NOT_REACHED: Final = frozenset(
    {Trouble.UNKNOWN_HOST, Trouble.UNREACHABLE, Trouble.NOT_TRUSTED, Trouble.NOT_TLS, Trouble.TIMEOUT}
)


class State(str, Enum):
    """Whether a device can pull an image. The values are a stable interface."""

    FOUND = "found"
    FAILED = "failed"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True)
class Pull:
    """Whether a device can pull an image, and why not.

    Attributes:
        image: as the manifest names it.
        modules: that run it.
        entry: key of the registry credential that the runtime would use; None if it would pull without one.
        username: of that credential.
        remote: what the registry has, if it was found.
        trouble: why the pull would fail.
        words: what was found, or what is wrong.
        fix: how to fix it.
    """

    image: str
    modules: tuple[str, ...]
    state: State
    entry: str | None = None
    username: str = ""
    remote: RemoteImage | None = None
    trouble: Trouble | None = None
    words: str = ""
    fix: str = ""


def preflight(
    manifest: Manifest,
    distribution: Distribution,
    platform: Platform | None = None,
    *,
    leave_out: Collection[str] = (),
) -> tuple[Pull, ...]:
    """Check every image of a manifest, in parallel.

    Args:
        manifest: with its registry credentials, placeholders filled in.
        distribution: the registries.
        platform: of the device; None to accept images for any platform.
        leave_out: images that no registry is asked for.

    Returns:
        One for each other image, in the manifest's order. An image that cannot be pulled does not raise.
    """
    users: dict[str, list[Module]] = {}
    for module in manifest.modules():
        if module.image_text is not None and trim(module.image_text) not in leave_out:
            users.setdefault(trim(module.image_text), []).append(module)
    credentials = manifest.credentials()
    used = {match(credentials, image) for image in users}
    idle = [entry for key, entry in credentials.items() if key not in used]
    pool = ThreadPoolExecutor(min(_WORKERS, len(users)) or 1, thread_name_prefix="preflight")
    try:
        checks = [
            pool.submit(_pull, image, modules, credentials, idle, distribution, platform, layered=manifest.layered)
            for image, modules in users.items()
        ]
        return tuple(future.result() for future in checks)
    finally:
        # After Ctrl-C, do not wait for registries that have not answered yet.
        pool.shutdown(wait=False, cancel_futures=True)


def digests(pulls: Sequence[Pull]) -> dict[str, str]:
    """The digests of the images that were found, by image."""
    return {pull.image: pull.remote.digest for pull in pulls if pull.state is State.FOUND and pull.remote is not None}


def locked_images(pulls: Sequence[Pull]) -> dict[str, LockedImage]:
    """The images that were found by a tag, as the lock file has them."""
    return {
        pull.image: LockedImage(digest=pull.remote.digest, platforms=tuple(map(str, pull.remote.platforms)))
        for pull in pulls
        if pull.state is State.FOUND and pull.remote is not None and not locate(pull.image).by_digest
    }


def require_found(pulls: Sequence[Pull], *, unreachable: str = "") -> None:
    """Raise FoundError if any pull would fail, with the first image and the reason.

    Args:
        pulls: what the registries said.
        unreachable: an option of the command line, and what it does, for a registry that only devices can reach.
    """
    failed = [pull for pull in pulls if pull.state is State.FAILED]
    if failed:
        others = f" (and {len(failed) - 1} more of {len(pulls)} images)" if len(failed) > 1 else ""
        options = (unreachable,) if unreachable and failed[0].trouble in _NOT_REACHED else ()
        raise FoundError(f"{failed[0].words}{others}", where=failed[0].image, fix=failed[0].fix, options=options)


def device_platform(reported: Mapping[str, Any]) -> Platform:
    """The platform of a device: `runtime.platform` in the reported properties of its `$edgeAgent`.

    Raises:
        InputError: it has not been reported, because the edgeAgent has not run yet.
    """
    found = Platform.reported(reported)
    if found is not None:
        return found
    raise InputError(
        "the device has not reported its platform yet",
        fix="give --platform, such as linux/arm64, or wait until its edgeAgent has run",
    )


def device_of(hub: Hub, device_id: str) -> tuple[Platform, Manifest]:
    """The platform of a device, and what its `$edgeAgent` has it run now.

    Raises:
        NotFoundError: the hub has no such device.
        InputError: the device has not reported its platform yet.
    """
    hub.device(device_id)  # an unknown device is a clearer error than its unknown edgeAgent
    agent = hub.module_twin(device_id, "$edgeAgent")
    try:
        platform = device_platform(agent.reported if agent is not None else {})
    except InputError as error:
        error.where = f"device {device_id!r}"
        raise
    return platform, Manifest.of_twins({"$edgeAgent": agent.desired if agent is not None else {}})


def _pull(
    image: str,
    modules: Sequence[Module],
    credentials: Mapping[str, RegistryCredential],
    idle: Sequence[RegistryCredential],
    distribution: Distribution,
    platform: Platform | None,
    *,
    layered: bool,
) -> Pull:
    names = tuple(module.name for module in modules)
    key = match(credentials, image)
    entry = credentials[key] if key is not None else None
    pull = Pull(image, names, State.NOT_ASKED, key, entry.username if entry else "")
    unchecked = _not_checked(image, modules)
    if unchecked:
        return _with(pull, State.NOT_ASKED, words=unchecked)
    try:
        ImageReference.parse(image)  # what edgeAgent refuses never comes to a pull
        locate(image)
    except InputError as error:
        return _with(pull, State.FAILED, trouble=Trouble.NO_IMAGE_NAME, words=error.what, fix=error.fix)
    credential = login_of(entry) if entry else None
    try:
        remote = distribution.find(image, credential, platform)
    except PullError as error:
        what, fix = _explained(error, image, entry, idle, layered=layered)
        if error.trouble in _MISSING:
            return _nearest(pull, error, image, credential, distribution)
        return _with(pull, State.FAILED, trouble=error.trouble, words=what, fix=fix)
    if platform is not None and remote.platforms and platform.choose(remote.platforms) is None:
        words, fix = _wrong_platform(remote, platform)
        return _with(pull, State.FAILED, remote=remote, trouble=Trouble.PLATFORM_MISSING, words=words, fix=fix)
    return _with(pull, State.FOUND, remote=remote, words="found")


def _with(
    pull: Pull,
    state: State,
    *,
    words: str,
    fix: str = "",
    trouble: Trouble | None = None,
    remote: RemoteImage | None = None,
) -> Pull:
    return Pull(pull.image, pull.modules, state, pull.entry, pull.username, remote, trouble, words, fix)


def _not_checked(image: str, modules: Sequence[Module]) -> str:
    """Why an image cannot be checked from here, or need not be; empty if it can."""
    if is_from_parent(image):
        return "'$upstream' is the device's parent, which cannot be reached from here"
    policies = [module.get("imagePullPolicy") for module in modules]
    if all(isinstance(policy, str) and trim(policy).lower() == "never" for policy in policies):
        return "imagePullPolicy is never: the device does not pull it"
    return ""


def _explained(
    error: PullError,
    image: str,
    entry: RegistryCredential | None,
    idle: Sequence[RegistryCredential],
    *,
    layered: bool,
) -> tuple[str, str]:
    """The problem and its fix, in terms of the manifest if its credential is wrong."""
    host = registry_host(image)
    if error.trouble is Trouble.LOGIN_REQUIRED and entry is None:
        near = _likely_credential(idle, host)
        if host is None:
            return (
                "the device pulls an image without a '/' anonymously, which the registry does not allow",
                "write the image with its registry, such as docker.io/USER/NAME:TAG",
            )
        if near is not None:
            return (
                f"no registry credential matches {host!r}: {near.key!r} has the address {near.address!r}",
                f"change the address of {near.key!r} to {host!r}",
            )
        if layered:
            return (
                f"{error.what}, and this layer has no registry credential for {host!r}",
                "make sure that the base deployment has one",
            )
        return (
            f"{error.what}, and no registry credential matches {host!r}",
            f"add a registry credential whose address is {host!r}",
        )
    if error.trouble is Trouble.LOGIN_REFUSED and entry is not None:
        fix = "correct its user name and password"
        if _is_acr_token(entry):
            fix += (
                "; if it is a token, its password may have expired, or the token may be disabled: "
                "see 'manifestgen credentials show'"
            )
        return f"{error.what} (registry credential {entry.key!r})", fix
    if error.trouble is Trouble.NOT_ALLOWED and entry is not None:
        return f"{error.what} (registry credential {entry.key!r})", error.fix
    if error.trouble is Trouble.UNREACHABLE and host is not None and host.partition(":")[0] in _LOOPBACK:
        return error.what, f"{error.fix}; on the device, {host!r} means the device itself"
    return error.what, error.fix


def _is_acr_token(entry: RegistryCredential) -> bool:
    """Whether an entry is for an Azure container registry and not its admin user, who has the registry's name."""
    name, _, rest = entry.address.lower().partition(".")
    return rest.startswith("azurecr.") and entry.username.lower() != name


def _likely_credential(idle: Sequence[RegistryCredential], host: str | None) -> RegistryCredential | None:
    """The unused credential that was probably meant for a host."""
    if host is None:
        return None
    found = {_normalized(entry.address): entry for entry in reversed(idle)}
    without_port = {essence.partition(":")[0]: entry for essence, entry in found.items() if essence != DOCKER_HUB}
    return found.get(_normalized(host)) or without_port.get(host.lower().partition(":")[0])


def _normalized(address: str) -> str:
    """An address in lower case, without scheme, path, default port and blanks."""
    text = re.sub(r"^https?://", "", address.strip().lower()).partition("/")[0].removesuffix(":443")
    return DOCKER_HUB if text in _HUB_SPELLINGS else text


def _nearest(
    pull: Pull, error: PullError, image: str, credential: Credential | None, distribution: Distribution
) -> Pull:
    """An image whose tag does not exist, with the closest tags that do."""
    try:
        known = distribution.tags(image, credential)
    except PullError as refused:
        if refused.trouble is Trouble.REPOSITORY_NOT_FOUND:
            return _with(pull, State.FAILED, trouble=refused.trouble, words=refused.what, fix=refused.fix)
        known = ()  # pulling does not need the right to list
    except ManifestgenError:
        known = ()
    if error.trouble is Trouble.DIGEST_NOT_FOUND or not known:
        return _with(pull, State.FAILED, trouble=error.trouble, words=error.what, fix=error.fix)
    import difflib

    near = difflib.get_close_matches(locate(image).reference, known, n=_NEAREST, cutoff=0.5)
    shown = near or sorted(known)[-_NEAREST:]
    words = f"{'closest' if near else 'existing'} tags: {', '.join(map(repr, shown))}"
    fix = f"use an existing tag, such as {near[0]!r}, or push the image" if near else error.fix
    return _with(pull, State.FAILED, trouble=error.trouble, words=f"{error.what}; {words}", fix=fix)


def _wrong_platform(remote: RemoteImage, platform: Platform) -> tuple[str, str]:
    offered = ", ".join(map(str, remote.platforms))
    fix = f"build and push the image for {platform} too"
    if remote.index:
        return f"the image is for {offered}, but the device is {platform}: the pull would fail", fix
    words = (
        f"the image is for {offered}, but the device is {platform}: it would be pulled and fail with "
        "'exec format error'"
    )
    return words, fix
