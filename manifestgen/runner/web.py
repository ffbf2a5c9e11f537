"""HTTP, when it is asked for: scoring as Azure ML's server does it, and metrics for Prometheus."""

from __future__ import annotations

import http.server
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast

from .errors import SettingsError
from .jobs import Job, Score
from .log import logger
from .outcome import Outcome
from .request import Request
from .settings import Listen
from .swagger import Swagger

# A connection has a thread as long as it is open.
_MOST_CONNECTIONS = 64
_IDLE_SECONDS = 60
_MOST_BYTES = 64 * 1024 * 1024

_NOT_FOUND = "The requested URL was not found on the server."
_NOT_ALLOWED = "The method is not allowed for the requested URL."
_RUN_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
_INTERNAL = "An unexpected internal error occurred. Check the logs for more info."

Site = Callable[[Request], Outcome]


def scoring(submit: Callable[[Job], None], swagger: Callable[[], Swagger]) -> Site:
    """The paths of Azure ML's server: `/`, `/score` and `/swagger.json`. Scoring waits for the main thread."""

    def score(request: Request) -> Outcome:
        if request.method == "OPTIONS":
            return Outcome(200, b"", "text/html; charset=utf-8")
        done = threading.Event()
        outcomes: list[Outcome] = []

        def reply(outcome: Outcome) -> None:
            outcomes.append(outcome)
            done.set()

        submit(Score(request, "http", reply))
        done.wait()
        return _worded(outcomes[0])

    def site(request: Request) -> Outcome:
        if request.path == "/score":
            return score(request) if request.method in ("GET", "POST", "OPTIONS") else _message(405, _NOT_ALLOWED)
        if request.path not in ("/", "/swagger.json"):
            return _message(404, _NOT_FOUND)
        if request.method not in ("GET", "HEAD"):
            return _message(405, _NOT_ALLOWED)
        if request.path == "/":
            return Outcome(200, b"Healthy", "text/html; charset=utf-8", run_failed=None)
        specification, problem = swagger().specification(request.args.get("version") or "2")
        return Outcome(200, json.dumps(specification).encode()) if specification else _message(404, problem)

    return site


def metrics(text: Callable[[], str]) -> Site:
    """`/metrics` in Prometheus' text format."""

    def site(request: Request) -> Outcome:
        if request.path != "/metrics":
            return _message(404, _NOT_FOUND)
        if request.method not in ("GET", "HEAD"):
            return _message(405, _NOT_ALLOWED)
        return Outcome(200, text().encode(), "text/plain; version=0.0.4; charset=utf-8", run_failed=None)

    return site


def serve(listen: Listen, site: Site, variable: str) -> Callable[[], None]:
    """Serve a site in separate threads; returns a function that stops it.

    Raises:
        SettingsError: the address cannot be listened at.
    """
    try:
        server = _Server(listen, site)
    except OSError as error:
        raise SettingsError(f"{variable}: cannot listen at {listen.host}:{listen.port}: {error.strerror}") from None
    threading.Thread(target=server.serve_forever, args=(0.1,), name=variable.lower(), daemon=True).start()
    logger.info("listening at http://%s:%d (%s)", listen.host, server.server_address[1], variable)

    def stop() -> None:
        server.shutdown()
        server.socket.close()

    return stop


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listen: Listen, site: Site) -> None:
        self.site = site
        self._room = threading.Semaphore(_MOST_CONNECTIONS)
        super().__init__((listen.host, listen.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        # A connection beyond the limit waits to be accepted.
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("an HTTP connection failed", exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "manifestgen-runner"
    sys_version = ""
    timeout = _IDLE_SECONDS

    def _answer(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._send(_message(411, "A request needs a Content-Length."))
            return
        if int(length) > _MOST_BYTES:
            self.close_connection = True
            self._send(_message(413, f"A request has {_MOST_BYTES:,} bytes at most."))
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(length))
        request = Request(body, dict(self.headers.items()), method=self.command, path=path, query=query)
        try:
            outcome = cast(_Server, self.server).site(request)
        except Exception:
            logger.error("an HTTP request failed unexpectedly", exc_info=True)
            outcome = _message(500, _INTERNAL)
        self._send(outcome)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def _send(self, outcome: Outcome) -> None:
        self.send_response(outcome.status)
        own = {"content-length", "content-type", "connection", "transfer-encoding"}
        headers = {name: value for name, value in outcome.headers.items() if name.lower() not in own}
        headers.update(self._request_ids())
        if outcome.run_failed is not None:
            headers["x-ms-run-function-failed"] = str(outcome.run_failed)
        if outcome.milliseconds and not outcome.reason:
            headers["x-ms-run-fn-exec-ms"] = f"{outcome.milliseconds:.3f}"
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", outcome.content_type)
        self.send_header("Content-Length", str(len(outcome.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(outcome.body)

    def _request_ids(self) -> Mapping[str, str]:
        request = self.headers.get("x-request-id") or str(uuid.uuid4())
        client = self.headers.get("x-ms-client-request-id") or self.headers.get("x-ms-request-id") or ""
        ids = {"x-request-id": request, "x-ms-request-id": client or request, "x-ms-client-request-id": client}
        # Do not forward a value that could end the header.
        return {name: value for name, value in ids.items() if value and value.isprintable() and len(value) <= 100}

    def log_message(self, format: str, *arguments: Any) -> None:
        logger.debug("HTTP %s", format % arguments)


def _worded(outcome: Outcome) -> Outcome:
    """An outcome with a body that says what went wrong, in the words of Azure ML's server where it has some."""
    if not outcome.reason or outcome.body:
        return outcome
    text = _RUN_FAILED if outcome.run_failed else _INTERNAL if outcome.status == 500 else outcome.reason
    return Outcome(
        outcome.status,
        json.dumps({"message": text}).encode(),
        reason=outcome.reason,
        run_failed=outcome.run_failed,
        milliseconds=outcome.milliseconds,
    )


def _message(status: int, text: str) -> Outcome:
    return Outcome(status, json.dumps({"message": text}).encode())
