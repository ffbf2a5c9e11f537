"""The functions and operators of conditions, with the arithmetic and the strings of .NET.

A number is a double, and one that is not a number is undefined. A text is a row of UTF-16 units: they are counted, and
ordered by.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, query/builtins/, query/ComparisonOperators.cs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from manifestgen.manifest.reading import trim
from manifestgen.manifest.route.body import UNDEFINED

_NAN: Final = math.nan


def as_number(value: Any) -> float:
    """A number, or a text as `double.TryParse` reads it with all styles of the invariant culture."""
    if isinstance(value, str):
        return _parsed(value)
    return value if _is_number(value) else _NAN


_SIGNED: Final = re.compile(
    r"(?P<open>\()?(?P<before>[-+])?\s*(?:¤\s*)?(?P<again>[-+])?"
    r"(?P<digits>[0-9][0-9,]*\.?[0-9]*|\.[0-9]+)(?P<power>[eE][-+]?[0-9]+)?"
    r"\s*(?P<after>[-+])?\s*(?:¤\s*)?(?P<close>\))?"
)
_WORDS: Final = {"infinity": math.inf, "∞": math.inf, "nan": _NAN}


def _parsed(text: str) -> float:
    text = trim(text).rstrip("\0")
    word = text.lower()
    if (found := _WORDS.get(word.lstrip("+-"))) is not None and len(word) - len(word.lstrip("+-")) <= 1:
        return -found if word[0] == "-" else found
    match = _SIGNED.fullmatch(text)
    if match is None:
        return _NAN
    signs = [match[name] for name in ("before", "again", "after") if match[name]]
    if len(signs) > 1 or bool(match["open"]) != bool(match["close"]) or (match["open"] and signs):
        return _NAN
    number = float(match["digits"].replace(",", "") + (match["power"] or ""))
    return -number if match["open"] or signs == ["-"] else number


def divided(left: float, right: float) -> float:
    """A quotient of IEEE 754, which knows infinities."""
    if right:
        return left / right
    if not left or math.isnan(left) or math.isnan(right):
        return _NAN
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def remainder(left: float, right: float) -> float:
    """A remainder with the sign of the left side."""
    if not right or math.isinf(left) or math.isnan(left) or math.isnan(right):
        return _NAN
    return math.fmod(left, right)


def power(base: float, exponent: float) -> float:
    """As `Math.Pow`."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = math.fmod(exponent, 2.0) in (1.0, -1.0)
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base == 0:  # to a negative power
            odd = math.fmod(exponent, 2.0) in (1.0, -1.0)
            return math.copysign(math.inf, base) if odd else math.inf
        return _NAN


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _rounded(by: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(by(value)) if math.isfinite(value) else value


def _sign(value: float) -> float:
    return value if math.isnan(value) else float((value > 0) - (value < 0))


_NUMERIC: Final[dict[str, Callable[[float], float]]] = {
    "abs": abs,
    "exp": _exp,
    "square": lambda value: power(value, 2.0),
    "ceiling": _rounded(math.ceil),
    "floor": _rounded(math.floor),
    "sign": _sign,
    "sqrt": lambda value: math.sqrt(value) if value >= 0 else _NAN,
}


def units(text: str) -> bytes:
    """A text's UTF-16 units, two bytes each, in an order that compares as they do."""
    return text.encode("utf-16-be", "surrogatepass")


def from_units(data: bytes) -> str:
    """The text of UTF-16 units."""
    return data.decode("utf-16-be", "surrogatepass")


def _length(text: str) -> float:
    return float(len(text) if text.isascii() else len(units(text)) // 2)


def _index_of(text: str, part: str) -> float:
    position = text.find(part)
    return float(position) if position < 0 or text.isascii() else float(len(units(text[:position])) // 2)


def _substring(text: Any, start: Any, count: Any = None) -> Any:
    if not isinstance(text, str) or not _is_number(start) or not (count is None or _is_number(count)):
        return UNDEFINED
    size = _length(text)
    if count is None:
        valid = 0 <= start <= size
        count = size
    else:
        valid = 0 <= start < size and 0 <= count <= size - start
    if not valid:
        return UNDEFINED
    first, last = int(start), int(start) + int(count)
    return text[first:last] if text.isascii() else from_units(units(text)[2 * first : 2 * last])


# These would become other letters in ASCII, which the invariant culture does not do.
_KEPT: Final = frozenset("\u0130\u0131\u017f")


def _cased(change: Callable[[str], str]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        if text.isascii():
            return change(text)
        return "".join(c if c in _KEPT or len(change(c)) != 1 else change(c) for c in text)

    return apply


_TEXTUAL: Final[dict[str, Callable[..., Any]]] = {
    "length": _length,
    "lower": _cased(str.lower),
    "upper": _cased(str.upper),
    "index_of": _index_of,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, float)


def _concat(*texts: Any) -> Any:
    return "".join(texts) if all(isinstance(text, str) for text in texts) else UNDEFINED


def _power(base: Any, exponent: Any) -> float:
    return power(base, exponent) if _is_number(base) and _is_number(exponent) else _NAN


def function(name: str) -> Callable[..., Any]:
    """Compute a function that is not about types; arguments are body values: undefined ones are `UNDEFINED`.

    Returns:
        A text or `UNDEFINED`, a bool or `UNDEFINED`, or a number: one that is undefined is not a number.
    """
    if name in _NUMERIC:
        compute = _NUMERIC[name]
        return lambda value: compute(value) if _is_number(value) else _NAN
    if name in _TEXTUAL:
        textual = _TEXTUAL[name]
        nothing = _NAN if name in ("length", "index_of") else UNDEFINED
        return lambda *texts: textual(*texts) if all(isinstance(text, str) for text in texts) else nothing
    return _OTHERS[name]


_OTHERS: Final[dict[str, Callable[..., Any]]] = {
    "as_number": as_number,
    "power": _power,
    "concat": _concat,
    "substring": _substring,
}


_COMPARE: Final[dict[str, Callable[[int], bool]]] = {
    "=": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<>": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def comparison(operator: str) -> Callable[[Any, Any], Any]:
    """A comparison of two values, neither of them a number that is undefined unless it is marked so."""
    decide = _COMPARE[operator]

    def compare(left: Any, right: Any) -> Any:
        if left is UNDEFINED or right is UNDEFINED:
            return UNDEFINED
        return decide(order(left, right))

    return compare


def order(left: Any, right: Any) -> int:
    """Less than, equal to or more than 0. Values of different kinds are ordered by kind: no text is a number."""
    kind, other = _kind(left), _kind(right)
    if kind != other:
        return kind - other
    if kind == _NULL:
        return 0
    if kind == _STRING and left != right:
        return 1 if units(left) > units(right) else -1
    if kind == _NUMBER and (left != left or right != right):  # not a number comes before all others
        return int(left == left) - int(right == right)
    return int(left > right) - int(left < right)


_BOOL, _NUMBER, _STRING, _NULL = range(1, 5)


def _kind(value: Any) -> int:
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, float):
        return _NUMBER
    return _STRING if isinstance(value, str) else _NULL
