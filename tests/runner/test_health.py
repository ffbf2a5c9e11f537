"""An image's HEALTHCHECK."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from manifestgen.runner.health import check


@pytest.fixture
def port() -> Iterator[int]:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Healthy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_runner_that_answers_is_well(port: int) -> None:
    for address in (str(port), f"0.0.0.0:{port}", f"127.0.0.1:{port}"):
        assert check({"RUNNER_HTTP": address}) == 0


def test_a_runner_that_does_not_answer_is_not() -> None:
    assert check({"RUNNER_HTTP": "1"}) == 1


@pytest.mark.parametrize(("command", "code"), [(b"python\0-m\0manifestgen_runner\0", 0), (b"/bin/sh\0", 1)])
def test_without_http_the_first_process_must_be_the_runner(tmp_path: Path, command: bytes, code: int) -> None:
    (tmp_path / "cmdline").write_bytes(command)
    assert check({}, tmp_path / "cmdline") == code
