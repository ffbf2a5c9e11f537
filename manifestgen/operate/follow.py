"""Follows logs: asks again and again, and gives every line once and in order.

Each request asks for the lines since the last one's time, by the device's clock, so that a clock which is wrong does no
harm. Such an answer begins with lines that were given already; how many, the longest overlap with those says. So an
answer may come late, twice or not at all. Too many lines for one answer are requested in shorter spans.

A line may come without a time, if a module prints it without edgeAgent's prefix. Then "the last N seconds" are asked
for, with some to spare. If such a module repeats a line, the count is unknown: `Follower` says so once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from manifestgen.cloud import Hub
from manifestgen.errors import CloudError, DeniedError, FoundError, NotFoundError
from manifestgen.operate.log_lines import Line, written_time
from manifestgen.operate.logs import Selection, get_logs, request

#: Seconds between two requests, and the longest pause while nothing answers.
EVERY: Final = 2.0
_LONGEST: Final = 30.0
# Lines that are remembered of each module to find an overlap: more than an answer holds.
_REMEMBERED: Final = 20_000
# Lines that are read at the beginning to know where the next answers begin.
_CONTEXT: Final = 500
# Seconds to spare where a duration is asked for: the request travels, and edgeAgent counts whole seconds.
_SPARE: Final = 5.0
_FIRST_SPAN: Final = timedelta(seconds=64)
_SHORTEST_SPAN: Final = timedelta(seconds=1)


def overlap(given: Sequence[Line], answer: Sequence[Line]) -> int:
    """How many of an answer's first lines were given already: all, if it holds nothing else, or the longest overlap.

    Args:
        given: the lines that were given, in order.
        answer: the lines of an answer, in order, from some moment on.
    """
    if not answer:
        return 0
    # Knuth, Morris and Pratt: `matched` is the longest beginning of the answer that ends at each given line.
    borders = [0] * len(answer)
    length = 0
    for at in range(1, len(answer)):
        while length and answer[at] != answer[length]:
            length = borders[length - 1]
        length += answer[at] == answer[length]
        borders[at] = length
    matched = 0
    for line in given:
        if matched == len(answer):
            return matched  # an old answer that came late: all of it is given, and more
        while matched and line != answer[matched]:
            matched = borders[matched - 1]
        matched += line == answer[matched]
    if len(given) < len(answer) and answer[-1].time is not None:
        # It may begin before the first line that was given: edgeAgent counts whole seconds.
        whole, size = list(given), len(given)
        inside = (end for end in range(size + 1, len(answer) + 1) if size and list(answer[end - size : end]) == whole)
        return max(matched, next(inside, 0)) if list(answer[:size]) != whole else matched
    return matched


@dataclass
class _Module:
    """How far one module's log was read.

    Attributes:
        given: the newest lines that were given.
        since: the time to ask from; None where lines have no time.
        asked: when the last request that was answered was sent, in seconds of the caller's clock.
    """

    name: str
    asked: float
    given: deque[Line] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    since: datetime | None = None


class Follower:
    """Follows the logs of a device's modules.

    Args:
        modules: their names; none for all that the device has at the beginning.
        selection: what is given; its tail is how many lines to begin with.
        note: called with what the reader should know: that nothing answers, that lines are missing.
        every: seconds between two requests for each module.
        clock, sleep: of the caller.
    """

    def __init__(
        self,
        hub: Hub,
        device_id: str,
        modules: Sequence[str],
        selection: Selection,
        *,
        note: Callable[[str], None] = lambda text: None,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._hub, self._device = hub, device_id
        self._names, self._selection = modules, selection
        self._note, self._every = note, every
        self._clock, self._sleep = clock, sleep
        self._modules: dict[str, _Module] = {}
        self._failing = False
        self._warned: set[str] = set()

    def lines(self) -> Iterator[Sequence[Line]]:
        """The wanted lines, some at a time, without an end.

        Raises:
            NotFoundError, DeniedError: the device, or who asks, is not what it should be.
            FoundError: the device does not have one of the modules.
            CloudError: the first request failed.
        """
        yield self._wanted(self._begin())
        pause = self._every
        while True:
            self._sleep(pause)
            new, more = self._round()
            yield self._wanted(new)
            pause = min(pause * 2, max(_LONGEST, self._every)) if self._failing else 0.0 if more else self._every

    def _wanted(self, lines: Sequence[Line]) -> Sequence[Line]:
        return [line for line in lines if self._selection.wants(line)]

    def _begin(self) -> Sequence[Line]:
        asked = self._clock()
        tail = self._selection.tail or _CONTEXT
        # More than is given: the next answers begin with lines of before.
        everything = Selection(max(tail, _CONTEXT), self._selection.since)
        found = get_logs(self._hub, self._device, self._names, everything)
        begin: list[Line] = []
        for name in self._names or dict.fromkeys(line.module for line in found.lines):
            module = self._modules[name] = _Module(name, asked)
            lines = [line for line in found.lines if line.module.lower() == name.lower()]
            self._give(module, lines)
            begin += lines[-tail:]
            if found.notes and len(lines) < tail:
                self._note(found.notes[0])
        return _in_order(begin)

    def _round(self) -> tuple[Sequence[Line], bool]:
        """Ask for what is new of each module; whether there may be more at once."""
        new: list[Line] = []
        more = False
        for module in self._modules.values():
            try:
                lines, left = self._next(module)
            except (NotFoundError, DeniedError, FoundError):
                raise
            except CloudError as error:
                if not self._failing:
                    self._note(f"no answer: {error.what}; trying again")
                self._failing = True
                return new, False
            new += lines
            more = more or left
        if self._failing:
            self._note("answers again")
        self._failing = False
        return _in_order(new), more

    def _next(self, module: _Module) -> tuple[Sequence[Line], bool]:
        asked = self._clock()
        ago = f"{int(asked - module.asked + _SPARE) + 1}s"
        since = ago if module.since is None else written_time(module.since)
        answer = self._ask(module.name, Selection(None, since))
        if answer is None:
            return self._in_spans(module, asked)
        module.asked = asked
        if not answer and module.since is not None:
            # Not even the line that the time is from: the log started over, or the line's time is not the log's.
            module.since = None
        return self._give(module, answer), False

    def _in_spans(self, module: _Module, asked: float) -> tuple[Sequence[Line], bool]:
        """The next lines where all of them are too many for an answer."""
        if module.since is None:
            log = get_logs(self._hub, self._device, [module.name], Selection(None), note=self._note)
            module.asked = asked
            if not overlap(module.given, log.lines):
                self._note(f"{module.name} prints more than can be read: lines are missing here")
            return self._give(module, log.lines), False
        span = _FIRST_SPAN
        while span >= _SHORTEST_SPAN:
            until = module.since + span
            answer = self._ask(module.name, Selection(None, written_time(module.since), written_time(until)))
            if answer is not None:
                new = self._give(module, answer)
                if not new:
                    module.since = until
                return new, True
            span /= 2
        # edgeAgent counts whole seconds: no shorter span can be asked for.
        end = module.since.replace(microsecond=0) + _SHORTEST_SPAN
        self._note(f"{module.name} prints more in one second than can be read: lines up to {end:%H:%M:%S} are missing")
        module.since = end
        return (), True

    def _ask(self, name: str, selection: Selection) -> Sequence[Line] | None:
        found = request(self._hub, self._device, [(name, selection)])
        if found is None:
            return None
        # A module that is gone, for a new version of it, may come again.
        return next(iter(found.values()), ())

    def _give(self, module: _Module, answer: Sequence[Line]) -> Sequence[Line]:
        known = overlap(module.given, answer)
        self._warn_of_repetition(module, answer, known)
        new = answer[known:]
        module.given.extend(new)
        times = [line.time for line in answer if line.time is not None]
        if times and answer[-1].time is not None:
            module.since = max(times[-1], module.since) if module.since is not None else times[-1]
        elif new:
            module.since = None
        return new

    def _warn_of_repetition(self, module: _Module, answer: Sequence[Line], known: int) -> None:
        same = known > 1 and all(line.time is None and line == answer[0] for line in answer)
        if same and module.name not in self._warned:
            self._warned.add(module.name)
            self._note(f"{module.name} repeats a line without a time: lines may be missing")


def _in_order(lines: Sequence[Line]) -> Sequence[Line]:
    """Lines of several modules by their time; each module's stay in their own order."""
    merged: list[tuple[datetime | None, Line]] = []
    last: dict[str, datetime] = {}
    for line in lines:
        at = line.time or last.get(line.module)
        if at is not None:
            at = last[line.module] = max(at, last.get(line.module, at))
        merged.append((at, line))
    if any(at is None for at, _ in merged):
        return lines
    return [line for _, line in sorted(merged, key=lambda each: each[0] or datetime.min)]
