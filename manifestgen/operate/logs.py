"""Logs of a device's modules, as much as one answer of edgeAgent can hold.

An answer has at most 127,000 characters. edgeAgent does not cut a longer one: it says 400, or, where it is older, puts
the complaint in place of the log. So fewer lines are asked for, half as many each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from manifestgen.cloud import Hub, MethodResult
from manifestgen.errors import CloudError, FoundError, InputError
from manifestgen.operate.agent import ask, message_of, read, refused
from manifestgen.operate.log_lines import Line, UnreadableError, is_too_large, lines_of, read_time

#: Lines that are asked for if nothing else is said.
TAIL: Final = 100
#: Lines of a failed module that are shown with its failure.
LAST_WORDS: Final = 20
# Some agents truncate a longer tail to this.
_OLD_TAIL: Final = 500
_DURATION: Final = re.compile(r"(?:\d+\s*(?:s|sec|m|min|h|hr|d|day|w|week|second|minute|hour)s?\s*)+", re.IGNORECASE)
_SPECIAL: Final = re.compile(r"([\\^$.|?*+()\[\]{}#])")


@dataclass(frozen=True)
class Selection:
    """Which lines are wanted.

    Attributes:
        tail: how many of each module's newest lines are read; None for all.
        since, until: a time (`2026-11-29T21:00:00Z`, or seconds since 1970) or how long ago (`1h`, `2d 3h`), by the
            device's clock.
        level: the least severe level that is wanted, as a number: 4 gives warnings and worse.
        pattern: what a line's text must contain.
    """

    tail: int | None = TAIL
    since: str | None = None
    until: str | None = None
    level: int = 7
    pattern: re.Pattern[str] | None = None

    @property
    def filters(self) -> bool:
        """Whether lines are left out that edgeAgent sends."""
        return self.level < 7 or self.pattern is not None

    def wants(self, line: Line) -> bool:
        """Whether a line is wanted. edgeAgent's own filter compares a level with `==`: warnings would hide errors."""
        return line.level <= self.level and (self.pattern is None or self.pattern.search(line.text) is not None)


@dataclass(frozen=True)
class Log:
    """The lines that were read.

    Attributes:
        lines: those that are wanted, by module in the order of edgeAgent's answer, each module's in their own order.
        read: how many lines came, those that are not wanted among them.
        notes: what was left out and why, in sentences.
    """

    lines: tuple[Line, ...]
    read: int
    notes: tuple[str, ...] = ()


def moment(text: str, option: str) -> str:
    """A time or a duration as edgeAgent reads it. Raises InputError if it would not."""
    text = text.strip()
    if _DURATION.fullmatch(text) or text.isdecimal():
        return text
    if re.match(r"\d{4}-\d\d-\d\d[T ]", text) and read_time(text) is not None:
        return text if re.search(r"(Z|[+-]\d\d:\d\d)$", text) else f"{text.replace(' ', 'T')}Z"
    raise InputError(
        f"{text!r} is neither a time nor a duration",
        where=option,
        fix="write it as 90s, 30m, 1h or 2d, or as a time such as 2026-11-29T21:00:00Z",
    )


def get_logs(
    hub: Hub,
    device_id: str,
    modules: Sequence[str],
    selection: Selection,
    *,
    note: Callable[[str], None] = lambda text: None,
) -> Log:
    """The wanted lines of some modules, or of all that the device has.

    Args:
        modules: their names; none for all.
        note: called with what is tried next, when an answer would be too large.

    Raises:
        FoundError: the device does not have one of the modules.
        CloudError: see `agent.read`; or even one line of each module is too large.
    """
    tail = selection.tail
    while True:
        entries = request(hub, device_id, [(name, replace(selection, tail=tail)) for name in modules or (None,)])
        if entries is not None:
            return _log(device_id, modules, selection, tail, entries)
        if tail is None:
            tail = 10_000
        if tail <= 1:
            name = modules[0] if modules else "MODULE"
            raise CloudError(
                "a single line of each module is more than the 127,000 characters that edgeAgent may send",
                where=f"device {device_id!r}",
                fix=f"name one module, or read the log on the device: iotedge logs {name}",
            )
        note(f"{_lines(tail)} are more than the 127,000 characters of an answer; asking for {tail // 2:,}")
        tail //= 2


