"""How registries are talked to: what is sent where, how often, and when it is given up."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from fakes.hostile_server import hostile_server

from manifestgen.azure.patience import Patience, seconds_of
from manifestgen.azure.registry_http import Http
from manifestgen.azure.registry_network import bypasses_proxy, proxies_of
from manifestgen.cloud.distribution import PullError, Trouble
from manifestgen.errors import InputError
from manifestgen.secret import redact

LIMIT = 1 << 20


@dataclass
class Server:
    """A server that answers what it is told to, and keeps what it was asked.

    Attributes:
        answers: status, headers and body of the next answers; the last one stays. None cuts the connection.
    """

    base: str = ""
    answers: list[tuple[int, dict[str, str], bytes] | None] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.base.partition("//")[2]


@dataclass
class Clock:
    """Time that passes only where somebody sleeps."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return ca, path


@pytest.fixture
def serve(authority: tuple[trustme.CA, Path]) -> Iterator[Callable[..., Server]]:
    """Starts servers on loopback, with TLS or without."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(*answers: Any, tls: bool = True, name: str = "localhost") -> Server:
        server = Server(answers=list(answers))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = (self.command, self.path, self.headers.get("Authorization", ""))
                server.asked.append(asked)
                answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                self.close_connection = True
                if answer is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, headers, body = answer
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *words: object) -> None:
                pass

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        listening.handle_error = lambda *about: None  # type: ignore[method-assign] # clients hang up on purpose
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority[0].issue_cert(name).configure_cert(context)
            listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        running.append((listening, thread))
        server.base = f"{'https' if tls else 'http'}://localhost:{listening.server_port}"
        return server

    yield start
    for listening, thread in running:
        listening.shutdown()
        thread.join(10)
        listening.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http(authority: tuple[trustme.CA, Path], clock: Clock) -> Iterator[Http]:
    patience = Patience(
        connect=5, answer=5, unreachable=0, total=30, first=0.5, longest=4, sleep=clock.sleep, clock=clock
    )
    http = Http(patience, {"SSL_CERT_FILE": str(authority[1])})
    yield http
    http.close()


def failure(ask: Callable[[], object]) -> PullError:
    with pytest.raises(PullError) as caught:
        ask()
    return caught.value


def test_an_answer_is_given_back_whatever_its_status(http: Http, serve: Callable[..., Server]) -> None:
    body = b'{"errors": [{"code": "NAME_UNKNOWN", "message": "not\\nknown\\u001b[31m."}, 5]}'
    server = serve((404, {"X-A": "b"}, body))
    answer = http.get(f"{server.base}/v2/", {"Authorization": "Basic x"}, limit=LIMIT)
    assert (answer.status, answer.ok, answer.headers["X-A"]) == (404, False, "b")
    assert answer.errors == (("NAME_UNKNOWN", "not known [31m"),)
    assert server.asked == [("GET", "/v2/", "Basic x")]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": 5}', b"[" * 100_000])
def test_an_answer_without_words_has_none(body: bytes, http: Http, serve: Callable[..., Server]) -> None:
    assert http.get(f"{serve((404, {}, body)).base}/", limit=LIMIT).words == ""


def test_a_redirect_elsewhere_does_not_see_the_authorization(http: Http, serve: Callable[..., Server]) -> None:
    storage = serve((200, {}, b"blob"))
    place = f"{storage.base}/blob?sig=canary-of-a-signature"
    registry = serve((307, {"Location": place}, b""))
    answer = http.get(f"{registry.base}/v2/x", {"Authorization": "Bearer canary", "Accept": "a"}, limit=LIMIT)
    assert answer.body == b"blob"
    assert [authorization for *_, authorization in registry.asked] == ["Bearer canary"]
    assert [authorization for *_, authorization in storage.asked] == [""]
    assert redact(place).endswith("/blob?***")


def test_a_redirect_within_the_registry_sees_it(http: Http, serve: Callable[..., Server]) -> None:
    registry = serve((302, {"Location": "/v2/there"}, b""), (200, {}, b"here"))
    assert http.get(f"{registry.base}/v2/x", {"Authorization": "Bearer y"}, limit=LIMIT).body == b"here"
    assert [authorization for *_, authorization in registry.asked] == ["Bearer y", "Bearer y"]


def test_a_redirect_away_from_tls_is_not_followed(http: Http, serve: Callable[..., Server]) -> None:
    plain = serve((200, {}, b""), tls=False)
    registry = serve((302, {"Location": f"{plain.base}/x"}, b""))
    error = failure(lambda: http.get(f"{registry.base}/", limit=LIMIT))
    assert "which does not use TLS" in error.what
    assert plain.asked == []


def test_a_redirect_in_a_circle_ends(http: Http, serve: Callable[..., Server]) -> None:
    registry = serve((302, {"Location": "/"}, b""))
    assert "redirects too many times" in failure(lambda: http.get(f"{registry.base}/", limit=LIMIT)).what
    assert len(registry.asked) == 5


def test_an_answer_without_end_is_given_up(http: Http, serve: Callable[..., Server]) -> None:
    registry = serve((200, {}, b"x" * (LIMIT + 1)))
    error = failure(lambda: http.get(f"{registry.base}/", limit=LIMIT))
    assert (error.trouble, "more than 1 MiB" in error.what) == (Trouble.FAILING, True)


def test_a_retry_after_is_obeyed(http: Http, serve: Callable[..., Server], clock: Clock) -> None:
    registry = serve((429, {"Retry-After": "7"}, b""), (503, {"Retry-After": "2"}, b""), (200, {}, b"at last"))
    assert http.get(f"{registry.base}/", limit=LIMIT).body == b"at last"
    assert clock.slept == [7, 2]


def test_a_retry_after_beyond_all_patience_is_not_waited_for(
    http: Http, serve: Callable[..., Server], clock: Clock
) -> None:
    registry = serve((429, {"Retry-After": "3600"}, b'{"errors": [{"message": "toomanyrequests: pull rate limit"}]}'))
    error = failure(lambda: http.get(f"{registry.base}/", limit=LIMIT))
    assert error.trouble is Trouble.THROTTLED
    assert "asks to wait 3600 s" in error.what
    assert "pull rate limit" in error.what
    assert clock.slept == []


def test_an_answer_that_took_long_is_not_called_retries(http: Http, serve: Callable[..., Server]) -> None:
    registry = serve((429, {"Retry-After": "3600"}, b""))
    http.patience = replace(http.patience, clock=iter(range(0, 90, 5)).__next__)
    assert failure(lambda: http.get(f"{registry.base}/", limit=LIMIT)).what.endswith("and asks to wait 3600 s")


def test_an_outage_is_waited_for_and_given_up_in_time(http: Http, serve: Callable[..., Server], clock: Clock) -> None:
    registry = serve((503, {}, b""))
    error = failure(lambda: http.get(f"{registry.base}/", limit=LIMIT))
    assert error.trouble is Trouble.FAILING
    assert "status 503, after" in error.what
    assert 0 < sum(clock.slept) <= 30
    assert len(registry.asked) > 3


def test_a_cut_connection_is_tried_again(http: Http, serve: Callable[..., Server]) -> None:
    registry = serve(None, None, (200, {}, b"here"))
    assert http.get(f"{registry.base}/", limit=LIMIT).body == b"here"
    assert len(registry.asked) == 3


def test_connections_that_are_always_cut_are_an_unreachable_registry(
    http: Http, serve: Callable[..., Server], clock: Clock
) -> None:
    error = failure(lambda: http.get(f"{serve(None).base}/", limit=LIMIT))
    assert error.trouble is Trouble.UNREACHABLE
    assert "could not be reached" in error.what


def test_a_certificate_for_another_name_is_not_trusted(http: Http, serve: Callable[..., Server]) -> None:
    server = serve((200, {}, b""), name="other.example")
    error = failure(lambda: http.get(f"{server.base}/", {"Authorization": "Basic canary"}, limit=LIMIT))
    assert error.trouble is Trouble.NOT_TRUSTED
    assert "localhost" in error.what
    assert f"/etc/docker/certs.d/{server.host}/ca.crt" in error.fix
    assert server.asked == []


def test_a_self_signed_certificate_is_not_trusted(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    untrusting = Http(Patience(), {})
    error = failure(lambda: untrusting.get(f"{serve((200, {}, b'')).base}/", limit=LIMIT))
    assert error.trouble is Trouble.NOT_TRUSTED
    untrusting.close()


def test_a_server_without_tls_is_told_from_one_that_is_not_trusted(http: Http, serve: Callable[..., Server]) -> None:
    server = serve((200, {}, b""), tls=False)
    error = failure(lambda: http.get(f"https://{server.host}/", limit=LIMIT))
    assert (error.trouble, "insecure-registries" in error.fix) == (Trouble.NOT_TLS, True)


def test_a_host_that_there_is_not_is_not_tried_again(http: Http, clock: Clock) -> None:
    error = failure(lambda: http.get("https://registry.invalid/v2/", limit=LIMIT))
    assert (error.trouble, error.where, clock.slept) == (Trouble.UNKNOWN_HOST, "registry.invalid", [])


def test_a_port_that_nobody_listens_on_is_not_tried_again(http: Http, clock: Clock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    error = failure(lambda: http.get(f"https://127.0.0.1:{port}/", limit=LIMIT))
    assert (error.trouble, clock.slept) == (Trouble.UNREACHABLE, [])
    assert "connection refused" in error.what


def test_a_registry_that_never_answers_is_too_slow(authority: tuple[trustme.CA, Path]) -> None:
    http = Http(Patience(connect=0.1, answer=0.1), {"SSL_CERT_FILE": str(authority[1])})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = failure(lambda: http.get(f"https://127.0.0.1:{silent.getsockname()[1]}/", limit=LIMIT))
    assert error.trouble is Trouble.TIMEOUT
    http.close()


def test_an_answer_that_trickles_is_given_up(authority: tuple[trustme.CA, Path]) -> None:
    http = Http(Patience(answer=0.5), {"SSL_CERT_FILE": str(authority[1])})
    with hostile_server(authority[0], "drips the body") as server:
        error = failure(lambda: http.get(f"{server.base}/", limit=LIMIT))
    assert (error.trouble, "not complete after 0.5 s" in error.what) == (Trouble.TIMEOUT, True)
    http.close()


def test_a_proxy_is_used_and_says_why_it_refuses(authority: tuple[trustme.CA, Path], clock: Clock) -> None:
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(4096).decode())
                connection.sendall(b"HTTP/1.1 407 Log in first\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        proxy = f"http://me:canary-proxy-password@127.0.0.1:{listening.getsockname()[1]}"
        http = Http(Patience(sleep=clock.sleep), {"https_proxy": proxy, "SSL_CERT_FILE": str(authority[1])})
        error = failure(lambda: http.get("https://acme.azurecr.io/v2/", limit=LIMIT))
        thread.join(10)
        http.close()
    assert "407 Log in first" in error.what
    assert asked[0].startswith("CONNECT acme.azurecr.io:443")
    assert "proxy-authorization: basic " in asked[0].lower()
    assert redact("canary-proxy-password") == "***"
    assert clock.slept == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://"])
def test_a_proxy_that_cannot_be_used_is_wrong_input(proxy: str, authority: tuple[trustme.CA, Path]) -> None:
    http = Http(Patience(), {"HTTPS_PROXY": proxy, "SSL_CERT_FILE": str(authority[1])})
    with pytest.raises(InputError, match="is not supported"):
        http.get("https://acme.azurecr.io/v2/", limit=LIMIT)


@pytest.mark.parametrize(
    ("hosts", "bypassed"),
    [
        ("", False),
        ("*", True),
        ("acme.azurecr.io", True),
        ("other.example, .azurecr.io", True),
        ("azurecr.io", True),
        ("*.azurecr.io", True),
        ("cr.io", False),
        ("acme.azurecr.io:8443", False),
    ],
)
def test_no_proxy_is_read_as_others_do(hosts: str, bypassed: bool) -> None:
    assert bypasses_proxy("acme.azurecr.io", "acme.azurecr.io", hosts) is bypassed


def test_this_machine_is_reached_without_a_proxy(clock: Clock, serve: Callable[..., Server]) -> None:
    server = serve((200, {}, b"here"), tls=False)
    http = Http(Patience(), {"HTTP_PROXY": "http://proxy.invalid:8080", "HTTPS_PROXY": "http://proxy.invalid:8080"})
    assert http.get(f"{server.base}/", limit=LIMIT).body == b"here"
    http.close()


def test_no_proxy_may_name_networks() -> None:
    assert bypasses_proxy("10.1.2.3:5000", "10.1.2.3", "10.0.0.0/8")
    assert not bypasses_proxy("11.1.2.3:5000", "11.1.2.3", "10.0.0.0/8")


def test_lower_case_wins_among_the_proxies() -> None:
    environ = {"https_proxy": "http://lower", "HTTPS_PROXY": "http://upper", "HTTP_PROXY": "x", "http_proxy": ""}
    assert proxies_of(environ) == {"https": "http://lower"}


def test_a_retry_after_may_be_a_date() -> None:
    assert seconds_of(None) is None
    assert seconds_of("5") == 5
    assert seconds_of("soon") is None
    assert seconds_of(formatdate(0)) == 0
    later = seconds_of(formatdate(time.time() + 100))
    assert later is not None
    assert 90 < later <= 101


def test_certificates_may_be_in_a_folder(authority: tuple[trustme.CA, Path]) -> None:
    Http(Patience(), {"REQUESTS_CA_BUNDLE": str(authority[1].parent)}).close()


def test_certificates_that_are_none_are_wrong_input(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(InputError, match="cannot read certificates"):
        Http(Patience(), {"CURL_CA_BUNDLE": str(file)})
