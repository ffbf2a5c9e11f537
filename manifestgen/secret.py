"""A type for secrets that hides itself, and the redaction of every text that leaves the process.

`Secret` never shows its value by accident; `redact` and `redact_json` replace every secret that the process has read.
This set of secrets is the only global state of the package: a log record may come from any thread and any SDK, so the
code that prints it cannot be given the secrets to hide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final, NoReturn

HIDDEN: Final = "***"

# Shorter texts occur by chance in any output; hiding them would garble it and reveal them.
_SHORTEST: Final = 4

# Secrets that reach a text without having been read by us, such as keys in a service's response: each with characters
# that a text must contain, in folded case, to match. Most contain none, and then the pattern need not be compiled.
_PATTERNS: Final = (
    ("sharedaccesskey=", r"(?i)(?<=sharedaccesskey=)[A-Za-z0-9+/]{8,}={0,2}"),
    ("accountkey=", r"(?i)(?<=accountkey=)[A-Za-z0-9+/]{8,}={0,2}"),
    # An i is also matched by letters that do not fold to it.
    ("g=", r"(?i)(?<=[?&\s]sig=)[A-Za-z0-9%+/_=-]{8,}"),
    ("bearer ", r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/-]{12,}=*"),
    ("bas", r"(?i)(?<=\bbasic )[A-Za-z0-9+/]{8,}={0,2}"),
    # https://USER:PASSWORD@HOST, as in proxy URLs
    ("://", r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"),
)
_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
# Characters that JavaScript's encodeURI and encodeURIComponent, and Python's quote, do not encode.
_UNQUOTED: Final = ("", "/", "!*'()", ";,/?:@&=+$-_.!~*'()#")

_PERCENT: Final = "%((?:25)*[0-9A-F]{2})"

_forms: set[str] = set()
# The same for base64: a part of every base64 text that encodes a secret, alone or within other data.
_cores: set[str] = set()


class Secret:
    """A string that only `reveal` shows.

    Creating one registers it with `redact`, including its forms in JSON, Python, HTML, URLs and base64.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        _learn(value)

    def reveal(self) -> str:
        """The plain string, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        import hmac

        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"), other._value.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere; call reveal() where its text is needed")


def _learn(value: str) -> None:
    if len(value.strip()) < _SHORTEST:
        return
    _forms.update(_forms_of(value))
    _cores.update(_cores_of(value))


def _forms_of(value: str) -> set[str]:
    """The text as it appears in JSON, JSON in JSON, Python's repr, HTML and a URL."""
    in_json, shown = json.dumps(value)[1:-1], repr(value)[1:-1]
    return {value, *_escaped(value), *_escaped(in_json), *_escaped(shown), *_quoted(value)}


def _escaped(text: str) -> set[str]:
    # Imported with the first secret, so that commands without one start some milliseconds faster.
    import html

    raw = text.encode("utf-8", "surrogatepass")
    forms = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    # Which quotes Python's repr escapes depends on the text around the secret.
    for shown in (repr(text + "'\"")[1:-4], ascii(text + "'\"")[1:-4], repr(raw + b"'\"")[2:-4]):
        forms |= {shown, shown.replace("\\'", "'")}
    return forms | {html.escape(text, quote=False), html.escape(text), html.escape(text).replace("&#x27;", "&#39;")}


def _quoted(text: str) -> Iterator[str]:
    """The text in a URL, and in a URL within a URL."""
    from urllib.parse import quote, quote_plus

    for form in (*(quote(text, safe=kept, errors="replace") for kept in _UNQUOTED), quote_plus(text, errors="replace")):
        yield form
        yield quote(form, safe="")


def _cores_of(value: str) -> set[str]:
    """The base64 characters of a text that do not depend on the text around it, such as a user name.

    Three bytes become four characters, so a text has three possible offsets; characters that also encode bits of a
    neighbor are left out.
    """
    import base64
    from urllib.parse import quote

    raw = value.encode("utf-8", "surrogatepass")
    cores = set()
    for before in range(3):
        bits = 8 * before, 8 * (before + len(raw))
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(bytes(before) + raw).decode()[-(-bits[0] // 6) : bits[1] // 6]
            upper = quote(core, safe="")
            cores |= {core, upper, upper.replace("%2B", "%2b").replace("%2F", "%2f"), core.replace("/", "\\/")}
    return cores


def redact(text: str) -> str:
    """Replace every secret that the process has read, and anything that looks like a key, with `***`.

    All are found in the original text, so that overlapping secrets are hidden in any order.
    """
    found = sorted(_found(text))
    if not found:
        return text
    pieces: list[str] = []
    end = 0
    for start, stop in found:
        if start > end or not pieces:
            pieces += (text[end:start], HIDDEN)
        end = max(end, stop)
    return "".join((*pieces, text[end:]))


# Where the SDKs begin to quote a response, in exceptions and logs.
_QUOTED: Final = r"(?s)\s*\b(?:Content|Response|Response Code|Headers|Body|Raw response)\s*:\s.*|(?<=failed: )[\[{].*"


def without_quotes(text: str) -> str:
    """The text of an SDK's exception or log record without a quoted response of a service."""
    return re.sub(_QUOTED, "", text)


def _found(text: str) -> Iterator[tuple[int, int]]:
    """The start and end of each secret in a text."""
    folded = text.casefold()
    for match in _matches(_there(_forms, folded), text):
        yield match.span()
    for match in _matches(_there(_cores, folded), text):
        yield _base64_around(text, *match.span())
    for mark, known in _PATTERNS:
        if mark in folded:
            for match in re.finditer(known, text):
                yield match.span()


def _there(forms: set[str], folded: str) -> re.Pattern[str] | None:
    """A pattern of the forms that a case-folded text may contain; None if there are none.

    A process that requests many signed URLs learns a secret with each response. Compiling a pattern of all known
    secrets would take longer than everything else.
    """
    # A copy: another thread may learn a secret meanwhile.
    there = [form for form in forms.copy() if form.casefold() in folded]
    return _any_of(there) if there else None


def _any_of(forms: Collection[str]) -> re.Pattern[str]:
    # Longest first, so that a secret that contains another is hidden completely.
    return re.compile("|".join(_pattern(form) for form in sorted(forms, key=len, reverse=True)))


def _pattern(form: str) -> str:
    """A pattern of a form, with its percent codes in either case."""
    return re.sub(_PERCENT, lambda code: f"%{re.sub('[A-F]', _either_case, code[1])}", re.escape(form))


def _either_case(letter: re.Match[str]) -> str:
    return f"[{letter[0]}{letter[0].lower()}]"


def _matches(pattern: re.Pattern[str] | None, text: str) -> Iterator[re.Match[str]]:
    """All matches, including overlapping ones."""
    if pattern is None:
        return
    match = pattern.search(text)
    while match is not None:
        yield match
        match = pattern.search(text, match.start() + 1)


def _base64_around(text: str, start: int, stop: int) -> tuple[int, int]:
    """Extend a match to the whole base64 text: adjacent characters also encode bits of the secret."""
    while start and text[start - 1] in _BASE64:
        start -= 1
    while stop < len(text) and text[stop] in _BASE64:
        stop += 1
    return start, stop


def redact_json(data: Any) -> Any:
    """Plain JSON data with the secrets in strings and keys replaced, and every `Secret` hidden."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, Secret):
        return HIDDEN
    if isinstance(data, dict):
        return {redact(key) if isinstance(key, str) else key: redact_json(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [redact_json(item) for item in data]
    return data
