"""Login to a registry, once per host and credential.

A registry responds to a request without a login with 401 and a challenge (RFC 9110, section 11.6.1). `Basic` requires
user name and password with each request. `Bearer` names a token service, the realm, which issues a token for a
repository in return for user name and password (https://distribution.github.io/distribution/spec/auth/token/).

A credential is sent to two places only: to its own registry, and to the realm that this registry names over TLS. It is
never sent unencrypted beyond this machine, and never to the target of a redirect.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from manifestgen.azure.registry_http import Http, Response
from manifestgen.azure.registry_network import is_loopback
from manifestgen.cloud import Credential
from manifestgen.cloud.distribution import PullError, Trouble
from manifestgen.secret import Secret

_LIMIT: Final = 1 << 20
_DENIED: Final = frozenset({400, 401, 403})

# RFC 9110: a challenge is a scheme, then parameters or a token68; a quoted value may have escaped characters.
_SCHEME: Final = re.compile(r"[\s,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?=\s|,|$)(?!\s*=)[ \t]*")
_PARAMETER: Final = re.compile(
    r"[\s,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"=][^\s,\"]*))(?=\s*(?:,|$))",
    re.DOTALL,
)
_TOKEN68: Final = re.compile(r"[0-9A-Za-z._~+/-]+=*(?=\s*(?:,|$))")


@dataclass(frozen=True)
class Challenge:
    """A registry's challenge.

    Attributes:
        scheme: the authentication scheme in lower case, such as `basic` or `bearer`.
        parameters: the parameters by name in lower case.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges in `WWW-Authenticate`, with several headers joined by commas; invalid ones are left out."""
    return tuple(_challenges(header))


def _challenges(header: str) -> Iterator[Challenge]:
    at = 0
    while scheme := _SCHEME.match(header, at):
        at = scheme.end()
        parameters: dict[str, str] = {}
        if not _PARAMETER.match(header, at) and (opaque := _TOKEN68.match(header, at)):
            at = opaque.end()
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            quoted = parameter[2]
            value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            parameters.setdefault(parameter[1].lower(), value)
        yield Challenge(scheme[1].lower(), parameters)


class Login:
    """A login to one registry with one credential, or none. While one thread logs in, the others wait for it.

    Args:
        http: the HTTP client.
        host: the registry's host, with its port if it has one.
        credential: None for anonymous access.
    """

    def __init__(self, http: Http, host: str, credential: Credential | None) -> None:
        self._http = http
        self._host = host
        self._credential = credential
        self._lock = threading.Lock()
        self._probed = False
        self._settled = False
        self._failure: PullError | None = None
        self._base = f"https://{host}"
        self._challenge: Challenge | None = None
        self._tokens: dict[str, Secret] = {}

    def base(self) -> str:
        """`https://HOST`, after the registry has responded there.

        A registry on this machine need not use TLS, as with a device's container engine.

        Raises:
            PullError: the registry cannot be reached; later images of this host fail at once, without another attempt.
        """
        with self._lock, self._remembered():
            if not self._probed:
                self._probe()
                self._probed = True
            return self._base

    def headers(self, repository: str, *, renew: bool = False) -> dict[str, str]:
        """The `Authorization` header for reading a repository; empty if the registry requires none.

        Args:
            renew: do not reuse the previous token, because the registry has rejected it.

        Raises:
            PullError: the registry cannot be reached, or rejects the credential.
        """
        self.base()
        challenge = self._challenge
        if challenge is None:
            return {}
        if challenge.scheme == "basic":
            return self._basic(repository)
        if renew:
            self._tokens.pop(repository, None)
        token = self._tokens.get(repository) or self._new_token(challenge, repository)
        if token is None:
            raise self.not_allowed(repository)
        self._tokens[repository] = token
        return {"Authorization": f"Bearer {token.reveal()}"}

    def challenged(self, response: Response) -> bool:
        """Adopt the challenge of a registry that requires a login only for reading; returns whether there was one."""
        with self._lock:
            if self._challenge is not None or not response.url.startswith(f"{self._base}/"):
                return False
            self._challenge = _preferred(response)
            return self._challenge is not None

    def not_allowed(self, repository: str, words: str = "") -> PullError:
        """The error for a login that may not read a repository.

        Args:
            words: the registry's message.
        """
        said = f": {words}" if words else ""
        if self._credential is None:
            return PullError(
                Trouble.LOGIN_REQUIRED,
                f"the registry requires a login to read {repository!r}{said}",
                where=self._host,
                fix="log in, or check the repository's name: many registries report a missing one the same way",
            )
        return PullError(
            Trouble.NOT_ALLOWED,
            f"user {self._credential.username!r} is not allowed to read {repository!r}{said}",
            where=self._host,
            fix="allow the user to pull this repository, or check its name: many registries report a missing one the "
            "same way",
        )

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Raise the earlier failure again; remember a new one."""
        if self._failure is not None:
            known = self._failure
            raise PullError(known.trouble, known.what, where=known.where, fix=known.fix) from known.__cause__
        try:
            yield
        except PullError as error:
            self._failure = error
            raise

    def _probe(self) -> None:
        try:
            response = self._http.get(f"{self._base}/v2/", limit=_LIMIT)
        except PullError as error:
            if error.trouble is not Trouble.NOT_TLS or not is_loopback(self._host):
                raise
            self._base = f"http://{self._host}"
            response = self._http.get(f"{self._base}/v2/", limit=_LIMIT)
        if response.status == 403:
            # A firewall, which rejects the request before any login.
            raise PullError(
                Trouble.NOT_ALLOWED,
                f"the registry rejects all requests from this machine: {response.words or 'status 403'}",
                where=self._host,
                fix="allow this machine and the device in the registry's network rules",
            )
        if response.status != 401:
            return
        self._challenge = _preferred(response)
        if self._challenge is None:
            raise PullError(
                Trouble.FAILING,
                "the registry requires a login method that devices do not support: "
                f"{response.headers.get('WWW-Authenticate', '')[:100]!r}",
                where=self._host,
                fix="check the registry's name",
            )

    def _basic(self, repository: str) -> dict[str, str]:
        if self._credential is None:
            raise self.not_allowed(repository)
        headers = _basic_header(self._credential)
        with self._lock, self._remembered():
            if not self._settled:
                if self._http.get(f"{self._base}/v2/", headers, limit=_LIMIT).status == 401:
                    raise self._login_rejected()
                self._settled = True
        return headers

    def _new_token(self, challenge: Challenge, repository: str) -> Secret | None:
        """A token for a repository. The first one also shows whether the registry accepts the credential at all."""
        scope = f"repository:{repository}:pull"
        with self._lock, self._remembered():
            if not self._settled:
                token = self._token(challenge, scope)
                # The rejection may concern the repository or the credential; without a repository, only the latter.
                if token is None and self._credential is not None and self._token(challenge, "") is None:
                    raise self._login_rejected()
                self._settled = True
                return token
        return self._token(challenge, scope)

    def _login_rejected(self) -> PullError:
        username = self._credential.username if self._credential else ""
        return PullError(
            Trouble.LOGIN_REFUSED,
            f"the registry rejected the login of user {username!r}",
            where=self._host,
            fix="check the user name, the password and its expiry: the registry does not say which of them is wrong",
        )

    def _token(self, challenge: Challenge, scope: str) -> Secret | None:
        """A token from the challenge's realm; None if the realm rejects the credential."""
        asked = {"service": challenge.parameters.get("service", ""), "scope": scope}
        query = urlencode({name: value for name, value in asked.items() if value})
        realm = self._realm(challenge)
        headers = _basic_header(self._credential) if self._credential else {}
        response = self._http.get(f"{realm}{'&' if '?' in realm else '?'}{query}", headers, limit=_LIMIT)
        if response.status in _DENIED:
            return None
        try:
            data: Any = response.json() if response.ok else None
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise PullError(
                Trouble.FAILING,
                f"the registry's token service {response.host!r} returned status {response.status} without a token",
                where=self._host,
                fix="try again; if it keeps failing, check the registry's status",
            )
        text = data.get("access_token") or data.get("token")
        # A token with line breaks could inject headers.
        return Secret(text) if isinstance(text, str) and _TOKEN68.fullmatch(text) else None

    def _realm(self, challenge: Challenge) -> str:
        """The token service's URL, if a password may be sent there."""
        realm = challenge.parameters.get("realm", "").partition("#")[0]
        try:
            parts = urlsplit(realm)
            safe = parts.scheme == "https" or (
                parts.scheme == "http" and self._base.startswith("http:") and is_loopback(parts.netloc)
            )
            known = bool(parts.hostname) and "@" not in parts.netloc
        except ValueError:
            safe = known = False
        if not safe or not known:
            raise PullError(
                Trouble.FAILING,
                f"the registry's token service {realm[:200]!r} does not use https://, so no password was sent",
                where=self._host,
                fix="configure the registry with a token service that uses TLS",
            )
        return realm


def _preferred(response: Response) -> Challenge | None:
    """The challenge to use. Like Docker, prefer a token to sending the password with each request."""
    found = {challenge.scheme: challenge for challenge in challenges(response.headers.get("WWW-Authenticate", ""))}
    return found.get("bearer") or found.get("basic")


def _basic_header(credential: Credential) -> dict[str, str]:
    pair = f"{credential.username}:{credential.password.reveal()}".encode("utf-8", "surrogatepass")
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
