"""A TLS socket that asks the system for more at once than paho does: it reads ahead, and collects what is written.

paho reads a packet in three pieces and writes each packet by itself. For a small message these calls, and the
interpreter's lock that each gives away, cost more than everything else.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

# More than a TLS record holds.
_MOST = 32 * 1024


class BufferedSocket(ssl.SSLSocket):
    """Made by an `SSLContext` whose `sslsocket_class` this is.

    Attributes:
        collecting: whether `send` keeps data until `flush`, in place of sending it at once.
    """

    collecting = False
    _collected: bytearray
    _ahead = b""
    _position = 0

    def __new__(cls, *arguments: Any, **named: Any) -> BufferedSocket:
        """`SSLContext.wrap_socket` makes instances without `__init__`."""
        made = super().__new__(cls, *arguments, **named)
        made._collected = bytearray()
        return made

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As a socket's."""
        if self._position >= len(self._ahead):
            self._ahead, self._position = self.read(_MOST), 0
        start = self._position
        self._position += buflen
        return self._ahead[start : start + buflen]

    def pending(self) -> int:
        """How many bytes `recv` gives without a look at the network."""
        return max(0, len(self._ahead) - self._position) + super().pending()

    def send(self, data: Any, flags: int = 0) -> int:
        """As a socket's, but nothing is sent before `flush` while it is `collecting`."""
        if not self.collecting:
            return super().send(data, flags)
        self._collected += data
        return len(data)

    @property
    def unsent(self) -> bool:
        """Whether something is collected."""
        return bool(self._collected)

    def flush(self) -> None:
        """Send what is collected, or as much of it as the system takes.

        Raises:
            OSError: the connection is broken.
        """
        try:
            while self._collected:
                del self._collected[: super().send(self._collected)]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return

    def close(self) -> None:
        """Flush and close."""
        with contextlib.suppress(OSError, ValueError):
            self.flush()
        super().close()
