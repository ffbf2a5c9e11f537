"""A stand-in for the part of GitHub's REST API that writes comments on pull requests, on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "ghs_stand_in"


@dataclass
class GitHub:
    """Comments on pull requests, and what was asked.

    Attributes:
        comments: oldest first: `{"id", "body", "user": {"type"}}`.
        asked: method and path of each request.
        reads_only: refuses to write, as for the token of a fork's pull request.
    """

    api: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    reads_only: bool = False

    def add(self, body: str, kind: str = "User") -> None:
        """Somebody comments."""
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": {"type": kind}})

    def answer(self, method: str, path: str, authorization: str, body: Any) -> tuple[int, Any]:
        """Status and body, as GitHub's documentation has them."""
        self.asked.append((method, path))
        if authorization != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        if method != "GET" and self.reads_only:
            return 403, {"message": "Resource not accessible by integration"}
        if method != "GET" and not 0 < len(body.get("body", "")) <= 65_536:
            return 422, {"message": "Validation Failed", "errors": [{"field": "body"}]}
        if listed := re.fullmatch(r"/repos/contoso/edge/issues/7/comments(?:\?per_page=100&page=(\d+))?", path):
            if method == "POST":
                self.add(body["body"], "Bot")
                return 201, self.comments[-1]
            page = int(listed[1] or 1)
            return 200, self.comments[(page - 1) * 100 : page * 100]
        one = re.fullmatch(r"/repos/contoso/edge/issues/comments/(\d+)", path)
        if one and method == "PATCH":
            self.comments[int(one[1]) - 1]["body"] = body["body"]
            return 200, self.comments[int(one[1]) - 1]
        return 404, {"message": "Not Found"}


@contextmanager
def github() -> Iterator[GitHub]:
    """A running stand-in."""
    state = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"null")
            status, data = state.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            sent = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PATCH = _handle

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.api = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
