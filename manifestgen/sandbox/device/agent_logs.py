"""The logs that `GetModuleLogs` and `UploadModuleLogs` read.

A running module's log is the output of its process. A simulated module prints nothing: its log has a few lines about
its container, each with the word `simulated`, and lines added through the admin API.

    kind        key            value
    module-log  DEVICE/MODULE  [[seconds since 1970, "line"], …]

Nothing of `manifestgen.edge` is imported before a log is asked for.

Sources: edge-agent `LogMessageParser.cs`, `LogsProcessor.cs` and `ModuleLogsRequestHandler.cs` in Azure/iotedge, and
edgelet's `parse_since`, which cuts a time to whole seconds.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from manifestgen.sandbox.device.edges import Edges
from manifestgen.sandbox.hub.store import HubStore
from manifestgen.sandbox.hub.twins import Json
from manifestgen.sandbox.world import World

if TYPE_CHECKING:
    from manifestgen.edge.agent.logs import LogLine, ModuleLog

#: Characters that an answer may have.
LARGEST: Final = 127_000
_OLD_TAIL: Final = 500
_KIND: Final = "module-log"
_UNITS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# Keys of a request that say in which form logs are wanted, each with its usual value.
_FORMS: Final = (("encoding", "none"), ("contentType", "text"))
_DURATION: Final = re.compile(r"(\d+)\s*(s|m|h|d|w)[a-z]*\s*")


class BadRequest(ValueError):
    """The payload is not what edgeAgent takes; the text is its message."""


@dataclass(frozen=True)
class Wanted:
    """A request for the log of one module.

    Attributes:
        since, until: in whole seconds since 1970.
        level: which the lines must have exactly.
        pattern: which their text must contain.
    """

    module: str
    tail: int | None = None
    since: float | None = None
    until: float | None = None
    level: int | None = None
    pattern: re.Pattern[str] | None = None

    def of(self, log: ModuleLog) -> list[LogLine]:
        """The lines: since and until first, of these the tail, of these what passes the filters."""
        # Docker counts whole seconds, and the last one belongs to `until`.
        until = None if self.until is None else self.until + 0.999_999
        lines = log.lines(tail=self.tail, since=self.since, until=until)
        return [
            line
            for line in lines
            if (self.level is None or line.level == self.level)
            and (self.pattern is None or self.pattern.search(line.message))
        ]


def add(world: World, device_id: str, module: str, lines: Sequence[str], *, seconds: float = 0.0) -> None:
    """Let a simulated module have printed these lines, `seconds` apart, the last of them now."""
    now, key = world.now(), f"{device_id}/{module}"
    new = [(now - seconds * (len(lines) - 1 - at), text) for at, text in enumerate(lines)]
    world.store.put(_KIND, key, [*(world.store.get(_KIND, key) or ()), *new])


class Logs:
    """The logs of the sandbox's devices."""

    def __init__(self, store: HubStore, edges: Edges) -> None:
        self._store, self._edges = store, edges

    def modules(self, device_id: str) -> Mapping[str, Json]:
        """The containers of a device, by module."""
        found: Mapping[str, Json] = (self._store.world.store.get("hub:agent", device_id) or {}).get("containers", {})
        return found if "edgeAgent" in found else {"edgeAgent": {}, **found}

    def log(self, device_id: str, module: str) -> ModuleLog:
        """The log of a module."""
        from manifestgen.edge.agent.logs import LogLine, ModuleLog

        running = self._edges.log(device_id, module)
        if running is not None:
            return running
        log = ModuleLog()
        container = self.modules(device_id).get(module, {})
        added = self._store.world.store.get(_KIND, f"{device_id}/{module}") or ()
        lines = [*_simulated(module, container), *(LogLine(at, "stdout", text) for at, text in added)]
        for line in sorted(lines, key=lambda line: line.time):
            log.feed(line.stream, f"{line.text}\n".encode(), line.time)
        return log

    def wanted(self, device_id: str, items: Any) -> list[Wanted]:
        """The requests for each module: the first item whose expression matches it."""
        listed = items if isinstance(items, list) else [items]
        if not listed or not all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in listed):
            raise BadRequest("Value cannot be null. (Parameter 'items')")
        found: dict[str, Wanted] = {}
        for item in listed:
            try:
                matches = re.compile(item["id"], re.IGNORECASE)
                chosen = item.get("filter") or {}
                for module in self.modules(device_id):
                    if matches.search(module):
                        found.setdefault(module, self._wanted(module, chosen))
            except (re.error, TypeError, ValueError, AttributeError) as error:
                raise BadRequest(f"Invalid log request: {error}") from error
        return list(found.values())

    def _wanted(self, module: str, chosen: Json) -> Wanted:
        now = self._store.world.now
        tail, level, pattern = (chosen.get(name) for name in ("tail", "loglevel", "regex"))
        return Wanted(
            module,
            None if tail is None else int(tail),
            _moment(chosen.get("since"), now),
            _moment(chosen.get("until"), now),
            None if level is None else int(level),
            None if pattern is None else re.compile(pattern),
        )

    def answer(self, device_id: str, payload: Json, *, old: bool = False) -> tuple[int, Any]:
        """The response of `GetModuleLogs`.

        Args:
            old: as an older agent: a long tail is cut to 500, and what is too large is said in place of the log.
        """
        packed, as_json = form(payload)
        entries = []
        for wanted in self.wanted(device_id, payload.get("items")):
            lines = wanted.of(self.log(device_id, wanted.module))
            lines = lines[-_OLD_TAIL:] if old else lines
            raw = self.content(device_id, wanted.module, lines, as_json=as_json)
            if packed:
                entry = {"id": wanted.module, "payloadBytes": base64.b64encode(gzip.compress(raw)).decode()}
            else:
                entry = {"id": wanted.module, "payload": raw.decode()}
            entries.append(entry)
        if old:
            return 200, [_cut(entry) for entry in entries]
        size = sum(len(entry.get("payload") or entry.get("payloadBytes") or "") for entry in entries)
        return (400, {"message": _too_large(size)}) if size > LARGEST else (200, entries)

    def content(self, device_id: str, module: str, lines: Sequence[LogLine], *, as_json: bool) -> bytes:
        """Lines as text or JSON."""
        if not as_json:
            return "".join(f"{line.text}\n" for line in lines).encode()
        host = self._store.world.names.hub_host
        return json.dumps([_message(host, device_id, module, line) for line in lines]).encode()


