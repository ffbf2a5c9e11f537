"""Decides which variables, of a `.env`, of the environment or of a template, are secrets.

Everything that `secret_text` treats as a secret in a manifest is one, and more: everything that is named like a secret,
contains one, or looks like a random key. A false positive costs a variable that has to be set by hand, a false negative
a secret in a committed file.
"""

from __future__ import annotations

import re
from typing import Final

from manifestgen.manifest.secret_text import IN_ADDRESS, is_secret

_NAME: Final = (
    r"(?i)pass|pwd|secret|token|credential|creds?(_|$)|(^|_)sas(_|$)|conn(ection)?_?str|connection|cert|private"
    r"|(^|_)(pat|pin|auth|psk|pw)(_|$)|key"
)
# In a template, which is in a repository already, only what is hardly anything else.
_PLAIN_NAME: Final = r"(?i)pass(w|_|$|phrase)|pwd|secret|token|credential|(^|_)sas(_|$)|conn(ection)?_?str"
# Names that end so say where a secret is, how long it lasts or what it is called.
_ELSEWHERE: Final = (
    r"(?i)(file|path|dir|folder|name|user|uri|url|endpoint|host|server|address|port|id|enabled|ttl|expiry|timeout"
    r"|type|version|count|interval|size)$"
)
_HOLDS: Final = (
    r"(?i)sharedaccess|accountkey|accesskey\s*=|(password|pwd|secret|token|key|sig)\s*=|-----BEGIN|\beyJ[\w-]{10}"
    rf"|instrumentationkey|{IN_ADDRESS}"
)
_PLAIN: Final = r"(?i)true|false|yes|no|on|off|none|null|-?\d{1,5}(\.\d+)?|"
_RANDOM: Final = r"[A-Za-z0-9+/_~.=-]{20,}"
_GUID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def holds_secret(name: str, value: str) -> bool:
    """Whether a variable of a `.env` looks like a secret, by its name and value."""
    return _holds(name, value, _NAME)


def is_written_secret(name: str, value: str) -> bool:
    """Whether a variable that a template itself sets looks like a secret, by its name and value."""
    return re.search(r"[${]", value) is None and _holds(name, value, _PLAIN_NAME)


def _holds(name: str, value: str, names: str) -> bool:
    if re.fullmatch(_PLAIN, value):
        return False
    if is_secret(name, value) or re.search(_HOLDS, value):
        return True
    return (re.search(names, name) is not None and re.search(_ELSEWHERE, name) is None) or _looks_random(value)


def _looks_random(value: str) -> bool:
    """Whether a text looks like a generated key: long, of letters in both cases and digits, or of hex."""
    if not re.fullmatch(_RANDOM, value) or re.fullmatch(_GUID, value):
        return False
    if re.fullmatch(r"[0-9a-fA-F]{32,}", value):
        return True
    if re.fullmatch(r"[\w-]+(\.[\w-]+)+(/.*)?|/.*", value) and "+" not in value and "=" not in value:
        return False  # a host, an image or a path
    kinds = sum(re.search(kind, value) is not None for kind in (r"[a-z]", r"[A-Z]", r"[0-9]"))
    changes = len(re.findall(r"[a-z][A-Z0-9]|[A-Z][0-9]|[0-9][A-Za-z]", value))
    return kinds == 3 and changes * 5 >= len(value)
