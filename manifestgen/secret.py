"""A secret is a type that hides itself, and every text that leaves the process is searched for it.

`Secret` never shows its value by accident; `redact` and `redact_json` replace every secret that the process has seen.
The set of secrets seen is the only state that the package shares between its parts: a log record may come from any
thread and any SDK, so whatever prints it cannot be handed the secrets to hide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final, NoReturn

HIDDEN: Final = "***"

# Shorter texts occur by chance in any output; hiding them would garble it and say where they are.
_SHORTEST: Final = 4

# Secrets that reach a text without having been read by us, such as the keys in a service's answer.
_PATTERNS: Final = (
    re.compile(r"(?i)(?<=sharedaccesskey=)[A-Za-z0-9+/]{8,}={0,2}"),
    re.compile(r"(?i)(?<=accountkey=)[A-Za-z0-9+/]{8,}={0,2}"),
    re.compile(r"(?i)(?<=[?&\s]sig=)[A-Za-z0-9%+/_=-]{8,}"),
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/-]{12,}=*"),
    re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/]{8,}={0,2}"),
    # https://USER:PASSWORD@HOST, as proxies are named
    re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"),
)
_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
# What JavaScript's encodeURI and encodeURIComponent, and Python's quote, leave as it is.
_UNQUOTED: Final = ("", "/", "!*'()", ";,/?:@&=+$-_.!~*'()#")

_PERCENT: Final = re.compile("%((?:25)*[0-9A-F]{2})")

_forms: set[str] = set()
# The same for base64: what every base64 text has in it that encodes a secret, alone or among other things.
_cores: set[str] = set()


class Secret:
    """A text that only `reveal` shows.

    Making one is enough for `redact` to know it, in the forms that it takes in JSON, Python, HTML, URLs and base64 too.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        _learn(value)

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
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
    """The text, as a part of JSON, of JSON in JSON, of what Python shows, of HTML and of a URL."""
    in_json, shown = json.dumps(value)[1:-1], repr(value)[1:-1]
    return {value, *_escaped(value), *_escaped(in_json), *_escaped(shown), *_quoted(value)}


def _escaped(text: str) -> set[str]:
    # Imported with the first secret: commands without one start some milliseconds sooner.
    import html

    raw = text.encode("utf-8", "surrogatepass")
    forms = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    # Which quotes Python escapes depends on the rest of the text that the secret is a part of.
    for shown in (repr(text + "'\"")[1:-4], ascii(text + "'\"")[1:-4], repr(raw + b"'\"")[2:-4]):
        forms |= {shown, shown.replace("\\'", "'")}
    return forms | {html.escape(text, quote=False), html.escape(text), html.escape(text).replace("&#x27;", "&#39;")}


def _quoted(text: str) -> Iterator[str]:
    """As a part of a URL, and of a URL in a URL."""
    from urllib.parse import quote, quote_plus

    for form in (*(quote(text, safe=kept, errors="replace") for kept in _UNQUOTED), quote_plus(text, errors="replace")):
        yield form
        yield quote(form, safe="")


def _cores_of(value: str) -> set[str]:
    """The characters that stand in base64 for a text, whatever is before and after it, such as a user's name.

    Three bytes are four characters, so there are three ways for a text to begin; a character that also stands for a
    neighbor's bits is left out.
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
    """The text with every secret that the process has seen, and whatever looks like a key, replaced by `***`.

    All are looked for in the text as it was, so that one secret that overlaps another is hidden too, whichever was seen
    first.
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


# Where the SDKs begin to quote an answer, in their exceptions' texts and in their logs.
_QUOTED: Final = re.compile(
    r"\s*\b(?:Content|Response|Response Code|Headers|Body|Raw response)\s*:\s.*|(?<=failed: )[\[{].*", re.DOTALL
)


def without_quotes(text: str) -> str:
    """The text of an SDK's exception or log record without the answer of a service that it quotes."""
    return _QUOTED.sub("", text)


def _found(text: str) -> Iterator[tuple[int, int]]:
    """Where secrets are in a text: begin and end of each."""
    folded = text.casefold()
    for match in _matches(_there(_forms, folded), text):
        yield match.span()
    for match in _matches(_there(_cores, folded), text):
        yield _base64_around(text, *match.span())
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield match.span()


def _there(forms: set[str], folded: str) -> re.Pattern[str] | None:
    """A pattern of those forms that a text may contain, given the text in folded case; None if it contains none.

    A process that asks for many addresses with signatures learns a secret with each answer. To compile a pattern of
    all that it knows would then take longer than everything else.
    """
    # A copy: another thread may learn a secret meanwhile.
    there = [form for form in forms.copy() if form.casefold() in folded]
    return _any_of(there) if there else None


def _any_of(forms: Collection[str]) -> re.Pattern[str]:
    # The longest first, so that a secret which contains another is hidden whole.
    return re.compile("|".join(_pattern(form) for form in sorted(forms, key=len, reverse=True)))


def _pattern(form: str) -> str:
    """The form itself; the letters of its percent codes in either case."""
    return _PERCENT.sub(lambda code: f"%{re.sub('[A-F]', _either_case, code[1])}", re.escape(form))


def _either_case(letter: re.Match[str]) -> str:
    return f"[{letter[0]}{letter[0].lower()}]"


def _matches(pattern: re.Pattern[str] | None, text: str) -> Iterator[re.Match[str]]:
    """All matches, those that overlap too."""
    if pattern is None:
        return
    match = pattern.search(text)
    while match is not None:
        yield match
        match = pattern.search(text, match.start() + 1)


def _base64_around(text: str, start: int, stop: int) -> tuple[int, int]:
    """The whole base64 text that a piece of one is in: its next characters hold some of the secret's bits."""
    while start and text[start - 1] in _BASE64:
        start -= 1
    while stop < len(text) and text[stop] in _BASE64:
        stop += 1
    return start, stop


def redact_json(data: Any) -> Any:
    """Plain JSON data with the secrets in its texts and keys replaced, and every `Secret` hidden."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, Secret):
        return HIDDEN
    if isinstance(data, dict):
        return {redact(key) if isinstance(key, str) else key: redact_json(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [redact_json(item) for item in data]
    return data
