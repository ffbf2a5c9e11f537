"""A client for container registries; implements `manifestgen.cloud.distribution.Distribution`.

It sends the same requests as a device's container engine (https://github.com/opencontainers/distribution-spec). We do
not use azure-containerregistry: it accepts Entra ID tokens but no user name and password, and fails on registries with
a Basic challenge.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin

from manifestgen.azure.patience import Patience
from manifestgen.azure.registry_http import Http, Response
from manifestgen.azure.registry_login import Login
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
from manifestgen.errors import CloudError, DeniedError

#: For one registry. A pull is worth fewer seconds than a change; no attempt is repeated without a connection.
PATIENCE: Final = Patience(connect=10.0, answer=20.0, total=30.0, unreachable=0.0, longest=8.0)

#: For what a registry need not tell.
HURRIED: Final = Patience(connect=3.0, answer=5.0, total=5.0, unreachable=0.0, longest=2.0)

_INDEXES: Final = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_MANIFESTS: Final = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)
# If the stored type is not among them, a registry reports the manifest as missing.
_ACCEPT: Final = {"Accept": ", ".join(sorted(_INDEXES | _MANIFESTS))}
_LIMIT: Final = 4 << 20  # the size from which the specification lets a registry reject a manifest
_TAG_PAGES: Final = 10
_NEXT: Final = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ImageRegistries:
    """A thread-safe client for all registries, which logs in once per registry and credential.

    Args:
        patience: timeouts and retries for each registry.
        environ: environment variables: HTTPS_PROXY, NO_PROXY and those that name trusted certificates.

    Raises:
        InputError: a variable names certificates that cannot be read.
    """

    def __init__(self, patience: Patience | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._http = Http(patience or PATIENCE, environ)
        self._logins: dict[tuple[str, Credential | None], Login] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def find(self, image: str, credential: Credential | None, platform: Platform | None = None) -> RemoteImage:
        """See `Distribution.find`."""
        place = locate(image)
        login = self._login(place, credential)
        response = self._manifest(place, login, place.reference)
        digest = _digest_of(response, place)
        data = _object(response, place)
        if not _is_index(response, data):
            return self._single(place, login, digest, data)
        offered = _offered(data)
        names = tuple(dict.fromkeys(name for name, _ in offered if name is not None))
        if not names and offered:
            # An index need not name the platforms of its entries; the configuration of the first entry does.
            part = _object(self._manifest(place, login, offered[0][1]), place)
            found = self._single(place, login, digest, part)
            return RemoteImage(digest, found.platforms, True, found.platform, found.size)
        chosen = platform.choose(names) if platform is not None else next(iter(names), None)
        if chosen is None:
            return RemoteImage(digest, names, index=True)
        child = next(child for name, child in offered if name == chosen)
        part = _object(self._manifest(place, login, child), place)
        return RemoteImage(digest, names, True, chosen, _size(part))

    def contents(self, image: str, credential: Credential | None, platform: Platform) -> ImageContents:
        """See `Distribution.contents`."""
        place = locate(image)
        login = self._login(place, credential)
        response = self._manifest(place, login, place.reference)
        data = _object(response, place)
        if _is_index(response, data):
            offered = {name: child for name, child in _offered(data) if name is not None}
            chosen = platform.choose(tuple(offered))
            if chosen is None:
                names = ", ".join(map(str, offered)) or "none that it names"
                what, fix = f"the image is for {names}, not {platform}", f"build and push the image for {platform} too"
                raise PullError(Trouble.PLATFORM_MISSING, what, where=place.host, fix=fix)
            place = Location(place.host, place.repository, offered[chosen])
            response = self._manifest(place, login, place.reference)
            data = _object(response, place)
        digest = _digest_of(response, place)
        described = self._config(place, login, data)
        inner = described.get("config")
        config = inner if isinstance(inner, dict) else {}
        variables = config.get("Env")
        labels = config.get("Labels")
        layers = data.get("layers")
        return ImageContents(
            digest,
            _layer(data.get("config")) or Layer("", 0),
            tuple(filter(None, map(_layer, layers if isinstance(layers, list) else []))),
            dict(str(one).partition("=")[::2] for one in variables) if isinstance(variables, list) else {},
            {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
        )

    def tags(self, image: str, credential: Credential | None) -> tuple[str, ...]:
        """See `Distribution.tags`."""
        place = locate(image)
        login = self._login(place, credential)
        url = f"{login.base()}/v2/{place.repository}/tags/list?n=1000"
        found: list[str] = []
        for _ in range(_TAG_PAGES):
            response = self._get(url, place, login, {})
            if not response.ok:
                raise _missing(response, place) if response.status == 404 else _unexpected(response, place)
            tags = _object(response, place).get("tags")
            found += [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
            more = _NEXT.search(response.headers.get("Link", ""))
            target = urljoin(url, more[1]) if more else ""
            if not target.startswith(f"{login.base()}/"):
                break
            url = target
        return tuple(found)

    def digest(self, image: str, credential: Credential | None) -> str | None:
        """The digest `sha256:…` of an image (for several platforms, of its index), without a pull.

        Returns:
            None if the registry does not have the image.

        Raises:
            InputError: the image reference is not valid.
            DeniedError: the registry rejects the credential, or the user may not read this repository.
            CloudError: the registry did not respond, or not as a registry does.
        """
        place = locate(image)
        try:
            response = self._manifest(place, self._login(place, credential), place.reference, method="HEAD")
        except PullError as error:
            if error.trouble in (Trouble.REPOSITORY_NOT_FOUND, Trouble.TAG_NOT_FOUND, Trouble.DIGEST_NOT_FOUND):
                return None
            if error.trouble in (Trouble.LOGIN_REFUSED, Trouble.LOGIN_REQUIRED, Trouble.NOT_ALLOWED):
                raise DeniedError(error.what, where=error.where, fix=error.fix) from error
            raise
        found = response.headers.get("Docker-Content-Digest")
        if not found:
            raise CloudError(
                f"the registry returned status {response.status} without a digest",
                where=place.host,
                fix="try again; if it keeps failing, check the registry's status",
            )
        return found

    def _login(self, place: Location, credential: Credential | None) -> Login:
        with self._lock:
            key = (place.host, credential)
            if key not in self._logins:
                self._logins[key] = Login(self._http, place.host, credential)
            return self._logins[key]

    def _single(self, place: Location, login: Login, digest: str, data: Mapping[str, Any]) -> RemoteImage:
        """An image for one platform; only its configuration names the platform."""
        platform = _platform(self._config(place, login, data))
        return RemoteImage(digest, (platform,) if platform else (), False, platform, _size(data))

    def _config(self, place: Location, login: Login, data: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that a manifest names."""
        config = data.get("config")
        blob = config.get("digest") if isinstance(config, dict) else None
        if not isinstance(blob, str) or not _DIGEST.fullmatch(blob):
            # Something that a device cannot run, such as a Helm chart.
            raise PullError(
                Trouble.FAILING,
                f"the content of {place.repository!r} is not a container image",
                where=place.host,
                fix="name an image that 'docker pull' accepts",
            )
        url = f"{login.base()}/v2/{place.repository}/blobs/{blob}"
        response = self._get(url, place, login, {})
        if not response.ok:
            raise _unexpected(response, place)
        return _object(response, place)

    def _manifest(self, place: Location, login: Login, reference: str, *, method: str = "GET") -> Response:
        url = f"{login.base()}/v2/{place.repository}/manifests/{reference}"
        response = self._get(url, place, login, _ACCEPT, method=method)
        if response.status == 404:
            raise _missing(response, place)
        if not response.ok:
            raise _unexpected(response, place)
        return response

    def _get(
        self, url: str, place: Location, login: Login, headers: Mapping[str, str], *, method: str = "GET"
    ) -> Response:
        """Send a request with a login. Raises PullError if the user may not read the repository."""
        response = self._http.get(url, {**headers, **login.headers(place.repository)}, limit=_LIMIT, method=method)
        if response.status == 401 and response.url == url:
            # A token expires after minutes, and some registries ask for a login only for existing content.
            login.challenged(response)
            again = login.headers(place.repository, renew=True)
            response = self._http.get(url, {**headers, **again}, limit=_LIMIT, method=method)
        if response.status in (401, 403):
            raise login.not_allowed(place.repository, response.words)
        return response