def last_words(hub: Hub, device_id: str, modules: Sequence[str], count: int = LAST_WORDS) -> Sequence[Line]:
    """The last lines of modules that fail, in one request.

    Raises:
        CloudError: they cannot be read.
    """
    wanted = [(name, Selection(count)) for name in modules]
    found = request(hub, device_id, wanted, call=ask)
    if found is None:
        raise CloudError(
            f"its last {count} lines are more than the 127,000 characters of an answer",
            where=f"device {device_id!r}",
            fix=f"see fewer with 'manifestgen logs --device {device_id} --tail 1 {modules[0]}'",
        )
    return [line for lines in found.values() for line in lines]


def request(
    hub: Hub,
    device_id: str,
    wanted: Iterable[tuple[str | None, Selection]],
    *,
    call: Callable[[Hub, str, str, Mapping[str, Any]], MethodResult] = read,
) -> Mapping[str, Sequence[Line]] | None:
    """One request: the lines of each module, unfiltered; None if the answer would be too large.

    Args:
        wanted: name and selection of each module; None for all modules.
        call: how edgeAgent is asked: again after a lost answer, or not.

    Raises:
        CloudError: see `agent.read`; or edgeAgent's answer is not understood.
    """
    items = [{"id": _id(name), "filter": _filter(selection)} for name, selection in wanted]
    payload = {"items": items, "encoding": "gzip", "contentType": "json"}
    answer = call(hub, device_id, "GetModuleLogs", payload)
    if answer.status == 400 and is_too_large(message_of(answer)):
        return None
    if answer.status != 200:
        raise refused(device_id, "GetModuleLogs", answer)
    found: dict[str, Sequence[Line]] = {}
    try:
        for entry in answer.payload if isinstance(answer.payload, list) else ():
            lines = lines_of(entry) if isinstance(entry, dict) else ()
            if lines is None:
                return None
            found[str(entry["id"])] = lines
    except (UnreadableError, KeyError) as error:
        raise CloudError(
            f"edgeAgent's answer is not understood: {error}",
            where=f"device {device_id!r}",
            fix="try again; if it stays so, read the log on the device with 'iotedge logs'",
        ) from error
    return found


def _id(name: str | None) -> str:
    """The regular expression for exactly this module: edgeAgent's is not anchored, so `scorer` is `scorer-2`, too."""
    return ".*" if name is None else f"^{_SPECIAL.sub(lambda found: chr(92) + found[1], name)}$"


def _filter(selection: Selection) -> dict[str, Any]:
    given = {"tail": selection.tail, "since": selection.since, "until": selection.until}
    return {name: value for name, value in given.items() if value is not None}


def _log(
    device_id: str,
    modules: Sequence[str],
    selection: Selection,
    tail: int | None,
    entries: Mapping[str, Sequence[Line]],
) -> Log:
    known = {name.lower() for name in entries}
    missing = [name for name in modules if name.lower() not in known]
    if missing:
        raise FoundError(
            f"it has no module {missing[0]!r}",
            where=f"device {device_id!r}",
            fix=f"see its modules with 'manifestgen status --device {device_id}'",
        )
    notes = []
    if tail != selection.tail:
        notes.append(f"only the last {_lines(tail or 0)} of each module: more do not fit into an answer of edgeAgent")
    elif tail is not None and tail > _OLD_TAIL and any(len(found) == _OLD_TAIL for found in entries.values()):
        notes.append(f"{_OLD_TAIL} lines came, which is the most that an older edgeAgent sends at once")
    lines = [line for found in entries.values() for line in found]
    return Log(tuple(filter(selection.wants, lines)), len(lines), tuple(notes))


def _lines(count: int) -> str:
    return f"{count:,} line{'' if count == 1 else 's'}"
