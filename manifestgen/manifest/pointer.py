"""JSON Pointer (RFC 6901): how a place in a manifest is named, since its keys contain dots."""

from __future__ import annotations


def escape(key: str) -> str:
    """A key as one token of a pointer."""
    if "~" in key or "/" in key:
        return key.replace("~", "~0").replace("/", "~1")
    return key


def join(base: str, *keys: str | int) -> str:
    """The pointer to what is under `keys` below `base`."""
    return base + "".join(f"/{escape(key) if isinstance(key, str) else key}" for key in keys)


def unescape(token: str) -> str:
    """The key of one token of a pointer."""
    return token.replace("~1", "/").replace("~0", "~") if "~" in token else token


def split(pointer: str) -> list[str]:
    """The keys of a pointer, from the outermost to the innermost."""
    if "~" not in pointer:
        return pointer.split("/")[1:]
    return [unescape(token) for token in pointer.split("/")[1:]]
