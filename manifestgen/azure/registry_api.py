"""The one question that a registry's data plane is asked: which digest an image has.

With plain HTTP instead of an SDK: azure-containerregistry takes no user name and password, and asks only Azure's
registries. requests is there with every Azure SDK and obeys the same proxy and certificate variables.
The protocol: https://github.com/opencontainers/distribution-spec and its token authentication.
"""

from __future__ import annotations

import re
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3 import BaseHTTPResponse, Retry

from manifestgen.cloud import Credential
from manifestgen.errors import CloudError, DeniedError, InputError
from manifestgen.secret import Secret, redact

_ACCEPT: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_TIMEOUT: Final = (10, 30)
_LONGEST_WAIT: Final = 15
# The grammar in github.com/distribution/reference; what comes before the first slash is a host if it looks like one.
_REFERENCE = re.compile(
    r"(?:(?P<host>(?=[^/]*[.:]|localhost/)[A-Za-z0-9.-]+(?::\d+)?)/)?"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?P<tag>\w[\w.-]*))?(?:@(?P<digest>[a-z0-9+._-]+:[0-9a-f]+))?",
    re.ASCII,
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class _Retry(Retry):
    """Waits as long as it is told to, within reason."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        wait = super().get_retry_after(response)
        return None if wait is None else min(wait, _LONGEST_WAIT)


class _Anonymous(AuthBase):
    """No login; without this requests would look into ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Bearer(AuthBase):
    """A registry's own token."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


def digest(image: str, credential: Credential | None) -> str | None:
    """`sha256:…` of an image (of its index, if it is for several platforms); None if the registry has no such image.

    Args:
        image: `host/repository:tag` or `host/repository@sha256:…`; without a host it is on Docker Hub.
        credential: to log in with; None asks as the public does.

    Raises:
        InputError: it is no image reference.
        DeniedError: the registry does not accept the credential, or it may not read this repository.
        CloudError: the registry did not answer, or not as registries do.
    """
    host, repository, reference = _parse(image)
    url = f"https://{host}/v2/{repository}/manifests/{reference}"
    session = requests.Session()
    retry = _Retry(
        total=3,
        connect=1,
        other=1,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
    )
    session.mount("https://", HTTPAdapter(max_retries=retry))
    try:
        with session:
            response = _head(session, url, _login(credential))
            challenge = response.headers.get("WWW-Authenticate", "")
            if response.status_code == 401 and challenge.lower().startswith("bearer "):
                token = _token(session, dict(_CHALLENGE.findall(challenge)), credential)
                if token:
                    response = _head(session, url, _Bearer(token))
    except requests.RequestException as error:
        raise CloudError(
            f"the registry could not be reached: {_words(error)}",
            where=host,
            fix="check the registry's name, the network and HTTPS_PROXY",
        ) from error
    if response.status_code == 404:
        return None
    if response.status_code in (401, 403):
        who = f"user {credential.username!r}" if credential else "a client without a login"
        raise DeniedError(
            f"the registry does not let {who} read {repository!r}",
            where=host,
            fix="check user name and password, and that they may pull this repository",
        )
    found = response.headers.get("Docker-Content-Digest")
    if not response.ok or not found:
        raise CloudError(
            f"the registry answered with status {response.status_code} and no digest",
            where=host,
            fix="try again; if it goes on, look at the registry's own status",
        )
    return found


def _parse(image: str) -> tuple[str, str, str]:
    match = _REFERENCE.fullmatch(image.strip())
    if match is None:
        raise InputError(f"{image!r} is no image reference", fix="write it as acme.azurecr.io/scorer:1.4.2")
    host, repository = match["host"], match["repository"]
    if host in (None, "docker.io", "index.docker.io"):
        host = "registry-1.docker.io"
        repository = repository if "/" in repository else f"library/{repository}"
    return host, repository, match["digest"] or match["tag"] or "latest"


def _login(credential: Credential | None) -> AuthBase:
    if credential is None:
        return _Anonymous()
    return HTTPBasicAuth(credential.username.encode(), credential.password.reveal().encode())


def _head(session: requests.Session, url: str, auth: AuthBase) -> requests.Response:
    return session.head(url, headers={"Accept": _ACCEPT}, auth=auth, timeout=_TIMEOUT, allow_redirects=True)


def _token(session: requests.Session, challenge: dict[str, str], credential: Credential | None) -> Secret | None:
    """A token from where the challenge says; None if the credential gets none."""
    realm = challenge.get("realm", "")
    if not realm.startswith("https://"):
        return None
    asked = {name: challenge[name] for name in ("service", "scope") if name in challenge}
    response = session.get(realm, params=asked, auth=_login(credential), timeout=_TIMEOUT)
    if response.status_code in (400, 401, 403):
        return None
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    text = answer.get("access_token") or answer.get("token")
    return Secret(text) if text else None


def _words(error: Exception) -> str:
    """The innermost reason: what wraps it repeats the URL and the names of classes."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or getattr(reason, "original_error", None)
        if inner is None and reason.args and isinstance(reason.args[0], Exception):
            inner = reason.args[0]
        if not isinstance(inner, Exception):
            break
        reason = inner
    return redact(re.sub(r"^<?\w*Connection\S*?(?: object at \w+>|, port=\d+\)): ", "", str(reason)))
