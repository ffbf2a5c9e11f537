"""How long every client of ours waits, and what it sends again: the one policy for all of them.

The IoT hub, Azure Resource Manager, Key Vault, Microsoft Entra ID, Azure ML and the registries differ in numbers only:
each has a `Patience`. The SDKs' own retries are switched off.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import tenacity
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError, ProxyError

from manifestgen.azure.exchange import LimitError, Phase
from manifestgen.errors import CloudError
from manifestgen.waits import factor_of

#: The statuses after which the same request may succeed.
TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})

_YEAR: Final = 365 * 86400.0

_T = TypeVar("_T")


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        connect: to connect, with TLS and through a proxy.
        answer: for a whole answer, from its request's last byte to its own last byte.
        total: from the first attempt to the beginning of the last. A Retry-After beyond it ends the request at once.
        unreachable: the same while no connection comes about at all: a mistyped host stays mistyped.
        first: the first pause at most; each next one may be twice as long, up to `longest`. Pauses are random below
            that, so that many clients do not come back at once. A Retry-After of the service is obeyed instead.
    """

    connect: float = 10.0
    answer: float = 35.0
    total: float = 120.0
    unreachable: float = 5.0
    first: float = 0.5
    longest: float = 20.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def scaled(self, environ: Mapping[str, str] | None = None) -> Patience:
        """The same, multiplied by the factor in the environment. Raises InputError if it is not a positive number."""
        factor = factor_of(os.environ if environ is None else environ)
        if factor == 1.0:
            return self
        limits = {
            name: getattr(self, name) * factor
            for name in ("connect", "answer", "total", "unreachable", "first", "longest")
        }
        return replace(self, **limits)


@dataclass(frozen=True)
class Again:
    """An attempt failed, and the same request may succeed later.

    Attributes:
        after: seconds that the service asks to wait; None if it does not say.
        unreachable: whether there was no connection.
    """

    after: float | None = None
    unreachable: bool = False


def repeated(send: Callable[[], _T], judge: Callable[[Any], Again | None], patience: Patience) -> _T:
    """Send until an attempt is final or the time is over; the result or error of the last attempt.

    Args:
        send: makes one attempt.
        judge: given an attempt's outcome (a finished `Future`), says whether it is worth another one.
    """
    started = patience.clock()
    pause = tenacity.wait_random_exponential(multiplier=patience.first, max=patience.longest)

    def wait(state: tenacity.RetryCallState) -> float:
        again = judge(state.outcome)
        return (again.after if again is not None else None) or pause(state)

    def over(state: tenacity.RetryCallState) -> bool:
        again = judge(state.outcome)
        limit = patience.unreachable if again is not None and again.unreachable else patience.total
        return patience.clock() - started + state.upcoming_sleep > limit

    attempts = tenacity.Retrying(
        retry=lambda state: judge(state.outcome) is not None,
        wait=wait,
        stop=over,
        sleep=patience.sleep,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    found: _T = attempts(send)
    return found


def seconds_of(header: str | None) -> float | None:
    """Seconds to wait according to a `Retry-After` header, a number or a date; None if it is missing or invalid."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None


def asked(seconds: float) -> str:
    """Words for a Retry-After: `and asks to wait 60 s`."""
    return f"and asks to wait {'more than a year' if seconds > _YEAR else f'{seconds:.0f} s'}"


def duration(seconds: float) -> str:
    """A duration in words: `95 s` as `2 min`."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, each once, the outermost first; the clients wrap each other's in several ways."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [getattr(current, "inner_exception", None), current.__cause__, current.__context__]
        if isinstance(current, MaxRetryError):
            inner.append(current.reason)
        if isinstance(current, ProxyError):
            inner.append(current.original_error)
        waiting += [*inner, *current.args]


def never_sent(error: BaseException | None) -> bool:
    """Whether no connection was established.

    A proxy error alone does not say so: urllib3 reports a connection through a proxy that is cut after the request was
    sent as one, too.
    """
    for reason in chain(error):
        if isinstance(reason, NewConnectionError | NameResolutionError | ConnectTimeoutError):
            return True
        if isinstance(reason, LimitError) and reason.phase is Phase.CONNECT:
            return True
        if isinstance(reason, OSError) and "Tunnel connection failed" in str(reason):
            return True
    return False


def root_words(error: BaseException) -> str:
    """The innermost error's message, without the wrappers' repetition; our own limit's message comes first."""
    reasons = list(chain(error))
    limit = next((reason for reason in reasons if isinstance(reason, LimitError)), None)
    for reason in [limit, *reversed(reasons)]:
        words = str(reason).strip().partition("\n")[0] if reason is not None else ""
        if words:
            return words
    return type(error).__name__


def untrusted(error: BaseException, host: str) -> CloudError | None:
    """The error for a server whose certificate is not trusted, which no repetition changes; None for any other."""
    for reason in chain(error):
        if isinstance(reason, ssl.SSLCertVerificationError):
            return CloudError(
                f"its TLS certificate is not trusted: {reason.verify_message or 'verification failed'}",
                where=host,
                fix="if a proxy inspects TLS here, name a file with its CA certificate in REQUESTS_CA_BUNDLE",
            )
    return None