def form(payload: Json) -> tuple[bool, bool]:
    """Whether logs are wanted packed, and as JSON; names ignore case."""
    encoding, content = (str(payload.get(name) or default).lower() for name, default in _FORMS)
    if encoding not in ("none", "gzip") or content not in ("text", "json"):
        raise BadRequest(f"Error converting value to encoding or contentType: {encoding!r}, {content!r}")
    return encoding == "gzip", content == "json"


def _too_large(size: int) -> str:
    return (
        f"The payload is too large for a direct method. GetModuleLogs supports up to {LARGEST} bytes of logs. "
        f"The current request returned {size} bytes.\nTry reducing the size of the logs by setting the 'tail', "
        "'since' and 'from' fields in log options filter."
    )


def _cut(entry: Mapping[str, str]) -> Mapping[str, str]:
    size = len(entry.get("payload") or entry.get("payloadBytes") or "")
    return {"id": entry["id"], "payload": _too_large(size)} if size > LARGEST else entry


def _message(host: str, device_id: str, module: str, line: LogLine) -> Json:
    return {
        "iothub": host,
        "device": device_id,
        "id": module,
        "stream": "stderr" if line.stream != "stdout" else "stdout",
        "loglevel": line.level,
        "text": line.message,
        "timestamp": _parsed(line.stamp) if line.stamp else None,
    }


def _parsed(text: str) -> str | None:
    """A time in a line's prefix, in edgeAgent's form; None if there is no such time."""
    try:
        found = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f %z").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(value: Any, now: Callable[[], float]) -> float | None:
    """A time in RFC 3339, in seconds since 1970, or how long ago: in whole seconds since 1970."""
    if value is None:
        return None
    text = str(value).strip()
    if text.isdecimal():
        return float(text)
    if re.fullmatch(rf"(?:{_DURATION.pattern})+", text):
        return float(int(now() - sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))))
    found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00"))
    return float(int(found.timestamp()))


def _simulated(module: str, container: Json) -> list[LogLine]:
    """The log line of a container that runs nothing."""
    from manifestgen.edge.agent.logs import LogLine

    image, code = container.get("image", "its bootstrap image"), container.get("exit_code", 0)
    level, word = (3, "ERR") if code else (6, "INF")
    events = [
        ("started", "stdout", 6, "INF", f"simulated: {module} of {image} runs nothing in this sandbox"),
        ("exited", "stderr", level, word, f"simulated: exited with code {code}"),
    ]
    lines = []
    for key, stream, level, word, text in events:
        if container.get(key):
            at = datetime.fromisoformat(container[key].replace("Z", "+00:00"))
            stamp = at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03} +00:00"
            lines.append(LogLine(at.timestamp(), stream, f"<{level}> {stamp} [{word}] {text}"))
            if key == "exited" and container.get("exit_message"):
                lines.insert(-1, LogLine(at.timestamp(), stream, container["exit_message"]))
    return lines
