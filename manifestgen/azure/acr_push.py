"""Puts tags and image indexes into an Azure container registry, with a login of Entra ID.

The exchange of tokens is Azure's own:
https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from manifestgen.azure import arm
from manifestgen.azure.answer import one_line
from manifestgen.azure.auth import credential as default_credential
from manifestgen.azure.rest import Answer, Rest
from manifestgen.errors import CloudError, DeniedError, NotFoundError
from manifestgen.secret import Secret

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_OCI: Final = "application/vnd.oci.image.manifest.v1+json"
_DOCKER: Final = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPT: Final = {"Accept": ", ".join((_OCI, _DOCKER, _OCI_INDEX, _DOCKER_LIST))}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


class Repository:
    """A repository of an Azure container registry, to read from and to push to.

    Args:
        host: login server of the registry.
        name: of the repository.
        credential: of azure-identity; None for that of `manifestgen.azure.auth`.
        by_repository: whether the registry's roles are for repositories, for advice.
    """

    def __init__(
        self, host: str, name: str, credential: TokenCredential | None = None, *, by_repository: bool = False
    ) -> None:
        self._host = host
        self._name = name
        self._credential = credential or default_credential()
        role = "Container Registry Repository Writer" if by_repository else "AcrPush"
        self._advice = f"give the identity the role '{role}' on the registry; it takes effect after some minutes"
        self._rest = Rest(f"registry {host}")
        self._token: Secret | None = None

    def digest(self, reference: str) -> str | None:
        """The digest of a tag, or of a digest; None if the repository does not have it. Raises CloudError."""
        answer = self._send("HEAD", reference)
        if answer.status == 404:
            return None
        self._check(answer, f"access to {self._name}")
        found = answer.headers.get("Docker-Content-Digest")
        if not found:
            raise self._unusable("returned no digest")
        return found

    def check_push(self) -> None:
        """Raise DeniedError if the identity may certainly not push: before an image is built for nothing."""
        self._token = self._token or self._log_in()
        actions = _actions(self._token.reveal())
        if actions is not None and not {"push", "*"} & actions:
            raise DeniedError(f"the identity may not push to {self._name}", where=self._host, fix=self._advice)

    def put(self, tag: str, digests: Mapping[str, str]) -> str:
        """Give a tag to an image: the one of its only platform, or an index of several. One that it has stays.

        Registries have no conditional push, so the tag is looked for right before it is put, and right after that.

        Args:
            tag: of the image.
            digests: of the images, by platform such as `linux/arm64`.

        Returns:
            The digest of what the tag names.

        Raises:
            DeniedError: the identity may not push.
            CloudError: the registry rejected it.
        """
        manifests = {platform: self._manifest(digest) for platform, digest in digests.items()}
        if len(manifests) == 1:
            ((media_type, data),) = manifests.values()
        else:
            media_type, data = _index(manifests)
        existing = self.digest(tag)
        if existing is not None:
            return existing
        answer = self._send("PUT", tag, content=data, headers={"Content-Type": media_type})
        self._check(answer, f"a push of {self._name}:{tag}")
        return self.digest(tag) or _digest(data)

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def _manifest(self, digest: str) -> tuple[str, bytes]:
        answer = self._send("GET", digest)
        if answer.status == 404:
            fix = "run the same command to build it again"
            raise NotFoundError(f"the registry no longer has {digest}", where=f"{self._host}/{self._name}", fix=fix)
        self._check(answer, f"access to {self._name}")
        if _digest(answer.body) != digest:
            raise self._unusable(f"sent different content than {digest}")
        return answer.headers.get("Content-Type", _OCI).partition(";")[0].strip(), answer.body

    def _send(
        self, method: str, reference: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        url = f"https://{self._host}/v2/{self._name}/manifests/{reference}"
        for fresh in (False, True):
            if fresh or self._token is None:
                self._token = self._log_in()
            sent = {**_ACCEPT, **(headers or {}), "Authorization": f"Bearer {self._token.reveal()}"}
            answer = self._rest.send(method, url, content=content, headers=sent)
            if answer.status != 401:
                break
        return answer

    def _log_in(self) -> Secret:
        """A token of the registry for this repository."""
        token = Secret(self._credential.get_token(arm.SCOPE).token)
        form = {"grant_type": "access_token", "service": self._host, "access_token": token.reveal()}
        refresh = self._exchanged("exchange", form, "refresh_token")
        scope = f"repository:{self._name}:pull,push"
        form = {"grant_type": "refresh_token", "service": self._host, "scope": scope, "refresh_token": refresh.reveal()}
        return self._exchanged("token", form, "access_token")

    def _exchanged(self, path: str, form: Mapping[str, str], wanted: str) -> Secret:
        url = f"https://{self._host}/oauth2/{path}"
        answer = self._rest.send("POST", url, content=urlencode(form).encode(), headers=_FORM)
        self._check(answer, "a login of Microsoft Entra ID")
        found = answer.data.get(wanted)
        if not isinstance(found, str) or not found.isprintable():
            raise self._unusable("returned no token")
        return Secret(found)

    def _check(self, answer: Answer, what: str) -> None:
        if answer.ok:
            return
        words = _message(answer)
        said = f": {words}" if words else ""
        if answer.status in (401, 403):
            raise DeniedError(f"the registry denies {what}{said}", where=self._host, fix=self._advice)
        raise CloudError(
            f"the registry returned status {answer.status}{said}",
            where=self._host,
            fix="run the same command again; if it keeps failing, check the registry's status",
        )

    def _unusable(self, what: str) -> CloudError:
        return CloudError(f"the registry {what}", where=self._host, fix="run the same command again")


def _index(manifests: Mapping[str, tuple[str, bytes]]) -> tuple[str, bytes]:
    """An index of images, with its media type.

    For Docker's images it is Docker's list: old engines on devices do not know OCI's index.
    """
    docker = all(media_type == _DOCKER for media_type, _ in manifests.values())
    kind = _DOCKER_LIST if docker else _OCI_INDEX
    entries = []
    for platform, (media_type, data) in manifests.items():
        parts: dict[str, Any] = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        entries.append(
            {
                "mediaType": media_type,
                "digest": _digest(data),
                "size": len(data),
                "platform": dict(sorted(parts.items())),
            }
        )
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    return kind, json.dumps(index, separators=(",", ":")).encode()


def _actions(token: str) -> frozenset[str] | None:
    """The permissions in the claims of a registry's token; None if it is not such a token."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return frozenset(str(action) for entry in claims["access"] for action in entry["actions"])
    except (ValueError, KeyError, TypeError):
        return None


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _message(answer: Answer) -> str:
    errors = answer.data.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return one_line(str(first.get("message") or ""))
