"""A record of clients' requests: the last ones, and those that the sandbox does not support."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

_KEPT_REQUESTS = 5000
_KEPT_UNSERVED = 500

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Traffic:
    """A bounded log of requests, and a count of unsupported ones."""

    def __init__(self) -> None:
        self._requests: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)
        self._unserved: Counter[tuple[str, str, str]] = Counter()
        self._cleared = 0  # how many times

    @property
    def requests(self) -> Sequence[dict[str, Any]]:
        """The last requests, oldest first."""
        return tuple(self._requests)

    @property
    def unserved(self) -> Sequence[dict[str, Any]]:
        """Method, host, path and number of the requests that no service supports."""
        return [
            {"method": method, "host": host, "path": path, "count": count}
            for (method, host, path), count in self._unserved.items()
        ]

    def clear(self) -> None:
        """Clear the log, including requests still in progress; the count of unsupported requests stays."""
        self._requests.clear()
        self._cleared += 1

    def note_unserved(self, method: str, host: str, path: str) -> None:
        """Count a request that is not supported."""
        entry = (method, host, path)
        if entry in self._unserved or len(self._unserved) < _KEPT_UNSERVED:
            self._unserved[entry] += 1

    async def log(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request and log its outcome; status 0 means that the client got no response."""
        started, cleared = time.monotonic(), self._cleared
        status = 0
        try:
            response = await handler(request)
            transport = request.transport
            status = 0 if transport is None or transport.is_closing() else response.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            # Only if the router found no such path or method, not for the service's own 404s.
            if request.match_info.http_exception is not None:
                self.note_unserved(request.method, request.host, request.path)
            if cleared == self._cleared:
                self._requests.append(
                    {
                        "time": time.time(),
                        "method": request.method,
                        "host": request.host,
                        "path": request.path,
                        "query": request.query_string,
                        "status": status,
                        "client_request_id": request.headers.get("x-ms-client-request-id", ""),
                        "size": request.content_length or 0,
                        "seconds": round(time.monotonic() - started, 4),
                    }
                )
        return response
