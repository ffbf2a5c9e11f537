"""Where edgeHub listens, and why it cannot be reached there."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """Where edgeHub listens, and how."""

    host: str
    port: int = 8883
    websocket: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def explain(self, error: Exception) -> str:
        """Why an attempt to connect has failed, for an operator."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate of edgeHub at {self.host} is not trusted: {error.verify_message}"
        if isinstance(error, ssl.SSLError):
            return f"TLS with edgeHub at {self} failed: {error.reason or error}"
        if isinstance(error, socket.gaierror):
            return f"the name of edgeHub, {self.host}, cannot be resolved"
        return f"edgeHub at {self} is not reachable: {error}"
