"""A Dockerfile as Docker's classic builder reads it, which is what ACR's quick builds use.

Source: https://docs.docker.com/reference/dockerfile/. BuildKit features get the classic builder's error.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_KNOWN: Final = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"}
    | {"ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_FLAGS: Final[Mapping[str, frozenset[str]]] = {
    "ADD": frozenset({"chown"}),
    "COPY": frozenset({"chown", "from"}),
    "FROM": frozenset({"platform"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "start-interval", "retries"}),
}
_BUILDKIT: Final[Mapping[str, frozenset[str]]] = {
    "ADD": frozenset({"chmod", "link", "checksum", "exclude", "keep-git-dir"}),
    "COPY": frozenset({"chmod", "link", "parents", "exclude"}),
    "RUN": frozenset({"mount", "network", "security"}),
}
_DIRECTIVE: Final = re.compile(r"#\s*([a-zA-Z][\w-]*)\s*=\s*(.*?)\s*$")
_FLAG: Final = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_VARIABLE: Final = re.compile(
    r"\\(?P<escaped>\$)|\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<operator>:[-+])(?P<word>[^}]*))?\})"
)
_LARGEST: Final = 1 << 20


class DockerfileError(Exception):
    """A Dockerfile that the builder rejects, in its words."""


@dataclass(frozen=True)
class Step:
    """One instruction.

    Attributes:
        name: the instruction in upper case, such as `COPY`.
        text: the whole instruction on one line, for the log.
        rest: what follows the name and the flags.
        flags: the flags by name, such as `chown`.
    """

    name: str
    text: str
    rest: str
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def array(self) -> list[str] | None:
        """The JSON array that follows, as in `CMD ["python"]`; None if it is not one."""
        try:
            found = json.loads(self.rest)
        except ValueError:
            return None
        strings = isinstance(found, list) and all(isinstance(item, str) for item in found)
        return found if strings else None


def parse(data: bytes) -> list[Step]:
    """The steps of a Dockerfile. Raises DockerfileError."""
    if len(data) > _LARGEST:
        raise DockerfileError("the Dockerfile is too large")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DockerfileError(f"the Dockerfile is not valid UTF-8: {error.reason}") from error
    steps = [_step(line, number) for number, line in _logical_lines(text)]
    if not steps:
        raise DockerfileError("the Dockerfile (Dockerfile) cannot be empty")
    before = [step.name for step in steps]
    first = next((name for name in before if name != "ARG"), "")
    if first != "FROM":
        raise DockerfileError(
            f"dockerfile parse error: no build stage in current context: {first or 'ARG'} before the first FROM"
        )
    return steps


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """The instructions, each on one line, with the numbers of their first lines."""
    escape = "\\"
    lines = text.splitlines()
    for line in lines:
        match = _DIRECTIVE.match(line)
        if match is None:
            break
        if match[1].lower() == "escape":
            escape = match[2]
    found: list[tuple[int, str]] = []
    pieces: list[str] = []
    start = 0
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue  # comments and empty lines are also allowed inside an instruction
        start = start if pieces else number
        kept = line.rstrip()
        if kept.endswith(escape):
            pieces.append(kept[: -len(escape)])
            continue
        found.append((start, "".join((*pieces, kept)).strip()))
        pieces = []
    if pieces:
        found.append((start, "".join(pieces).strip()))
    return [(number, line) for number, line in found if line]


def _step(line: str, number: int) -> Step:
    word, _, rest = line.partition(" ")
    name, rest = word.upper(), rest.strip()
    if name not in _KNOWN:
        raise DockerfileError(f"dockerfile parse error line {number}: unknown instruction: {name}")
    flags: dict[str, str] = {}
    while match := _FLAG.match(rest):
        flag = match[1]
        if flag in _BUILDKIT.get(name, ()):
            raise DockerfileError(
                f"the --{flag} option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to "
                "build images with BuildKit enabled"
            )
        if flag not in _FLAGS.get(name, ()):
            if name in _FLAGS:
                raise DockerfileError(f"dockerfile parse error line {number}: unknown flag: {flag}")
            break
        flags[flag] = match[2] or ""
        rest = rest[match.end() :]
    if name in ("COPY", "ADD") and re.search(r"(^|\s)<<-?[\"']?\w+", rest):
        raise DockerfileError("here-documents require BuildKit")
    if not rest and name not in ("CMD", "ENTRYPOINT"):
        raise DockerfileError(f"dockerfile parse error line {number}: {name} requires at least one argument")
    return Step(name, line, rest, flags)


def expand(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables replaced: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["plain"] or match["name"]
        known = values.get(name, "")
        if match["operator"] == ":-":
            return known or match["word"]
        if match["operator"] == ":+":
            return match["word"] if known else ""
        return known

    return _VARIABLE.sub(value, text)


def words(text: str) -> list[str]:
    """The words of an instruction; quotes and backslashes keep blanks. Raises DockerfileError."""
    try:
        return shlex.split(text, comments=False, posix=True)
    except ValueError as error:
        raise DockerfileError(f"dockerfile parse error: {error}") from error


def expand_words(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables replaced, and without the quotes of its words."""
    return " ".join(words(expand(text, values)))


