"""An edgeAgent in memory that keeps logs, for a `FakeHub`: what `GetModuleLogs` does, and how it fails."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from manifestgen.cloud import MethodResult

LIMIT = 127_000
BEGIN = datetime(2026, 11, 29, 21, 0, tzinfo=timezone.utc)


@dataclass
class FakeAgent:
    """Logs of a device's modules.

    Attributes:
        now: the device's clock.
        logs: lines of each module: when Docker got them, level, text, and whether the line says its time.
        asked: items of each request that was answered.
        limit: characters of an answer.
        before: called before each request is answered; may raise, or change the logs.
        old: whether it says in place of a log that it is too large.
        packs: whether what is asked for as gzip is; older answers in tests are read without.
    """

    now: datetime = BEGIN
    logs: dict[str, list[tuple[datetime, int, str, bool]]] = field(default_factory=dict)
    asked: list[list[dict[str, Any]]] = field(default_factory=list)
    limit: int = LIMIT
    before: Callable[[], None] = lambda: None
    old: bool = False

    def say(self, module: str, text: str, *, level: int = 6, stamped: bool = True, after: float = 0.0) -> None:
        """Let a module print a line, so many seconds after what the clock shows; the clock moves on."""
        self.now += timedelta(seconds=after)
        self.logs.setdefault(module, []).append((self.now, level, text, stamped))

    def get_logs(self, payload: Any) -> MethodResult:
        """The method."""
        self.before()
        self.asked.append(payload["items"])
        entries = []
        for item in payload["items"]:
            for module in [name for name in self.logs if re.search(item["id"], name, re.IGNORECASE)]:
                raw = json.dumps([self._line(module, line) for line in self._chosen(module, item["filter"])]).encode()
                packed = base64.b64encode(gzip.compress(raw)).decode()
                entries.append({"id": module, "payloadBytes": packed})
        words = "The payload is too large for a direct method. GetModuleLogs supports up to 127000 bytes of logs."
        if self.old:
            return MethodResult(
                200,
                [
                    {"id": entry["id"], "payload": words} if len(entry["payloadBytes"]) > self.limit else entry
                    for entry in entries
                ],
            )
        if sum(len(entry["payloadBytes"]) for entry in entries) > self.limit:
            return MethodResult(400, {"message": words})
        return MethodResult(200, entries)

    def _chosen(self, module: str, chosen: dict[str, Any]) -> list[tuple[datetime, int, str, bool]]:
        since, until = self._moment(chosen.get("since")), self._moment(chosen.get("until"))
        lines = [
            line
            for line in self.logs[module]
            if (since is None or line[0] >= since) and (until is None or line[0] < until + timedelta(seconds=1))
        ]
        return lines[-chosen["tail"] :] if "tail" in chosen else lines

    def _moment(self, text: str | None) -> datetime | None:
        """Whole seconds, as edgelet cuts a time."""
        if text is None:
            return None
        if text.endswith("s"):
            found = self.now - timedelta(seconds=int(text[:-1]))
        else:
            found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return found.replace(microsecond=0)

    @staticmethod
    def _line(module: str, line: tuple[datetime, int, str, bool]) -> dict[str, Any]:
        at, level, text, stamped = line
        stamp = at.isoformat().replace("+00:00", "Z") if stamped else None
        return {"iothub": "h", "device": "d", "id": module, "stream": "stdout", "loglevel": level, "text": text} | {
            "timestamp": stamp
        }
