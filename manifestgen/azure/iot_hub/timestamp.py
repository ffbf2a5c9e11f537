"""Times as IoT Hub writes them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any


def read_time(text: Any) -> datetime | None:
    """A time such as `2026-08-01T12:00:00.1234567Z`; None if it is not one.

    The service writes seven digits of a second, Python 3.10 reads three or six.
    """
    if not isinstance(text, str):
        return None
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z", text)
    if match is None:
        return None
    return datetime.fromisoformat(f"{match[1]}.{(match[2] or '')[:6]:0<6}+00:00")
