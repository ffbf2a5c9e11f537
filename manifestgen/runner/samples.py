"""Inputs with their results, kept in a folder so that a model's drift can be watched.

Files of JSON lines, numbered; the oldest is deleted at the folder's limit. A full disk never stops scoring.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from .log import logger
from .message import Message

# The limit is kept by deleting one file of this many.
_FILES = 8


class Samples:
    """A folder of samples."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Nothing is written, or made, before the first sample."""
        self._folder, self._max_bytes = folder, max_bytes
        self._seen = 0
        self._file: Path | None = None
        self._failing = False

    def offer(self, every: int, message: Message, result: Any) -> None:
        """Keep this sample if it is the `every`-th; 0 keeps none."""
        if not every:
            return
        self._seen += 1
        if self._seen % every:
            return
        try:
            self._write(_line(message, result))
            self._failing = False
        except (OSError, ValueError, TypeError) as error:
            if not self._failing:
                logger.warning("samples cannot be written to %s: %s", self._folder, error)
            self._failing = True

    def _write(self, line: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if (
            self._file is None
            or not self._file.is_file()
            or self._file.stat().st_size + len(line) > self._max_bytes // _FILES
        ):
            self._file = self._next()
        self._make_room(len(line))
        with self._file.open("ab") as stream:
            stream.write(line)

    def _next(self) -> Path:
        files = self._files()
        number = int(files[-1].stem.rpartition("-")[2]) + 1 if files else 1
        return self._folder / f"samples-{number:08d}.jsonl"

    def _make_room(self, size: int) -> None:
        files = self._files()
        total = size + sum(file.stat().st_size for file in files)
        for oldest in files:
            if total <= self._max_bytes or oldest == self._file:
                break
            total -= oldest.stat().st_size
            oldest.unlink()
        if total > self._max_bytes:
            raise ValueError(f"one sample of {size:,} bytes exceeds the folder's limit")

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("samples-" + "[0-9]" * 8 + ".jsonl"))


def _line(message: Message, result: Any) -> bytes:
    sample = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "input": message.input,
        "messageId": message.id,
        "body": message.body.decode("utf-8", "replace"),
        "result": result,
    }
    return json.dumps(sample, default=repr).encode() + b"\n"
