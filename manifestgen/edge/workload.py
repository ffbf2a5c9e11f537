"""The workload API for one module: HTTP over a Unix socket that signs its tokens and says whom to trust.

Source: Azure/iotedge, edgelet/edgelet-http-workload; what azure-iot-device and our runner ask of it.
"""

from __future__ import annotations

import base64
import binascii
import http.server
import json
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from manifestgen.edge.identity import Identity
from manifestgen.errors import InputError

#: At most as many requests are answered at a time; the connection of another is closed, as IoT Edge does.
AT_ONCE: Final = 10
_LARGEST: Final = 64 * 1024
_PATIENCE: Final = 10.0
_FIRST_VERSION: Final = "2018-06-28"

_Answer = tuple[int, dict[str, Any]]


class Workload:
    """The socket of one module's process."""

    def __init__(self, identity: Identity, module: str, generation: str, path: Path) -> None:
        """Make the module known to the identity; its socket will be at this path."""
        identity.add(module)
        self._identity, self._module, self._generation, self._path = identity, module, generation, path
        self._server: _Server | None = None

    @property
    def uri(self) -> str:
        """For `IOTEDGE_WORKLOADURI`."""
        return f"unix://{self._path}"

    def start(self) -> None:
        """Listen.

        Raises:
            InputError: the path cannot be a socket: it is too long, its folder is not there, or this is Windows.
        """
        if not hasattr(socket, "AF_UNIX"):
            raise InputError("this system has no Unix sockets for Python", fix="use Linux or macOS")
        try:
            self._path.unlink(missing_ok=True)
            self._server = _Server(str(self._path), self)
            self._path.chmod(0o600)
        except OSError as error:
            raise InputError(
                f"the workload socket cannot be made: {error}", where=str(self._path), fix="choose a shorter folder"
            ) from error
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="workload", daemon=True).start()

    def stop(self) -> None:
        """End, and remove the socket."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._path.unlink(missing_ok=True)

    def answer(self, method: str, target: str, body: bytes) -> _Answer:
        """The status and the JSON for a request."""
        parts = urlsplit(target)
        version = parse_qs(parts.query).get("api-version", [""])[0]
        if version < _FIRST_VERSION:
            return _error(400, "api-version is missing or too old")
        words = [unquote(word) for word in parts.path.split("/")[1:]]
        if method == "GET" and words == ["trust-bundle"]:
            return 200, {"certificate": self._identity.trust_bundle}
        if method == "GET" and words == ["manifest-trust-bundle"]:
            return _error(404, "there is no manifest trust bundle")
        if len(words) == 5 and words[0] == "modules" and words[2] == "genid" and words[4] == "sign":
            if method != "POST":
                return _error(405, "use POST")
            if words[1] != self._module:
                return _error(403, "a module signs for itself only")
            if words[3] != self._generation:
                return _error(404, "the generation is not this module's")
            return self._sign(body)
        return _error(404, "no such resource")

    def _sign(self, body: bytes) -> _Answer:
        try:
            request = json.loads(body)
            data = base64.b64decode(request["data"], validate=True)
            key, algorithm = request.get("keyId", "primary"), request.get("algo", "HMACSHA256")
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            return _error(400, "expected keyId, algo and data in base64")
        if key not in ("primary", "secondary") or algorithm != "HMACSHA256":
            return _error(400, "keyId is primary or secondary, and algo is HMACSHA256")
        digest = self._identity.sign(self._module, data)
        if digest is None:
            return _error(404, "the module is not known")
        return 200, {"digest": base64.b64encode(digest).decode()}


def _error(status: int, message: str) -> _Answer:
    return status, {"message": message}


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    address_family = getattr(socket, "AF_UNIX", socket.AF_INET)
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: str, workload: Workload) -> None:
        self.workload = workload
        self.places = threading.BoundedSemaphore(AT_ONCE)
        address: Any = path  # typeshed knows TCP's addresses only
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a client that went away


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "iotedge-workload"
    timeout = _PATIENCE

    def _respond(self) -> None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= _LARGEST:
            # Read some of it: a client that still writes when the connection is closed does not see the answer.
            self.rfile.read(min(max(length, 0), 16 * _LARGEST))
            status, content = _error(413, "the request is too large")
            self.close_connection = True
        else:
            body = self.rfile.read(length)
            status, content = self.server.workload.answer(self.command, self.path, body)
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _respond

    def address_string(self) -> str:
        return "module"

    def log_message(self, *_: object) -> None:
        return