def digest(image: str, credential: Credential | None) -> str | None:
    """`ImageRegistries.digest` for a single image."""
    registries = ImageRegistries()
    try:
        return registries.digest(image, credential)
    finally:
        registries.close()


def _missing(response: Response, place: Location) -> PullError:
    """The error for a 404. Many registries do not distinguish an empty repository from a missing one."""
    if any(code == "NAME_UNKNOWN" for code, _ in response.errors):
        what, trouble = f"there is no repository {place.repository!r}", Trouble.REPOSITORY_NOT_FOUND
    elif place.by_digest:
        what, trouble = f"there is no {place.reference} in {place.repository!r}", Trouble.DIGEST_NOT_FOUND
    else:
        what, trouble = f"there is no tag {place.reference!r} in {place.repository!r}", Trouble.TAG_NOT_FOUND
    return PullError(trouble, what, where=place.host, fix="check the image's name, or push the image")


def _unexpected(response: Response, place: Location) -> PullError:
    words = f": {response.words}" if response.words else ""
    return PullError(
        Trouble.FAILING,
        f"the registry returned status {response.status}{words}",
        where=place.host,
        fix="check the registry's name; if it is right, check the registry's status",
    )


def _object(response: Response, place: Location) -> dict[str, Any]:
    try:
        data = response.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise PullError(
            Trouble.FAILING,
            f"the registry returned status {response.status} with a body that is not a JSON object",
            where=place.host,
            fix="check the registry's name: this may be another kind of server",
        )
    return data


