"""Finds texts that look like a password in a text that may not be JSON."""

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


_NAME: Final = r"(?i)passw|pwd|secret|credential|key|token|connection_?string|connstr"
# Text around passwords in manifests and in JSON.
_KNOWN: Final = frozenset(
    {"modulesContent", "properties.desired", "$edgeAgent", "$edgeHub", "runtime", "settings", "registryCredentials"}
    | {"username", "address", "password", "systemModules", "modules", "env", "value", "image", "createOptions"}
    | {"type", "docker", "status", "running", "true", "false", "null"}
)
_PLACEHOLDER: Final = r"\$\{[^{}\"\s]+\}|\{\{[^{}\"]*\}\}|\{[%#][^\"]*?[%#]\}|<[A-Za-z][\w -]*>"
_STRING: Final = r"\"(?:[^\"\\\n]|\\.)*\""
_RUN: Final = r"[^\s{}\[\]:,\"']+"
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?![\w.-])"


def hide_unparsed(text: str) -> str:
    """Hide possible passwords in a text that is not JSON, whatever its quotes.

    All text outside of strings is hidden, and near the name of a secret everything except names used in manifests,
    since the end of a password is unknown in such a text. Placeholders are kept.
    """
    lines = hide_passwords(text).split("\n")
    names = [re.search(_NAME, line) for line in text.split("\n")]
    for number, line in enumerate(lines):
        name = names[number]
        if not any(names[max(0, number - 2) : number + 2]):
            lines[number] = re.sub(f"(?P<kept>{_PLACEHOLDER}|{_STRING}|{_NUMBER})|{_RUN}", _masked, line)
            continue
        start = name.end() if name else 0
        lines[number] = line[:start] + re.sub(f"(?P<kept>{_PLACEHOLDER})|{_RUN}", _masked, line[start:])
    return "\n".join(lines)


def _masked(match: re.Match[str]) -> str:
    text = match[0]
    return text if match["kept"] is not None or text in _KNOWN else "*" * len(text)
