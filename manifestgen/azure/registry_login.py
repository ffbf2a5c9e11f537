"""Logging in to a registry: what its challenge asks for, answered once for each host and credential.

A registry answers whom it does not know with 401 and a challenge (RFC 9110, section 11.6.1). `Basic` wants user name
and password with each request; `Bearer` names a token service, the realm, which gives a token for a repository to
whoever shows it user name and password (https://distribution.github.io/distribution/spec/auth/token/).

A credential is sent to two places only: to the registry that it is for, and to the realm that this registry itself
names over TLS. Never without encryption beyond this machine, and never on to where either of them redirects.
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

from manifestgen.azure.registry_http import Answer, Http
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
    """What a registry asks for.

    Attributes:
        scheme: in lower case, such as `basic` or `bearer`.
        parameters: by their names in lower case.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges in a `WWW-Authenticate`, several headers joined by commas; what cannot be read is left out."""
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
    """One credential, or none, at one registry. Threads that need it wait for the one that is logging in.

    Args:
        http: what to ask with.
        host: of the registry, with its port if it has one.
        credential: None to ask as the public does.
    """

    def __init__(self, http: Http, host: str, credential: Credential | None) -> None:
        self._http = http
        self._host = host
        self._credential = credential
        self._lock = threading.Lock()
        self._greeted = False
        self._settled = False
        self._failure: PullError | None = None
        self._base = f"https://{host}"
        self._challenge: Challenge | None = None
        self._tokens: dict[str, Secret] = {}

    def base(self) -> str:
        """`https://HOST`, once the registry has answered there.

        As a device's engine does, a registry on this very machine may also do without TLS.

        Raises:
            PullError: it cannot be reached; the second image of a host is told so without another try.
        """
        with self._lock, self._remembered():
            if not self._greeted:
                self._greet()
                self._greeted = True
            return self._base

    def headers(self, repository: str, *, renew: bool = False) -> dict[str, str]:
        """The `Authorization` to read a repository with; empty where the registry asks for none.

        Args:
            renew: do not use the token of before, which the registry no longer takes.

        Raises:
            PullError: the registry cannot be reached, or does not accept the credential.
        """
        self.base()
        challenge = self._challenge
        if challenge is None:
            return {}
        if challenge.scheme == "basic":
            return self._basic(repository)
        if renew:
            self._tokens.pop(repository, None)
        token = self._tokens.get(repository) or self._first_or_next(challenge, repository)
        if token is None:
            raise self.not_allowed(repository)
        self._tokens[repository] = token
        return {"Authorization": f"Bearer {token.reveal()}"}

    def challenged(self, answer: Answer) -> bool:
        """Take up the challenge of a registry that greets everybody and asks only who reads; whether there was one."""
        with self._lock:
            if self._challenge is not None or not answer.url.startswith(f"{self._base}/"):
                return False
            self._challenge = _known(answer)
            return self._challenge is not None

    def not_allowed(self, repository: str, words: str = "") -> PullError:
        """What to raise where the registry does not let this login read a repository.

        Args:
            words: the registry's own.
        """
        said = f": {words}" if words else ""
        if self._credential is None:
            return PullError(
                Trouble.LOGIN_REQUIRED,
                f"the registry does not let a client without a login read {repository!r}{said}",
                where=self._host,
                fix="log in, or check the repository's name: many registries say the same where there is none",
            )
        return PullError(
            Trouble.NOT_ALLOWED,
            f"the registry does not let user {self._credential.username!r} read {repository!r}{said}",
            where=self._host,
            fix="give the user the right to pull this repository, or check its name: many registries say the same "
            "where there is none",
        )

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Raise what went wrong before once more, and keep what goes wrong now."""
        if self._failure is not None:
            known = self._failure
            raise PullError(known.trouble, known.what, where=known.where, fix=known.fix) from known.__cause__
        try:
            yield
        except PullError as error:
            self._failure = error
            raise

    def _greet(self) -> None:
        try:
            answer = self._http.get(f"{self._base}/v2/", limit=_LIMIT)
        except PullError as error:
            if error.trouble is not Trouble.NOT_TLS or not is_loopback(self._host):
                raise
            self._base = f"http://{self._host}"
            answer = self._http.get(f"{self._base}/v2/", limit=_LIMIT)
        if answer.status == 403:
            # A firewall: who would be let in is not asked.
            raise PullError(
                Trouble.NOT_ALLOWED,
                f"the registry lets nobody in from here: {answer.words or 'status 403'}",
                where=self._host,
                fix="let the registry's network rules admit this machine, and the device",
            )
        if answer.status != 401:
            return
        self._challenge = _known(answer)
        if self._challenge is None:
            raise PullError(
                Trouble.FAILING,
                "the registry asks for a login in no way that a device knows: "
                f"{answer.headers.get('WWW-Authenticate', '')[:100]!r}",
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
                    raise self._refused()
                self._settled = True
        return headers

    def _first_or_next(self, challenge: Challenge, repository: str) -> Secret | None:
        """A token for a repository. The first one also settles whether the credential is accepted at all."""
        scope = f"repository:{repository}:pull"
        with self._lock, self._remembered():
            if not self._settled:
                token = self._token(challenge, scope)
                # Refused may be the repository or the credential; without a repository only the credential is left.
                if token is None and self._credential is not None and self._token(challenge, "") is None:
                    raise self._refused()
                self._settled = True
                return token
        return self._token(challenge, scope)

    def _refused(self) -> PullError:
        username = self._credential.username if self._credential else ""
        return PullError(
            Trouble.LOGIN_REFUSED,
            f"the registry does not accept user {username!r} with this password",
            where=self._host,
            fix="check user name and password; it does not tell which is wrong, or whether the password has expired",
        )

    def _token(self, challenge: Challenge, scope: str) -> Secret | None:
        """A token from where the challenge says; None if the credential gets none."""
        asked = {"service": challenge.parameters.get("service", ""), "scope": scope}
        query = urlencode({name: value for name, value in asked.items() if value})
        realm = self._realm(challenge)
        headers = _basic_header(self._credential) if self._credential else {}
        answer = self._http.get(f"{realm}{'&' if '?' in realm else '?'}{query}", headers, limit=_LIMIT)
        if answer.status in _DENIED:
            return None
        try:
            data: Any = answer.json() if answer.ok else None
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise PullError(
                Trouble.FAILING,
                f"the registry's token service {answer.host!r} answered with status {answer.status} and no token",
                where=self._host,
                fix="try again; if it goes on, look at the registry's own status",
            )
        text = data.get("access_token") or data.get("token")
        # A header of several lines would be several headers.
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
                f"the registry's token service {realm[:200]!r} is no https:// address, and gets no password",
                where=self._host,
                fix="let the registry name a token service with TLS",
            )
        return realm


def _known(answer: Answer) -> Challenge | None:
    """The challenge to answer: as Docker, a token rather than the password with each request."""
    found = {challenge.scheme: challenge for challenge in challenges(answer.headers.get("WWW-Authenticate", ""))}
    return found.get("bearer") or found.get("basic")


def _basic_header(credential: Credential) -> dict[str, str]:
    pair = f"{credential.username}:{credential.password.reveal()}".encode("utf-8", "surrogatepass")
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