def _digest_of(response: Response, place: Location) -> str:
    """The digest of a manifest, computed from its bytes and compared with the registry's digest."""
    found = f"sha256:{hashlib.sha256(response.body).hexdigest()}"
    declared = place.reference if place.by_digest else response.headers.get("Docker-Content-Digest", found)
    if declared.startswith("sha256:") and declared != found:
        raise PullError(
            Trouble.FAILING,
            f"the registry sent different content than {declared}: its digest is {found}",
            where=place.host,
            fix="a device would reject it too: check the registry, or the proxy in front of it",
        )
    return found if declared.startswith("sha256:") else declared


def _is_index(response: Response, data: Mapping[str, Any]) -> bool:
    declared = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return declared in _INDEXES or (declared not in _MANIFESTS and isinstance(data.get("manifests"), list))


def _offered(index: Mapping[str, Any]) -> list[tuple[Platform | None, str]]:
    """The images in an index: platform, if given, and digest. Build attestations are left out."""
    found: list[tuple[Platform | None, str]] = []
    entries = index.get("manifests")
    for entry in entries if isinstance(entries, list) else []:
        child = entry.get("digest") if isinstance(entry, dict) else None
        if not isinstance(child, str) or not _DIGEST.fullmatch(child):
            continue
        platform = _platform(entry.get("platform"))
        if platform is None or platform.os != "unknown":
            found.append((platform, child))
    return found


def _platform(data: Any) -> Platform | None:
    if not isinstance(data, dict):
        return None
    parts = [data.get(name) for name in ("os", "architecture", "variant")]
    os_name, architecture, variant = (part if isinstance(part, str) else "" for part in parts)
    return Platform.of(os_name, architecture, variant) if os_name and architecture else None


def _layer(data: Any) -> Layer | None:
    if not isinstance(data, dict):
        return None
    digest, size = data.get("digest"), data.get("size")
    return Layer(digest, size) if isinstance(digest, str) and isinstance(size, int) else None


def _size(manifest: Mapping[str, Any]) -> int | None:
    """Transfer size of an image's configuration and layers in bytes; None if its manifest does not say."""
    layers = manifest.get("layers")
    parts = [manifest.get("config"), *(layers if isinstance(layers, list) else [])]
    sizes = [part.get("size") for part in parts if isinstance(part, dict)]
    return sum(size for size in sizes if isinstance(size, int)) if isinstance(layers, list) else None