def pairs(step: Step, values: Mapping[str, str]) -> dict[str, str]:
    """The variables that ENV and LABEL set: `KEY=VALUE …`, or the older `KEY VALUE`. Raises DockerfileError."""
    first = step.rest.split(None, 1)
    if "=" not in first[0]:
        if len(first) < 2:
            raise DockerfileError(f"dockerfile parse error: {step.name} must have two arguments")
        return {first[0]: expand(first[1], values)}
    found: dict[str, str] = {}
    for word in _unquoted(step.rest, values):
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise DockerfileError(
                f'dockerfile parse error: Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            )
        found[key] = value
    return found


def _unquoted(text: str, values: Mapping[str, str]) -> Sequence[str]:
    """The words of a text with variables replaced, but not those in single quotes."""
    found: list[str] = []
    word: list[str] = []
    quote, begun, at = "", False, 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"' and text[at + 1 : at + 2] in ('"', "\\", "$"):
                word.append("$" if text[at + 1] == "$" else text[at + 1])
                at += 1
            elif char == "$" and quote == '"' and (match := _VARIABLE.match(text, at)):
                word.append(expand(match[0], values))
                at = match.end() - 1
            else:
                word.append(char)
        elif char in "\"'":
            quote, begun = char, True
        elif char == "\\" and at + 1 < len(text):
            word.append(text[at + 1])
            begun, at = True, at + 1
        elif char.isspace():
            if begun:
                found.append("".join(word))
            word, begun = [], False
        elif char == "$" and (match := _VARIABLE.match(text, at)):
            word.append(expand(match[0], values))
            begun, at = True, match.end() - 1
        else:
            word.append(char)
            begun = True
        at += 1
    if quote:
        raise DockerfileError("dockerfile parse error: unexpected end of statement while looking for matching quote")
    return [*found, "".join(word)] if begun else found


def command(step: Step) -> list[str]:
    """The value of CMD and ENTRYPOINT: a JSON array, or a line for the shell."""
    array = step.array
    return array if array is not None else ["/bin/sh", "-c", step.rest]


def duration(text: str) -> int:
    """Nanoseconds of a duration such as `1m30s`. Raises DockerfileError."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise DockerfileError(f'dockerfile parse error: time: invalid duration "{text}"')
    return int(sum(float(number) * units[unit] for number, unit in parts) * 1e9)


def base_name(step: Step, values: Mapping[str, str]) -> str:
    """The image or stage that a FROM names. Raises DockerfileError."""
    parts = expand(step.rest, values).split()
    if not parts:
        raise DockerfileError(f"base name ({step.rest}) should not be blank")
    if len(parts) != 1 and (len(parts) != 3 or parts[1].upper() != "AS"):
        raise DockerfileError("dockerfile parse error: FROM requires either one or three arguments")
    return parts[0]


def needed_images(steps: Sequence[Step], arguments: Mapping[str, str]) -> list[str]:
    """The images that the steps start or copy from, without the stages among them. Raises DockerfileError."""
    values: dict[str, str] = {}
    stages: list[str] = []
    needed: list[str] = []
    for step in steps:
        if step.name == "ARG" and not stages:
            for word in words(step.rest):
                name, _, default = word.partition("=")
                values[name] = arguments.get(name, expand(default, values))
        elif step.name == "FROM":
            name = base_name(step, values)
            if name.lower() not in filter(None, stages):
                needed.append(name)
            stages.append(stage_name(step).lower())
        elif step.name == "COPY" and "from" in step.flags:
            name = expand(step.flags["from"], values)
            if name.lower() not in stages and not name.isdecimal():
                needed.append(name)
    return list(dict.fromkeys(needed))


def stage_name(step: Step) -> str:
    """The name that a FROM gives to its stage; empty if it gives none."""
    parts = step.rest.split()
    return parts[2] if len(parts) == 3 else ""
