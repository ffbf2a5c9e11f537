"""What clients asked for: the last requests, and those that the sandbox has no answer to."""

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
    """A bounded log of requests, and a count of what is not served."""

    def __init__(self) -> None:
        self._requests: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)
        self._unserved: Counter[tuple[str, str, str]] = Counter()
        self._cleared = 0  # how often

    @property
    def requests(self) -> Sequence[dict[str, Any]]:
        """The last requests, the oldest first."""
        return tuple(self._requests)

    @property
    def unserved(self) -> Sequence[dict[str, Any]]:
        """Method, host, path and number of the requests that nothing here answers."""
        return [
            {"method": method, "host": host, "path": path, "count": count}
            for (method, host, path), count in self._unserved.items()
        ]

    def clear(self) -> None:
        """Forget the requests made so far, those that are still being answered too; what is not served stays."""
        self._requests.clear()
        self._cleared += 1

    def refused(self, method: str, host: str, path: str) -> None:
        """Note a request for something that is not served."""
        entry = (method, host, path)
        if entry in self._unserved or len(self._unserved) < _KEPT_UNSERVED:
            self._unserved[entry] += 1

    async def log(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note a request and its outcome; status 0 means that the client got no answer."""
        started, cleared = time.monotonic(), self._cleared
        status = 0
        try:
            response = await handler(request)
            transport = request.transport
            status = 0 if transport is None or transport.is_closing() else response.status
        except web.HTTPException as answer:
            status = answer.status
            raise
        finally:
            # The router found no such path or method: the service's own 404s for missing things are not meant.
            if request.match_info.http_exception is not None:
                self.refused(request.method, request.host, request.path)
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
