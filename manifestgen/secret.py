"""A secret is a type that hides itself, and every text that leaves the process is searched for it.

`Secret` never shows its value by accident; `redact` and `redact_json` replace every secret that the process has seen.
The set of secrets seen is the only state that the package shares between its parts: a log record may come from any
thread and any SDK, so whatever prints it cannot be handed the secrets to hide.
"""

from __future__ import annotations

import json
import re
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
)

_forms: set[str] = set()
_known: re.Pattern[str] | None = None


class Secret:
    """A text that only `reveal` shows.

    Making one is enough for `redact` to know it, in the forms that it takes in JSON, URLs and base64 too.
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
    # Imported with the first secret: commands without one start some milliseconds sooner.
    import base64
    from urllib.parse import quote, quote_plus

    global _known
    if len(value.strip()) < _SHORTEST:
        return
    raw = value.encode("utf-8", "surrogatepass")
    forms = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value, safe="", errors="replace"),
        quote_plus(value, errors="replace"),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
    }
    if not forms <= _forms:
        _forms.update(forms)
        _known = None


def redact(text: str) -> str:
    """The text with every secret that the process has seen, and whatever looks like a key, replaced by `***`."""
    global _known
    if _forms:
        if _known is None:
            # The longest first, so that a secret which contains another is hidden whole.
            _known = re.compile("|".join(re.escape(form) for form in sorted(_forms, key=len, reverse=True)))
        text = _known.sub(HIDDEN, text)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text


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
