"""What a registry may ask for, and where a credential goes and where not."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifestgen.azure.registry_http import Response
from manifestgen.azure.registry_login import Challenge, Login, challenges
from manifestgen.azure.registry_network import is_loopback
from manifestgen.cloud import Credential
from manifestgen.cloud.distribution import PullError, Trouble
from manifestgen.secret import Secret, redact

HOST = "acme.azurecr.io"
ME = Credential(HOST, "me", Secret("canary-login-password"))
BASIC = "Basic " + base64.b64encode(b"me:canary-login-password").decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ()),
        ("Basic", (Challenge("basic"),)),
        ('Basic realm="a registry"', (Challenge("basic", {"realm": "a registry"}),)),
        ("Basic realm=plain", (Challenge("basic", {"realm": "plain"}),)),
        (
            'Bearer realm="https://h/token",service="h",scope="repository:a/b:pull,push"',
            (Challenge("bearer", {"realm": "https://h/token", "service": "h", "scope": "repository:a/b:pull,push"}),),
        ),
        (
            'BEARER Realm = "x" , SERVICE="y"',
            (Challenge("bearer", {"realm": "x", "service": "y"}),),
        ),
        (
            'Negotiate, Basic realm="one, \\"two\\"", Bearer realm="three"',
            (
                Challenge("negotiate"),
                Challenge("basic", {"realm": 'one, "two"'}),
                Challenge("bearer", {"realm": "three"}),
            ),
        ),
        ("NTLM TlRMTVNTUAAB==, Basic realm=x", (Challenge("ntlm"), Challenge("basic", {"realm": "x"}))),
        ('Bearer realm="first",realm="second"', (Challenge("bearer", {"realm": "first"}),)),
        ('Bearer realm="unfinished', (Challenge("bearer"),)),
    ],
)
def test_challenges_are_read_as_the_rfc_writes_them(header: str, expected: tuple[Challenge, ...]) -> None:
    assert challenges(header) == expected


@given(st.text(max_size=200) | st.text(alphabet='aB =,"\\\t;/:', max_size=60))
def test_no_header_breaks_the_reading(header: str) -> None:
    for challenge in challenges(header):
        assert challenge.scheme == challenge.scheme.lower() != ""


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=30), max_size=4))
def test_what_is_quoted_is_read_back(parameters: dict[str, str]) -> None:
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in parameters.values())
    header = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in zip(parameters, quoted, strict=True))
    assert challenges(header) == (Challenge("bearer", parameters),)


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "127.0.0.1.example", "acme.azurecr.io", "1127.0.0.1", "::1"])
def test_no_other_name_is_this_machine(host: str) -> None:
    assert not is_loopback(host)


@dataclass
class FakeHttp:
    """Answers by URL without its query; keeps what was asked and with which `Authorization`."""

    answers: dict[str, Callable[[str], Response] | PullError] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, limit: int, method: str = "GET") -> Response:
        authorization = (headers or {}).get("Authorization", "")
        self.asked.append((url, authorization))
        answer = self.answers[url.partition("?")[0]]
        if isinstance(answer, PullError):
            raise answer
        return answer(authorization)


def responding(url: str, status: int, body: bytes = b"", **headers: str) -> Callable[[str], Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda authorization: Response(url, status, named, body)


def challenging(challenge: str, host: str = HOST) -> FakeHttp:
    """A registry that greets with a challenge."""
    url = f"https://{host}/v2/"
    return FakeHttp({url: responding(url, 401, WWW_Authenticate=challenge)})


def token_for(*accepted: str) -> Callable[[str], Response]:
    def answer(authorization: str) -> Response:
        url = f"https://{HOST}/oauth2/token"
        if authorization not in accepted:
            return Response(url, 401, {}, b"")
        return Response(url, 200, {}, b'{"access_token": "canary-access-token"}')

    return answer


BEARER = f'Bearer realm="https://{HOST}/oauth2/token",service="{HOST}"'


def test_a_registry_that_asks_for_nothing_gets_nothing() -> None:
    url = f"https://{HOST}/v2/"
    http = FakeHttp({url: responding(url, 200)})
    assert Login(http, HOST, ME).headers("scorer") == {}  # type: ignore[arg-type] # a fake
    assert http.asked == [(url, "")]


def test_a_password_is_sent_to_the_registry_that_asks_for_it() -> None:
    http = challenging('Basic realm="x"')
    greet = http.answers[f"https://{HOST}/v2/"]
    http.answers[f"https://{HOST}/v2/"] = lambda authorization: (
        Response("", 200, {}, b"") if authorization == BASIC else greet(authorization)  # type: ignore[operator] # no error
    )
    login = Login(http, HOST, ME)  # type: ignore[arg-type] # a fake
    assert login.headers("scorer") == login.headers("other") == {"Authorization": BASIC}
    assert [authorization for _, authorization in http.asked] == ["", BASIC]


def test_a_token_is_asked_for_each_repository_and_kept() -> None:
    http = challenging(BEARER)
    http.answers[f"https://{HOST}/oauth2/token"] = token_for(BASIC)
    login = Login(http, HOST, ME)  # type: ignore[arg-type] # a fake
    for repository in ("a", "b", "a"):
        assert login.headers(repository) == {"Authorization": "Bearer canary-access-token"}
    assert [url.partition("scope=")[2] for url, _ in http.asked[1:]] == [
        "repository%3Aa%3Apull",
        "repository%3Ab%3Apull",
    ]
    assert redact("canary-access-token") == "***"


def test_a_token_that_is_no_longer_taken_is_renewed() -> None:
    http = challenging(BEARER)
    http.answers[f"https://{HOST}/oauth2/token"] = token_for(BASIC)
    login = Login(http, HOST, ME)  # type: ignore[arg-type] # a fake
    login.headers("a")
    login.headers("a", renew=True)
    assert len(http.asked) == 3


def test_a_refused_token_tells_the_password_from_the_repository() -> None:
    http = challenging(BEARER)
    only_login = token_for(BASIC)
    http.answers[f"https://{HOST}/oauth2/token"] = lambda authorization: (
        only_login(authorization) if "scope" not in http.asked[-1][0] else Response("", 401, {}, b"")
    )
    with pytest.raises(PullError) as caught:
        Login(http, HOST, ME).headers("secret-repository")  # type: ignore[arg-type] # a fake
    assert caught.value.trouble is Trouble.NOT_ALLOWED
    http.answers[f"https://{HOST}/oauth2/token"] = token_for()
    with pytest.raises(PullError) as caught:
        Login(http, HOST, ME).headers("scorer")  # type: ignore[arg-type] # a fake
    assert caught.value.trouble is Trouble.LOGIN_REFUSED
    assert "canary" not in str(caught.value)


def test_a_wrong_password_is_tried_by_one_thread_only() -> None:
    http = challenging(BEARER)
    http.answers[f"https://{HOST}/oauth2/token"] = token_for()
    login = Login(http, HOST, ME)  # type: ignore[arg-type] # a fake
    troubles: list[Trouble] = []

    def ask(number: int) -> None:
        try:
            login.headers(f"repository-{number}")
        except PullError as error:
            troubles.append(error.trouble)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert troubles == [Trouble.LOGIN_REFUSED] * 8
    assert len(http.asked) == 3


def test_a_registry_that_cannot_be_reached_is_tried_once() -> None:
    failure = PullError(Trouble.UNREACHABLE, "not reachable", fix="check", where=HOST)
    http = FakeHttp({f"https://{HOST}/v2/": failure})
    login = Login(http, HOST, ME)  # type: ignore[arg-type] # a fake
    for _ in range(3):
        with pytest.raises(PullError, match="not reachable"):
            login.headers("scorer")
    assert len(http.asked) == 1


@pytest.mark.parametrize(
    "realm",
    [
        f"http://{HOST}/oauth2/token",
        "http://127.0.0.1:8080/token",
        "ftp://tokens.example/",
        "//tokens.example/token",
        "/oauth2/token",
        "",
        "https://",
        "https://acme.azurecr.io@evil.example/token",
        "https://[broken/token",
        "file:///etc/passwd",
    ],
)
def test_no_password_goes_to_a_realm_without_tls_or_in_disguise(realm: str) -> None:
    http = challenging(f'Bearer realm="{realm}",service="x"')
    with pytest.raises(PullError, match="so no password was sent"):
        Login(http, HOST, ME).headers("scorer")  # type: ignore[arg-type] # a fake
    assert [authorization for _, authorization in http.asked] == [""]


def test_a_token_service_of_the_registrys_choice_gets_the_password_over_tls() -> None:
    http = challenging('Bearer realm="https://auth.docker.io/token?a=b",service="registry.docker.io"')
    http.answers["https://auth.docker.io/token"] = token_for(BASIC)
    Login(http, HOST, ME).headers("scorer")  # type: ignore[arg-type] # a fake
    assert http.asked[-1][0].startswith("https://auth.docker.io/token?a=b&service=registry.docker.io&scope=")


@pytest.mark.parametrize("token", ["two lines\\r\\nX-Evil: 1", "", "blank between", 5, None])
def test_a_token_that_is_none_is_refused(token: object) -> None:
    import json

    http = challenging(BEARER)
    body = json.dumps({"token": token}).replace("\\\\", "\\").encode()
    http.answers[f"https://{HOST}/oauth2/token"] = responding("", 200, body)
    with pytest.raises(PullError) as caught:
        Login(http, HOST, ME).headers("scorer")  # type: ignore[arg-type] # a fake
    assert caught.value.trouble is Trouble.LOGIN_REFUSED


def test_a_way_to_log_in_that_no_device_knows_is_said() -> None:
    with pytest.raises(PullError, match="login method that devices do not support: 'Negotiate'"):
        Login(challenging("Negotiate"), HOST, ME).headers("scorer")  # type: ignore[arg-type] # a fake


def test_a_firewalls_words_are_passed_on() -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "client with IP \'192.0.2.1\' is not allowed access"}]}'
    url = f"https://{HOST}/v2/"
    http = FakeHttp({url: responding(url, 403, body)})
    with pytest.raises(PullError, match=r"192\.0\.2\.1") as caught:
        Login(http, HOST, ME).headers("scorer")  # type: ignore[arg-type] # a fake
    assert caught.value.trouble is Trouble.NOT_ALLOWED


def test_only_this_machine_may_do_without_tls() -> None:
    without = PullError(Trouble.NOT_TLS, "does not use TLS", fix="use TLS")
    http = FakeHttp({f"https://{HOST}/v2/": without, "https://localhost:5000/v2/": without})
    http.answers["http://localhost:5000/v2/"] = responding("http://localhost:5000/v2/", 200)
    assert Login(http, "localhost:5000", ME).base() == "http://localhost:5000"  # type: ignore[arg-type] # a fake
    with pytest.raises(PullError, match="does not use TLS"):
        Login(http, HOST, ME).base()  # type: ignore[arg-type] # a fake


def test_a_challenge_from_elsewhere_is_not_taken_up() -> None:
    url = f"https://{HOST}/v2/"
    login = Login(FakeHttp({url: responding(url, 200)}), HOST, ME)  # type: ignore[arg-type] # a fake
    login.base()
    elsewhere = Response("https://evil.example/v2/x", 401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    assert not login.challenged(elsewhere)
    assert login.headers("scorer") == {}
    assert login.challenged(Response(f"{url}scorer/manifests/1", 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""))
