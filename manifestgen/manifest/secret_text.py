"""Secrets that stand in a manifest in clear text: which texts they are, and lines of the file without them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import as_text, key_of
from manifestgen.manifest.section import child

_NAME: Final = (
    r"(?i)passw(or)?d|pwd$|secret|api_?key|access_?key|account_?key|shared_?key|private_?key|connection_?string|connstr|"
    r"(auth|access|bearer|sas)_?token|credential"
)
# A name such as PASSWORD_FILE or SECRET_NAME says where a secret is, not what it is.
_ELSEWHERE: Final = r"(?i)(file|path|dir|name|uri|url|id|enabled|ttl|expiry|timeout|header|type|version)$"
_VALUE: Final = r"(?i)(sharedaccesskey|accountkey|sharedaccesssignature|password|pwd)\s*=|-----BEGIN .*PRIVATE KEY"
# In a text that may be no JSON at all.
_WRITTEN_OUT: Final = (
    r"""(?i)(?:password|passwd|pwd|secret|key|token)\\*["']?\s*[:=]\s*\\*["']?(?P<secret>[^"'\\,;}\s]{4,})"""
)
_NO_SECRETS: Final = frozenset({"true", "false", "none", "null", "yes", "no", "on", "off", "0", "1"})
# A name such as azureSpeechServicesKey is one of a secret if the value looks like one.
_KEY: Final = r"(?i)key$"
_NO_KEY: Final = r"(?i)(public|partition|primary|foreign|sort|row|routing|object|cache|event|message)_?key$|^key$"
_KEY_LENGTH: Final = 20
_KEY_VALUE: Final = r"(?=.*\d)[A-Za-z0-9+/_-]+=*\Z"
# Shorter texts occur by chance; hiding them would garble the line and say where they are.
_SHORTEST: Final = 4


def is_secret(name: str, value: str) -> bool:
    """Whether a variable of this name and value seems to hold a secret itself."""
    named = _names_secret(name) or (
        len(value) >= _KEY_LENGTH and _names_key(name) and re.match(_KEY_VALUE, value) is not None
    )
    if not named and "=" not in value:
        return False
    if value.lower() in _NO_SECRETS or value.startswith(("/", "$", "{{", "<")):
        return False
    return bool(value) and (named or re.search(_VALUE, value) is not None)


@lru_cache(maxsize=4096)
def _names_key(name: str) -> bool:
    return re.search(_KEY, name) is not None and re.search(_NO_KEY, name) is None


@lru_cache(maxsize=4096)
def _names_secret(name: str) -> bool:
    return re.search(_NAME, name) is not None and re.search(_ELSEWHERE, name) is None


def secret_texts(manifest: Manifest) -> list[str]:
    """The passwords of registry credentials, and variables that seem to hold secrets; the longest first."""
    found: set[str] = set()
    for part in manifest.credential_entries():
        password = child(part, "password")
        if password is not None and isinstance(password.value, str):
            found.add(password.value)
    for module in manifest.modules():
        for name, entry in module.env.items():
            key = key_of(entry, "value") if isinstance(entry, dict) else None
            value = as_text(entry[key]) if key is not None else None
            if value and is_secret(name, value):
                found.add(value)
    for _, options in manifest.options:
        env = options.get("Env")
        for item in env if isinstance(env, list) else ():
            name, _, value = item.partition("=") if isinstance(item, str) else ("", "", "")
            if is_secret(name, value):
                found.add(value)
    return sorted((text for text in found if len(text) >= _SHORTEST), key=len, reverse=True)


def hide(line: str, secrets: Sequence[str]) -> str:
    """A line with its secrets replaced by as many asterisks, so that columns stay what they are.

    Args:
        line: of the file as it is.
        secrets: in the forms that `written_forms` gives.
    """
    for form in secrets:
        if form in line:
            line = line.replace(form, "*" * len(form))
    return line


def written_forms(secrets: Sequence[str]) -> list[str]:
    """Secrets as a JSON text may write them, in JSON within JSON too; the longest first."""
    forms: set[str] = set()
    for secret in secrets:
        for once in (json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(secret)[1:-1]):
            forms |= {secret, once, json.dumps(once, ensure_ascii=False)[1:-1]}
    return sorted(forms, key=len, reverse=True)


def hide_passwords(line: str) -> str:
    """A line of a text that is no manifest, with what looks like a password replaced by as many asterisks."""
    return re.sub(_WRITTEN_OUT, _hidden, line)


def _hidden(match: re.Match[str]) -> str:
    whole, secret = match[0], match["secret"]
    return whole[: len(whole) - len(secret)] + "*" * len(secret)
