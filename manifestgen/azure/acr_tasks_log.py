"""Logs of runs: append blobs, read from where the last reading ended."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Mapping
from typing import Final

from manifestgen.azure.rest import Answer, Rest
from manifestgen.errors import CloudError

_PIECE: Final = 1 << 20
_TAIL: Final = 16 << 10
_EMPTY: Final = frozenset({404, 416})
# Characters that one reading returns at most.
_MOST: Final = 4 << 20


class RunLog:
    """Reads the log of one run.

    Args:
        address: its URL, which grants access; is called again if that has expired.
        rest: sends the requests.

    Attributes:
        complete: whether all of it was read, and nothing more will come.
    """

    def __init__(self, address: Callable[[], str], rest: Rest) -> None:
        self._address = address
        self._rest = rest
        self._url = ""
        self._position = 0
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._return = False
        self.complete = False

    def more(self) -> str:
        """The text since the last call, at most a megabyte, with Unix line ends."""
        answer = self._rest_of_it()
        ended = _is_complete(answer)
        if answer.status == 416 and self._is_complete():
            # It may have been completed since, with more lines.
            answer, ended = self._rest_of_it(), True
        piece = answer.body if answer.status not in _EMPTY else b""
        if answer.status == 200:  # a server that ignores the range sends all of it
            piece = piece[self._position :]
        self._position += len(piece)
        self.complete = ended and len(piece) < _PIECE
        text = ("\r" if self._return else "") + self._decode.decode(piece, self.complete)
        # The two characters at the end of a line may be read one after the other.
        self._return = text.endswith("\r") and not self.complete
        return (text[:-1] if self._return else text).replace("\r\n", "\n")

    def tail(self) -> str:
        """The last lines so far, whatever was read already."""
        size = self._get(0, 0).headers.get("Content-Range", "").rpartition("/")[2]
        if not size.isdecimal():
            return ""
        answer = self._get(max(0, int(size) - _TAIL), int(size) - 1)
        return answer.body.decode("utf-8", "replace").replace("\r\n", "\n") if answer.status == 206 else ""

    def head(self) -> str:
        """The first lines so far."""
        answer = self._get(0, _TAIL - 1)
        return answer.body.decode("utf-8", "replace") if answer.ok else ""

    def _rest_of_it(self) -> Answer:
        return self._get(self._position, self._position + _PIECE - 1)

    def _is_complete(self) -> bool:
        return _is_complete(self._get(0, 0))

    def _get(self, first: int, last: int) -> Answer:
        for fresh in (False, True):
            if fresh or not self._url:
                self._url = self._address()
            answer = self._rest.send("GET", self._url, headers={"Range": f"bytes={first}-{last}"})
            if answer.ok or answer.status in _EMPTY:
                return answer
            if answer.status != 403:
                break
        code = answer.headers.get("x-ms-error-code") or f"status {answer.status}"
        raise CloudError(
            f"the storage of ACR Tasks does not give the log: {code}",
            where="build log",
            fix="run the same command again; if a proxy is in use, allow *.blob.core.windows.net",
        )


class BuildLog:
    """The logs of a build's runs, one after the other.

    Args:
        runs: platform and log, by the run's ID.

    Attributes:
        delivered: characters that `more` has returned, or `skip` has left out.
    """

    def __init__(self, runs: Mapping[str, tuple[str, RunLog]]) -> None:
        self._left = list(runs.items())
        self._titled = len(runs) > 1
        self._begun = False
        self._waiting = 0
        self.delivered = 0

    def skip(self, characters: int) -> None:
        """Leave out the next characters, which another reader has had."""
        self._waiting = self.delivered = characters

    def more(self, over: Collection[str]) -> str:
        """The text since the last call.

        Args:
            over: runs that have ended: their logs are read to the end, even if they are never marked as complete.
        """
        text = ""
        while self._left and len(text) < _MOST:
            run_id, (platform, log) = self._left[0]
            if self._titled and not self._begun:
                text += f"[{platform}, run {run_id}]\n"
                self._begun = True
            piece = log.more()
            text += piece
            if log.complete or (run_id in over and not piece):
                self._left.pop(0)
                self._begun = False
            elif not piece:
                break
        kept = text[self._waiting :]
        self._waiting -= len(text) - len(kept)
        self.delivered += len(kept)
        return kept


def _is_complete(answer: Answer) -> bool:
    return any(name.lower() == "x-ms-meta-complete" for name in answer.headers)
