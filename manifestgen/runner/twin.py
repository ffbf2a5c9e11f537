"""The module twin over MQTT: what is desired, as a whole and in order of versions, and what is reported, at a pace.

edgeHub does not keep patches for a module that is away, so the whole twin is read after each connect and whenever a
version was left out. It sends reports on to the hub every few seconds at most, so they are collected.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from .log import logger
from .topics import TwinPatch, TwinResponse, twin_get, twin_report

_ANSWER_TIMEOUT = 30.0
_MIN_INTERVAL = 5.0
_AFTER_ERROR = 60.0

Json = dict[str, Any]


def merge(base: Json, patch: Json) -> Json:
    """The object with a twin patch applied: null removes a key, objects are merged."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def difference(before: Json, after: Json) -> Json:
    """The twin patch that makes one object of the other."""
    patch: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := difference(old, value):
                patch[key] = inner
        elif key not in before or old != value or isinstance(old, bool) is not isinstance(value, bool):
            patch[key] = value
    return patch


class Twin:
    """One module's twin. Used in the session's thread only.

    Attributes:
        desired: the desired properties, without `$version` and `$metadata`.
        version: their version; None before the first answer.
    """

    def __init__(
        self,
        publish: Callable[[str, bytes], None],
        changed: Callable[[Json, int], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Calls `changed` with the desired properties and their version whenever they were read or have changed."""
        self.desired: Json = {}
        self.version: int | None = None
        self._publish, self._changed, self._clock = publish, changed, clock
        self._connected = False
        self._request = 0
        self._get: tuple[str, float] | None = None
        self._report: tuple[str, float, Json] | None = None
        self._reported: Json | None = None
        self._wanted: Json = {}
        self._not_before = 0.0

    def connected(self) -> None:
        """Ask for the whole twin: patches may have been missed."""
        self._connected = True
        self._report = None
        self._ask()

    def disconnected(self) -> None:
        """Forget what no answer can come for any more."""
        self._connected = False
        self._get = self._report = None

    def report(self, properties: Json) -> None:
        """Set all reported properties; `tick` sends them, at most once in five seconds."""
        self._wanted = properties

    def hurry(self) -> None:
        """Report with the next `tick`, whenever the last report was: the process is about to end."""
        self._not_before = 0.0

    @property
    def settled(self) -> bool:
        """Whether everything to report has been reported."""
        return self._report is None and self._reported is not None and not difference(self._reported, self._wanted)

    def tick(self, now: float) -> None:
        """Repeat what was not answered, and report what has changed."""
        if not self._connected:
            return
        if self._get is not None and now - self._get[1] > _ANSWER_TIMEOUT:
            logger.warning("edgeHub did not answer the twin request within %.0f s", _ANSWER_TIMEOUT)
            self._ask()
        if self._report is not None and now - self._report[1] > _ANSWER_TIMEOUT:
            logger.warning("edgeHub did not answer the twin report within %.0f s", _ANSWER_TIMEOUT)
            self._report = None
        if self._report is None and self._reported is not None and now >= self._not_before:
            self._send_report(now)

    def on_response(self, response: TwinResponse, payload: bytes) -> None:
        """An answer to a request of ours."""
        if self._get is not None and response.request_id == self._get[0]:
            self._get = None
            self._take_twin(response, payload)
        elif self._report is not None and response.request_id == self._report[0]:
            _, _, reported = self._report
            self._report = None
            if response.status in (200, 204):
                self._reported = reported
            else:
                logger.error("edgeHub rejected the reported properties with status %d", response.status)
                self._not_before = self._clock() + _AFTER_ERROR

    def on_patch(self, patch: TwinPatch, payload: bytes) -> None:
        """Desired properties have changed."""
        content = _object(payload)
        version = patch.version if patch.version is not None else _version(content)
        if self._get is not None or content is None or version is None or self.version is None:
            # A twin that is on its way may be older or newer than this patch: the next one decides.
            self._ask()
        elif version == self.version + 1:
            self._take_desired(merge(self.desired, content), version)
        elif version > self.version:
            logger.info("desired properties went from version %d to %d: reading the twin", self.version, version)
            self._ask()

    def _ask(self) -> None:
        self._request += 1
        self._get = (str(self._request), self._clock())
        self._publish(twin_get(self._request), b"")

    def _take_twin(self, response: TwinResponse, payload: bytes) -> None:
        twin = _object(payload)
        desired = twin.get("desired") if twin else None
        if response.status != 200 or not isinstance(desired, dict):
            logger.error("edgeHub answered the twin request with status %d and no twin", response.status)
            self._get = ("", self._clock())  # asked again when the time for an answer is over
            return
        reported = twin.get("reported") if twin else None
        self._reported = _without_system(reported) if isinstance(reported, dict) else {}
        self._take_desired(desired, _version(desired) or 0)

    def _take_desired(self, desired: Json, version: int) -> None:
        self.desired, self.version = _without_system(desired), version
        self._changed(self.desired, version)

    def _send_report(self, now: float) -> None:
        # Another program may have reported through this identity; what is not ours stays.
        assert self._reported is not None  # noqa: S101 - the caller has looked
        ours = {key: value for key, value in self._reported.items() if key in self._wanted or _is_ack(value)}
        patch = difference(ours, self._wanted)
        if not patch:
            return
        self._request += 1
        self._report = (str(self._request), now, merge(self._reported, patch))
        self._not_before = now + _MIN_INTERVAL
        self._publish(twin_report(self._request), json.dumps(patch, separators=(",", ":")).encode())


def _is_ack(value: Any) -> bool:
    """Whether this is what the runner reports about a setting: {"value", "ac", "av", "ad"}."""
    return isinstance(value, dict) and "ac" in value and "av" in value


def _object(payload: bytes) -> Json | None:
    try:
        content = json.loads(payload)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _version(content: Json | None) -> int | None:
    version = content.get("$version") if content else None
    return version if isinstance(version, int) else None


def _without_system(content: Json) -> Json:
    return {key: value for key, value in content.items() if not key.startswith("$")}
