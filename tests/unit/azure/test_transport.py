"""What a server may do to a client of ours: how long it holds it, how much it sends, and where it sends it."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
import requests
import trustme
from fakes.hostile_server import SLOW_WAYS, bomb_of, hostile_server
from requests.adapters import HTTPAdapter

from manifestgen.azure.patience import Patience, asked, seconds_of
from manifestgen.azure.transport import RetryingTransport, Transport, UnreachableError, session_of
from manifestgen.errors import CloudError, InputError, UnconfirmedError

QUICK = Patience(connect=0.5, answer=0.5, total=0.6, unreachable=0.1, first=0.01, longest=0.05)
# Beyond the limits: what a busy machine needs for its threads.
_SLACK = 5.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return ca, path


@pytest.fixture
def session(authority: tuple[trustme.CA, Path]) -> requests.Session:
    session = session_of(RetryingTransport("The service", QUICK))
    session.trust_env, session.verify = False, str(authority[1])
    return session


def failure(ask: Callable[[], object]) -> CloudError:
    with pytest.raises(CloudError) as caught:
        ask()
    return caught.value


@pytest.mark.parametrize("way", SLOW_WAYS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slow_response_is_given_up_in_time(
    way: str, method: str, authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    with hostile_server(authority[0], way) as server:
        started = time.monotonic()
        error = failure(lambda: session.request(method, f"{server.base}/things", data=b"{}"))
        assert time.monotonic() - started < 1.2 + _SLACK
    late = "was not complete after 0.5 s" if way in ("drips the body", "drips chunks") else "no response within 0.5 s"
    assert late in error.what
    assert error.where == server.host
    # A change may have been made.
    assert isinstance(error, UnconfirmedError) == (method == "POST")


def test_a_handshake_that_never_comes_is_not_a_connection(
    authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    with hostile_server(authority[0], "never answers", handshakes=False) as server:
        error = failure(lambda: session.post(f"{server.base}/things", data=b"{}"))
    assert isinstance(error, UnreachableError)
    assert "no connection within 0.5 s" in error.what


def test_a_proxy_that_drips_is_not_a_connection(authority: tuple[trustme.CA, Path], session: requests.Session) -> None:
    """The response to CONNECT comes without TLS."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                while not ended.wait(0.1):
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        proxy = f"http://127.0.0.1:{listening.getsockname()[1]}"
        started = time.monotonic()
        error = failure(lambda: session.get("https://service.example.net/", proxies={"https": proxy}))
        ended.set()
        thread.join(5)
    assert time.monotonic() - started < 1.2 + _SLACK
    assert isinstance(error, UnreachableError) or "did not respond" in error.what


