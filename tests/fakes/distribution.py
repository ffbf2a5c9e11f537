"""A `Distribution` in memory; passes the same contract suite as the real adapter."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from manifestgen.cloud import Credential
from manifestgen.cloud.distribution import (
    ImageContents,
    Layer,
    Location,
    Platform,
    PullError,
    RemoteImage,
    Trouble,
    locate,
)
from manifestgen.secret import Secret


@dataclass
class FakeDistribution:
    """Images by place, and who may log in.

    Attributes:
        images: `host/repository` to tag to image.
        logins: host to user to password; a host that is missing lets everybody read.
        scopes: user to the repositories that it may read; a user that is missing may read all.
        broken: host to the trouble with it.
        described: what images consist of, by image and platform; others have one layer.
        closed: whether it was closed.
        asked: each image that was asked for, with the user who asked; empty for the public.
    """

    images: dict[str, dict[str, RemoteImage]] = field(default_factory=dict)
    logins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    scopes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    broken: Mapping[str, Trouble] = field(default_factory=dict)
    described: dict[tuple[str, str], ImageContents] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def push(self, image: str, *platforms: str, digest: str = "a") -> str:
        """Add an image, for several platforms an index; returns its digest."""
        place = locate(image)
        known = tuple(Platform.parse(platform) for platform in platforms or ("linux/amd64",))
        remote = RemoteImage("sha256:" + digest * 64, known, len(known) > 1, known[0], 1000)
        self.images.setdefault(f"{place.host}/{place.repository}", {})[place.reference] = remote
        return remote.digest

    def find(self, image: str, credential: Credential | None, platform: Platform | None = None) -> RemoteImage:
        place = locate(image)
        with self._lock:
            self.asked.append((image, credential.username if credential else ""))
        tags = self._repository(place, credential)
        found = next((one for one in tags.values() if one.digest == place.reference), tags.get(place.reference))
        if found is None:
            trouble = Trouble.DIGEST_NOT_FOUND if place.by_digest else Trouble.TAG_NOT_FOUND
            raise PullError(trouble, f"there is no tag {place.reference!r}", fix="push the image")
        if platform is None or not found.index:
            return found
        chosen = platform.choose(found.platforms)
        return RemoteImage(found.digest, found.platforms, True, chosen, found.size if chosen else None)

    def contents(self, image: str, credential: Credential | None, platform: Platform) -> ImageContents:
        found = self.find(image, credential, platform)
        if platform.choose(found.platforms) is None:
            raise PullError(Trouble.PLATFORM_MISSING, f"the image is not for {platform}", fix="build it")
        default = ImageContents(found.digest, Layer("sha256:" + "c" * 64, 100), (Layer("sha256:" + "1" * 64, 900),))
        return self.described.get((image, str(platform)), default)

    def tags(self, image: str, credential: Credential | None) -> tuple[str, ...]:
        return tuple(self._repository(locate(image), credential))

    def close(self) -> None:
        self.closed = True

    def _repository(self, place: Location, credential: Credential | None) -> Mapping[str, RemoteImage]:
        if place.host in self.broken:
            raise PullError(self.broken[place.host], "the registry could not be reached: no reason", fix="try again")
        users = self.logins.get(place.host)
        if users is not None:
            if credential is None:
                raise PullError(Trouble.LOGIN_REQUIRED, "the registry wants a login", fix="log in")
            if credential.password != Secret(users.get(credential.username, "")):
                raise PullError(Trouble.LOGIN_REFUSED, "the registry does not accept it", fix="check it")
            allowed = self.scopes.get(credential.username)
            if allowed is not None and place.repository not in allowed:
                raise PullError(Trouble.NOT_ALLOWED, "the registry does not let it read this", fix="give it the right")
        try:
            return self.images[f"{place.host}/{place.repository}"]
        except KeyError:
            what = f"there is no repository {place.repository!r}"
            raise PullError(Trouble.REPOSITORY_NOT_FOUND, what, fix="push the image") from None
