"""Log lines in the form that edgeAgent parses, so that `GetModuleLogs` can filter them by level.

edgeAgent reads `<LEVEL> TIMESTAMP TEXT` line by line (LogMessageParser.cs in Azure/iotedge); a line without the prefix
counts as level 6. So every line of a record carries it, those of a traceback too.
"""

from __future__ import annotations

import logging
import sys
import time

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
"""The names of levels as settings give them."""

logger = logging.getLogger("runner")

# From Python's level to syslog's severity and edgeAgent's abbreviation.
_SEVERITIES = (
    (logging.CRITICAL, 2, "FTL"),
    (logging.ERROR, 3, "ERR"),
    (logging.WARNING, 4, "WRN"),
    (logging.INFO, 6, "INF"),
    (0, 7, "DBG"),
)

# Characters that would begin a new line or move the cursor of the terminal that shows the log.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029) if code != 9}


class Formatter(logging.Formatter):
    """One prefixed line for each line of a record, times in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one or more lines, without a line break at the end."""
        severity, name = next((s, n) for level, s, n in _SEVERITIES if record.levelno >= level)
        seconds = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))
        prefix = f"<{severity}> {seconds}.{int(record.msecs):03d} +00:00 [{name}] "
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return "\n".join(prefix + line.translate(_CONTROL) for line in text.split("\n"))


class _Handler(logging.Handler):
    """Writes to stdout, and drops what stdout does not take: a broken log must not stop scoring."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(self.format(record) + "\n")
            sys.stdout.flush()
        except OSError:
            return
        except Exception:
            self.handleError(record)


def start(level: str) -> None:
    """Send this process's log records, those of score.py among them, to stdout from this level on."""
    handler = _Handler()
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries at debug level would print bodies and headers; they stay at warning.
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Change the level: of the runner to any, of score.py's own loggers to info at the lowest."""
    logger.setLevel(LEVELS[level])
    logging.getLogger().setLevel(max(LEVELS[level], logging.INFO))
