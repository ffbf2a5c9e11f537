"""Finds secrets in clear text in a manifest, and hides them in lines of the file.

A secret is recognized by the name of its key and by its form, anywhere in the file and in malformed parts too: a
manifest that is shown because of a mistake is often malformed.
"""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from manifestgen.manifest import container
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.placeholder import FREE, is_one

_NAME: Final = (
    r"(?i)passw(or)?(d|t)|pwd\s*$|secret|api_?key|access_?key|account_?key|shared_?key|private_?key|"
    r"connection_?string|connstr|(auth|access|bearer|sas)_?token|credential"
)
# A name such as PASSWORD_FILE or SECRET_NAME says where a secret is, not what it is.
_ELSEWHERE: Final = r"(?i)(file|path|dir|name|uri|url|id|enabled|ttl|expiry|timeout|header|type|version)$"
_VALUE: Final = (
    r"(?i)(sharedaccesskey|accountkey|sharedaccesssignature|password|pwd)\s*=\s*[^;\s]|-----BEGIN .*PRIVATE KEY"
)
_NO_SECRETS: Final = frozenset({"true", "false", "none", "null", "yes", "no", "on", "off", "0", "1"})
# A name such as azureSpeechServicesKey is one of a secret if the value looks like one.
_KEY: Final = r"(?i)key$"
_NO_KEY: Final = r"(?i)(public|partition|primary|foreign|sort|row|routing|object|cache|event|message)_?key$|^key$"
_KEY_LENGTH: Final = 20
_KEY_VALUE: Final = r"(?=.*\d)[A-Za-z0-9+/_-]+=*\Z"
#: The password of `https://user:password@host` is group 1.
IN_ADDRESS: Final = r"://[^/\s:@]*:([^/\s@]+)@"
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
    return bool(value) and (named or _holds_one(value))


def _holds_one(text: str) -> bool:
    """Whether a connection string or the like has a secret in it, and not only a placeholder for one."""
    if re.search(_VALUE, text) is None:
        return False
    return re.search(_VALUE, re.sub(FREE, "", text)) is not None


@lru_cache(maxsize=4096)
def _names_key(name: str) -> bool:
    return re.search(_KEY, name) is not None and re.search(_NO_KEY, name) is None


@lru_cache(maxsize=4096)
def _names_secret(name: str) -> bool:
    return re.search(_NAME, name) is not None and re.search(_ELSEWHERE, name) is None


def secret_texts(manifest: Manifest) -> list[str]:
    """Every text in a manifest that seems to be a secret, whatever the shape of what is around it; the longest first.

    Placeholders are none.
    """
    found: set[str] = set()
    _collect(manifest.data if manifest.data is not None else manifest.content, found)
    # A value from JSON within JSON may also occur in the text around it.
    return sorted((text for text in found if len(text) >= _SHORTEST and not is_one(text)), key=len, reverse=True)


# How a value is looked at: for secrets in it; as one, with all that is in it; as part of registryCredentials.
_SEARCH: Final = 0
_ALL: Final = 1
_CREDENTIALS: Final = 2


def _collect(data: Any, found: set[str]) -> None:
    stack: list[tuple[Any, int, str]] = [(data, _SEARCH, "")]
    while stack:
        value, how, name = stack.pop()
        kind = type(value)
        if kind is str:
            if how != _SEARCH and (how == _ALL or not _is_host(value)):
                found.add(value)
            elif "=" in value or len(value) >= _KEY_LENGTH:
                if is_secret(name, value):
                    found.add(value)
                if "=" in value or "://" in value:
                    found.update(_parts(value))
        elif kind is dict:
            # {"name": "PASSWORD", "value": "…"}, as other tools write variables
            pair = len(value) < _FEW and _pair_of(value)
            for key, item in value.items():
                role = _role(key)
                if role == _OPTIONS:
                    _collect_options(item, found)
                    continue
                if role == _ODD:
                    found.update(_parts(key))
                if how == _SEARCH and key in _OF_MANY and type(item) is dict:
                    stack.append((_others(item, found, named=key != _TWINS), how, key))
                elif type(item) in _TAKEN:
                    stack.append((item, _below(how, role, pair and key.lower() == "value"), key))
        elif kind is list:
            flagged = False
            for item in value:
                stack.append((item, _ALL if flagged else how, name))
                # ["--password", "…"]
                flagged = isinstance(item, str) and item.startswith("-") and "=" not in item and _names_secret(item)
        elif how != _SEARCH:
            found.add(json.dumps(value))


