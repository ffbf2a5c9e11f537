"""JSON Web Tokens, signed with a key of the sandbox: HS256 of RFC 7519."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class JsonWebToken:
    """A token that was read; its signature is not verified.

    Attributes:
        claims: JSON data, which should be an object.
        signed: header and claims, as they stand in the text.
    """

    claims: Any
    signed: str
    signature: bytes

    def is_signed_with(self, key: str) -> bool:
        """Whether this key has signed it."""
        return hmac.compare_digest(self.signature, _signature(self.signed, key))


def encode(claims: Mapping[str, Any], key: str) -> str:
    """A token with these claims."""
    parts = ({"typ": "JWT", "alg": "HS256", "kid": "sandbox"}, claims)
    signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_base64(_signature(signed, key))}"


def decode(text: str) -> JsonWebToken:
    """The token in a text. Raises ValueError if it is none; its signature is not verified."""
    signed, _, signature = text.rpartition(".")
    return JsonWebToken(json.loads(_unbase64(signed.partition(".")[2])), signed, _unbase64(signature))


def _signature(signed: str, key: str) -> bytes:
    return hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