@pytest.mark.slow
@pytest.mark.parametrize("way", ["sends without end", "sends a gzip bomb"])
def test_a_large_body_is_refused_and_not_kept(
    way: str, authority: tuple[trustme.CA, Path], session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb_of(512)  # before, or the request would wait until it is made
    monkeypatch.setattr("manifestgen.azure.transport.LARGEST", 1 << 20)
    session.mount("https://", RetryingTransport("The service", replace(QUICK, answer=30.0)))
    with hostile_server(authority[0], way) as server:
        tracemalloc.start()
        error = failure(lambda: session.get(f"{server.base}/things"))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert "the response is larger than 1 MiB" in error.what
    assert len(server.asked) == 1
    assert most < 12 << 20


def test_a_compressed_response_is_read(authority: tuple[trustme.CA, Path], session: requests.Session) -> None:
    body = gzip.compress(b'{"a": 1}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with hostile_server(authority[0], "answers", answer=head + body) as server:
        response = session.get(f"{server.base}/things")
    assert response.json() == {"a": 1}
    assert response.headers["Content-Length"] == "8"


def test_the_length_in_a_response_to_head_is_kept(
    authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    with hostile_server(authority[0], "answers", answer=b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n") as server:
        assert session.head(f"{server.base}/blob").headers["Content-Length"] == "77"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_body_never_goes_to_another_origin(
    status: int, authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    with hostile_server(authority[0], "answers", answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as other:
        answer = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {other.base}/x\r\nContent-Length: 0\r\n\r\n".encode()
        with hostile_server(authority[0], "answers", answer=answer) as server:
            error = failure(lambda: session.post(f"{server.base}/things", data=b"the manifest"))
        assert other.asked == []
    assert f"redirect to another server, {other.host!r}" in error.what


def test_a_certificate_that_is_not_trusted_is_said_at_once(authority: tuple[trustme.CA, Path], tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    pauses: list[float] = []
    session = session_of(RetryingTransport("The service", Patience(sleep=pauses.append)))
    session.trust_env, session.verify = False, str(tmp_path / "other.pem")
    with hostile_server(authority[0], "never answers") as server:
        error = failure(lambda: session.get(f"{server.base}/things"))
    assert "its TLS certificate is not trusted: " in error.what
    assert "REQUESTS_CA_BUNDLE" in error.fix
    assert pauses == []


def test_what_the_transport_replaces_is_there_in_requests() -> None:
    public = [name for name in vars(Transport) if not name.startswith("_") and name != "send"]
    assert {"init_poolmanager", "build_connection_pool_key_attributes", "cert_verify"} <= set(public)
    assert [name for name in public if not hasattr(HTTPAdapter, name)] == []


def test_a_ca_file_that_is_not_there_is_named(session: requests.Session) -> None:
    session.verify = "/nowhere/ca.pem"
    with pytest.raises((InputError, OSError), match="/nowhere/ca"):
        session.get("https://service.example.net/")


_DATE = formatdate(4_000_000_000, usegmt=True)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("1000000000", "more than a year"),
        ("9" * 400, "more than a year"),
        ("3600", "3600 s"),
        (_DATE, "more than a year"),
    ],
)
def test_a_retry_after_that_no_one_would_wait_for_ends_the_request(
    after: str, words: str, authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    head = f"HTTP/1.1 429 Too Many\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"
    with hostile_server(authority[0], "answers", answer=head.encode()) as server:
        started = time.monotonic()
        error = failure(lambda: session.get(f"{server.base}/things"))
        assert time.monotonic() - started < _SLACK
    assert f"The service returned status 429 and asks to wait {words}" in error.what
    assert len(server.asked) == 1


@pytest.mark.parametrize("after", ["-1", "-1000000000", "soon", "1e9", "Mon, 99 Foo 99999 99:99:99 GMT", "²", ""])
def test_a_retry_after_that_says_nothing_is_left_out(
    after: str, authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    assert seconds_of(after) is None
    head = f"HTTP/1.1 202 Accepted\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"
    with hostile_server(authority[0], "answers", answer=head.encode()) as server:
        # An SDK that polls would sleep for it, and fail on a negative number.
        assert "Retry-After" not in session.get(f"{server.base}/things").headers


def test_the_pause_of_an_operation_that_continues_is_passed_on(
    authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    for after, passed in (("2", True), ("1000000000", False)):
        head = f"HTTP/1.1 202 Accepted\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"
        with hostile_server(authority[0], "answers", answer=head.encode()) as server:
            if passed:
                assert session.get(f"{server.base}/things").headers["Retry-After"] == after
            else:
                assert "more than a year" in failure(lambda: session.get(f"{server.base}/things")).what


def test_words_for_a_pause() -> None:
    assert (asked(60.0), asked(1e9)) == ("and asks to wait 60 s", "and asks to wait more than a year")


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [
        ("GET", "/things", 3),
        ("PUT", "/things", 3),
        ("DELETE", "/things", 3),
        ("POST", "/registries/r/listCredentials", 3),
        ("POST", "/registries/r/generateCredentials", 1),
        ("POST", "/packages", 1),
        ("PATCH", "/things", 1),
    ],
)
def test_only_what_changes_nothing_twice_is_sent_again(
    method: str, path: str, times: int, authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    clock = _Clock()
    session.mount("https://", RetryingTransport("The service", Patience(clock=clock, sleep=clock.sleep, total=100.0)))
    with hostile_server(authority[0], "answers", answer=answer) as server:
        assert session.request(method, f"{server.base}{path}", data=b"{}").status_code == 503
    assert (len(server.asked) >= times) if times > 1 else len(server.asked) == 1


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_factor_in_the_environment_multiplies_every_limit() -> None:
    assert Patience().scaled({}) == Patience()
    twice = Patience().scaled({"MANIFESTGEN_TIMEOUT_FACTOR": "2"})
    assert (twice.connect, twice.answer, twice.total) == (20.0, 70.0, 240.0)
    for wrong in ("0", "-1", "much", "inf", "nan"):
        with pytest.raises(InputError, match="is not a positive number"):
            Patience().scaled({"MANIFESTGEN_TIMEOUT_FACTOR": wrong})


def test_a_shorter_timeout_of_an_sdk_is_kept_and_a_longer_one_is_not() -> None:
    transport = Transport(Patience(connect=10, answer=30))
    assert transport._limits((1, 5)) == (1, 5)
    assert transport._limits((300, 300)) == (10, 30)
    assert transport._limits(None) == (10, 30)
    assert Transport(Patience(connect=10, answer=30), obeys=True)._limits((10, 100)) == (10, 100)


def test_a_large_request_may_take_longer_than_its_response(authority: tuple[trustme.CA, Path]) -> None:
    """The limit of a response begins with the last byte of the request."""
    session = session_of(RetryingTransport("The service", replace(QUICK, answer=2.0)))
    session.trust_env, session.verify = False, str(authority[1])
    with hostile_server(authority[0], "answers", answer=b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") as server:
        assert session.put(f"{server.base}/blob", data=b"x" * (8 << 20)).status_code == 201
    assert len(server.asked[0][1]) == 8 << 20


def test_connections_are_reused_after_a_body_was_read(
    authority: tuple[trustme.CA, Path], session: requests.Session
) -> None:
    with hostile_server(authority[0], "answers", answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as server:
        for _ in range(3):
            session.get(f"{server.base}/things")
        adapter = session.get_adapter(server.base)
        assert isinstance(adapter, Transport)
        pools = list(adapter.poolmanager.pools._container.values())
    assert [pool.num_connections for pool in pools] == [1]