def _others(entries: dict[str, Any], found: set[str], *, named: bool) -> dict[str, Any]:
    """Values in place of a module or a module's twin; they are searched for secrets.

    Args:
        named: whether the keys are names and say nothing about what is below them.
    """
    others: dict[str, Any] = {}
    for name, item in entries.items():
        if type(item) is dict and (named or _role(name) == _PLAIN):
            found |= _of_one(item)
        else:
            others[name] = item
    return others


def _of_one(entry: dict[str, Any]) -> frozenset[str]:
    try:
        packed = marshal.dumps(entry, 2)
    except ValueError:
        # Hundreds of levels deep.
        packed = b""
    if 0 < len(packed) <= _UNUSUAL:
        return _kept(packed)
    found: set[str] = set()
    _collect(entry, found)
    return frozenset(found)


# Modules and their twins repeat within a fleet and between two keystrokes.
_TWINS: Final = "modulesContent"
_OF_MANY: Final = frozenset({"modules", "systemModules", _TWINS})
_UNUSUAL: Final = 16384


@lru_cache(maxsize=2048)
def _kept(packed: bytes) -> frozenset[str]:
    found: set[str] = set()
    _collect(marshal.loads(packed), found)  # noqa: S302 - our own bytes, packed just before
    return frozenset(found)


_FEW: Final = 6
_TAKEN: Final = frozenset({str, dict, list, int, float})
_PLAIN, _SECRET, _PUBLIC, _ENTRIES, _OPTIONS, _ODD = range(6)


def _pair_of(value: dict[str, Any]) -> bool:
    return any(key.lower() == "name" and isinstance(item, str) and _names_secret(item) for key, item in value.items())


@lru_cache(maxsize=4096)
def _role(key: str) -> int:
    """The effect of a key on the values below it."""
    lower = key.strip().lower()
    if "createoptions" in lower:
        return _OPTIONS
    if "registrycredentials" in lower:
        # A layer's key is a path: properties.desired.runtime.settings.registryCredentials.NAME
        *_, above, last = ["", *lower.split(".")]
        if "registrycredentials" in (above, last):
            return _ENTRIES
        lower = last
    if lower in ("address", "username"):
        return _PUBLIC
    if "=" in key or "://" in key:
        return _ODD
    return _SECRET if _names_secret(key.strip()) else _PLAIN


def _below(how: int, role: int, of_pair: bool) -> int:
    if role == _ENTRIES:
        return _CREDENTIALS
    if how == _CREDENTIALS:
        return _SEARCH if role == _PUBLIC else _CREDENTIALS
    return _ALL if how == _ALL or role == _SECRET or of_pair else _SEARCH


def _is_host(text: str) -> bool:
    return "." in text and " " not in text and text.rpartition(".")[2].isalpha() and len(text.rpartition(".")[2]) < 4


def _collect_options(value: Any, found: set[str]) -> None:
    if not isinstance(value, str):
        _collect(value, found)
        return
    options = container.read(value)
    if options.error:
        from manifestgen.manifest.written_secret import hide_passwords

        hidden = hide_passwords(value)
        found.update(value[start:end] for start, end in _differences(value, hidden))
    else:
        _collect(options.data, found)


def _differences(text: str, hidden: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(r"\*+", hidden):
        if text[match.start() : match.end()] != match[0]:
            yield match.start(), match.end()


def _parts(text: str) -> Iterator[str]:
    """The secrets in a text such as `NAME=value`, a connection string or an address with a password."""
    if "://" in text:
        yield from (match[1] for match in re.finditer(IN_ADDRESS, text))
    if "=" in text:
        if _holds_one(text):
            yield text
        name, _, value = text.partition("=")
        if is_secret(name.strip(), value):
            yield value
        for word in text.split() if " " in text else ():
            name, _, value = word.partition("=")
            if is_secret(name, value):
                yield value


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
    """Secrets as a JSON text may write them, in JSON within JSON too, or a message that quotes them; longest first."""
    forms: set[str] = set()
    for secret in secrets:
        for once in (json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(secret)[1:-1]):
            forms |= {secret, once, json.dumps(once, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return sorted(forms, key=len, reverse=True)
