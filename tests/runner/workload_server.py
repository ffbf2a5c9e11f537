"""A workload socket for tests: HTTP over a Unix socket, which signs with a key, and breaks on request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

KEY = b"the module's key"


@dataclass
class Workload:
    """What the socket does.

    Attributes:
        requests: method and path of each request, in order.
        close_next: how many of the next connections are closed without an answer.
        answer: what is answered in place of the truth: a status and a body.
        signed: what was signed last.
    """

    path: Path
    trust_bundle: str
    requests: list[str] = field(default_factory=list)
    close_next: int = 0
    answer: tuple[int, bytes] | None = None
    signed: bytes = b""

    @property
    def uri(self) -> str:
        return f"unix://{self.path}"

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(path)
        assert "api-version=" in parts.query
        if self.answer is not None:
            return self.answer
        if (method, parts.path) == ("GET", "/trust-bundle"):
            return 200, json.dumps({"certificate": self.trust_bundle}).encode()
        words = [unquote(word) for word in parts.path.split("/")]
        assert method == "POST", method
        assert (words[1], words[3], words[5]) == ("modules", "genid", "sign"), path
        request = json.loads(body)
        assert (request["keyId"], request["algo"]) == ("primary", "HMACSHA256")
        self.signed = base64.b64decode(request["data"], validate=True)
        digest = hmac.new(KEY, self.signed, hashlib.sha256).digest()
        return 200, json.dumps({"digest": base64.b64encode(digest).decode()}).encode()


@contextmanager
def workload_socket(path: Path, trust_bundle: str) -> Iterator[Workload]:
    """A workload socket at this path."""
    workload = Workload(path, trust_bundle)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do(self) -> None:
            workload.requests.append(f"{self.command} {self.path}")
            if workload.close_next:
                workload.close_next -= 1
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = workload.respond(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do

        def log_message(self, *_: object) -> None:
            return

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield workload
        server.shutdown()
