"""The buffered TLS socket, against a plain one at the other end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from runner.broker import Certificates

from manifestgen.runner.tls import BufferedSocket

Ends = tuple[BufferedSocket, ssl.SSLSocket]


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    """The buffered socket and the other end of its connection."""
    certificates = Certificates(tmp_path)
    context = ssl.create_default_context(cadata=certificates.bundle)
    context.sslsocket_class = BufferedSocket
    ours, theirs = socket.socketpair()
    accepted: list[ssl.SSLSocket] = []
    server = threading.Thread(
        target=lambda: accepted.append(certificates.server_context().wrap_socket(theirs, server_side=True))
    )
    server.start()
    with context.wrap_socket(ours, server_hostname="localhost") as sock:
        server.join(10)
        assert isinstance(sock, BufferedSocket)
        sock.setblocking(False)
        with accepted[0] as other:
            other.settimeout(10)
            yield sock, other


def receive(sock: BufferedSocket, size: int) -> bytes:
    """Like `recv` of a socket that waits."""
    sock.settimeout(10)
    try:
        return sock.recv(size)
    finally:
        sock.setblocking(False)


def test_what_has_been_read_ahead_is_given_out_in_pieces(ends: Ends) -> None:
    sock, other = ends
    other.sendall(b"abcdef")
    assert receive(sock, 1) == b"a"
    assert sock.pending() == 5
    assert sock.recv(3) == b"bcd"
    assert sock.recv(100) == b"ef"
    assert sock.pending() == 0
    with pytest.raises(ssl.SSLWantReadError):
        sock.recv(1)


def test_a_message_of_many_records_comes_whole(ends: Ends) -> None:
    sock, other = ends
    sent = bytes(range(256)) * 1024
    sender = threading.Thread(target=other.sendall, args=(sent,))
    sender.start()
    received = b""
    while len(received) < len(sent):
        received += receive(sock, len(sent) - len(received))
    sender.join(10)
    assert received == sent


def test_the_end_of_the_connection_is_an_empty_answer_after_everything_else(ends: Ends) -> None:
    sock, other = ends
    other.sendall(b"ab")
    other.shutdown(socket.SHUT_RDWR)
    assert receive(sock, 1) == b"a"
    assert sock.recv(1) == b"b"
    assert receive(sock, 1) == b""


def test_what_is_collected_is_sent_at_once_by_a_flush(ends: Ends) -> None:
    sock, other = ends
    sock.collecting = True
    assert sock.send(b"one") == 3
    assert sock.send(b"two") == 3
    unsent = [sock.unsent]
    other.settimeout(0.05)
    with pytest.raises(TimeoutError):
        other.recv(10)
    sock.flush()
    assert [*unsent, sock.unsent] == [True, False]
    assert other.recv(10) == b"onetwo"


def test_without_collecting_it_sends_at_once(ends: Ends) -> None:
    sock, other = ends
    sock.send(b"now")
    assert other.recv(10) == b"now"


def test_what_the_system_does_not_take_stays_collected_in_order(ends: Ends) -> None:
    sock, other = ends
    sock.collecting = True
    sent = bytes(range(256)) * 16 * 1024
    sock.send(sent)
    sock.flush()
    assert sock.unsent
    sock.send(b"end")
    received = b""
    while len(received) < len(sent) + 3:
        sock.flush()
        received += other.recv(1 << 20)
    assert received == sent + b"end"


def test_a_flush_of_a_broken_connection_raises(ends: Ends) -> None:
    sock, other = ends
    sock.collecting = True
    other.close()
    with pytest.raises(OSError):
        for _ in range(10):
            sock.send(b"x")
            sock.flush()
    sock.send(b"x")
    sock.close()


def test_closing_sends_what_is_collected(ends: Ends) -> None:
    sock, other = ends
    sock.collecting = True
    sock.send(b"goodbye")
    sock.close()
    assert other.recv(10) == b"goodbye"
