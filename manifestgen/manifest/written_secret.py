"""What looks like a password in a text that may be no JSON at all."""

from __future__ import annotations

import re
from typing import Final

# A key with the word in it, quoted or not, then a value: in quotes of either kind up to the closing one or the line's
# end, or bare up to where a bare value ends. Quotes within quotes have backslashes before them.
_WRITTEN_OUT: Final = (
    r"(?i)(?:passw(?:or)?[dt]|pwd|secret|credential|key|token|connection_?string|connstr)[\w .-]*?\\*[\"']?"
    r"\s*(?:[:=]|(?=[\"'\\]))"
    r"[\s\[{]*(?:\\*[\"']?value\\*[\"']?\s*[:=]\s*)?"
    r"(?:\\*\"(?P<double>(?:[^\"\\\n]|\\+[^\"\n])+)|\\*'(?P<single>[^'\\\n]+)|(?P<bare>[^\s\"'\\,;{}\[\]]{4,}))"
)
_IN_ADDRESS: Final = r"://[^/\s:@\"]*:(?P<double>[^/\s@\"]+)@"


def hide_passwords(text: str) -> str:
    """A text that may be no JSON, with what looks like a password replaced by as many asterisks."""
    if "://" in text:
        text = re.sub(_IN_ADDRESS, _hidden, text)
    return re.sub(_WRITTEN_OUT, _hidden, text)


def _hidden(match: re.Match[str]) -> str:
    for name in match.re.groupindex:
        start, end = match.span(name)
        if start >= 0 and not match[name].startswith(("${", "{{", "<")):
            whole, offset = match[0], match.start()
            return whole[: start - offset] + "*" * (end - start) + whole[end - offset :]
    return match[0]
