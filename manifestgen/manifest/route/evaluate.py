"""Carries out a route: does it take this message, and where does the message go?

    condition = Condition(parse("FROM /* WHERE as_number(temp) > 30 INTO $upstream").condition)
    condition.holds(Facts({"temp": "31"}, {}, b""))      # True

The verdict is the runtime's, its oddities included. Three of them surprise: a path into the body that finds nothing is
null and not undefined; values of the body are compared across kinds, so every text is above every number; and
`is_null($body.x)` is true for whatever is there and false for what is missing.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, query/ConditionVisitor.cs, query/Bool.cs, query/Null.cs,
query/Undefined.cs, query/types/QueryValue.cs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from manifestgen.manifest.route import builtin
from manifestgen.manifest.route.body import MISSING, UNDEFINED, Path, find, read_body, read_path
from manifestgen.manifest.route.function import Type
from manifestgen.manifest.route.tree import Binary, Call, Expression, Literal, Property, SystemProperty, Unary
from manifestgen.manifest.route.type_check import node_types

_BOOL, _NUMBER, _STRING, _NULL, _UNDEFINED, _BODY = Type
_UNREAD: Final = object()


class Facts:
    """A message as conditions see it; its body is parsed on first use.

    Args:
        properties: application properties, found in any case; AMQP knows some without a value, MQTT does not.
        system: system properties by the runtime's names, such as `contentType`, found in any case.
        body: the payload.
    """

    def __init__(self, properties: Mapping[str, str | None], system: Mapping[str, str | None], body: bytes) -> None:
        self._properties = {name.lower(): value for name, value in properties.items()}
        self._system = {name.lower(): value for name, value in system.items()}
        self._body = body
        self._json: Any = _UNREAD

    def property(self, name: str) -> Any:
        """The application property of this name, in lower case; `UNDEFINED` without one."""
        return self._properties.get(name, UNDEFINED)

    def system(self, name: str) -> Any:
        """The system property of this name, in lower case; `UNDEFINED` without one."""
        return self._system.get(name, UNDEFINED)

    def at(self, path: Path) -> Any:
        """The value of a path in the body; see `manifestgen.manifest.route.body`."""
        if self._json is _UNREAD:
            self._json = read_body(self._body, self._system.get("contenttype"), self._system.get("contentencoding"))
        return find(self._json, path)


# A step of a condition: how many values it takes from the stack, and what it makes of them; with none, of the facts.
_Step = tuple[int, Callable[..., Any]]


class Condition:
    """A condition, ready to be evaluated for any number of messages; without one, every message passes.

    Raises:
        ValueError: edgeHub could not compile it either.
    """

    def __init__(self, expression: Expression | None) -> None:
        self._steps: list[_Step] = []
        types: list[Type] = []
        for node, kind in node_types(expression) if expression is not None else ():
            count = _arity(node)
            given = types[len(types) - count :]
            del types[len(types) - count :]
            types.append(kind)
            self._steps.append((count, _step(node, kind, given)))
        self._kind = types[-1] if types else _BOOL

    def value(self, facts: Facts) -> bool | None:
        """True, false, or None for undefined."""
        if not self._steps:
            return True
        stack: list[Any] = []
        for count, act in self._steps:
            if count == 0:
                stack.append(act(facts))
            elif count == 1:
                stack[-1] = act(stack[-1])
            else:
                arguments = stack[-count:]
                del stack[-count:]
                stack.append(act(*arguments))
        result = stack[0]
        if self._kind is _NULL:
            return False
        return result if isinstance(result, bool) else None

    def holds(self, facts: Facts) -> bool:
        """Whether a message passes: only true lets it."""
        return self.value(facts) is True


def _arity(node: Expression) -> int:
    if isinstance(node, Binary):
        return 2
    if isinstance(node, Unary):
        return 1
    return len(node.arguments) if isinstance(node, Call) else 0


def _step(node: Expression, kind: Type, given: list[Type]) -> Callable[..., Any]:
    if isinstance(node, Literal):
        return _literal(node, kind)
    if isinstance(node, Property):
        name = node.name.lower()
        return lambda facts: facts.property(name)
    if isinstance(node, SystemProperty):
        return _system_property(node, kind)
    if isinstance(node, Unary):
        if node.operator == "-":
            return _negative
        return _not_of_body if given[0] is _BODY else _not
    if isinstance(node, Call):
        return _call(node.name.lower(), given)
    if isinstance(node, Binary):
        return _binary(node.operator, given)
    raise ValueError("a condition with faults cannot be evaluated")


def _constant(value: Any) -> Callable[[Facts], Any]:
    return lambda _: value


def _literal(node: Literal, kind: Type) -> Callable[[Facts], Any]:
    if kind is _NULL:
        return _constant(None)
    if kind is _UNDEFINED:
        return _constant(UNDEFINED)
    if kind is _BOOL:
        return _constant(node.text == "true")
    return _constant(_unescaped(node.text[1:-1]) if kind is _STRING else _number(node.text))


def _number(text: str) -> float:
    if text[1:2] in ("x", "X"):
        number = int(text, 16)
        return float(number - (1 << 64) if number >> 63 else number)  # 64 bits, with a sign
    try:
        return float(text)
    except ValueError:
        return math.nan  # `e5` is a number to the grammar alone


def _unescaped(text: str) -> str:
    text = re.sub(r"\\[Uu]([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), text)
    text = re.sub(r"\\([\"'\\])", r"\1", text)
    return text if text.isascii() else builtin.from_units(builtin.units(text))


def _system_property(node: SystemProperty, kind: Type) -> Callable[[Facts], Any]:
    if kind is _UNDEFINED:
        return _constant(UNDEFINED)
    whole, name = node.name.lower(), node.name[1:].lower()
    if kind is not _BODY:
        if node.escaped:
            return lambda facts: facts.system(name)
        return lambda facts: _first(facts.property(whole), facts.system(name))
    path = read_path(node.body_path or "")
    if node.escaped or "[" in whole:
        return lambda facts: facts.at(path)

    def look(facts: Facts) -> Any:
        found = facts.property(whole)
        return facts.at(path) if found is UNDEFINED else found

    return look


def _first(value: Any, other: Any) -> Any:
    return other if value is UNDEFINED else value


def _joined(given: list[Type]) -> Callable[..., Any]:
    """Joins texts; a property without a value is an empty one, and the body's null is none."""
    join = builtin.function("concat")
    return lambda *texts: join(
        *("" if text is None and kind is _STRING else text for text, kind in zip(texts, given, strict=True))
    )


def _as_body(kind: Type) -> Callable[[Any], Any] | None:
    """How a value becomes one of the body: a number that is not one is undefined, others stay as they are."""
    return _defined_number if kind is _NUMBER else None


def _defined_number(value: float) -> Any:
    return UNDEFINED if math.isnan(value) else value


def _wrapped(act: Callable[..., Any], given: list[Type]) -> Callable[..., Any]:
    """Apply to body values what may be given as something else."""
    wraps = [_as_body(kind) for kind in given]
    if not any(wraps):
        return act
    return lambda *values: act(*(wrap(v) if wrap else v for wrap, v in zip(wraps, values, strict=True)))


def _negative(value: float) -> float:
    return -value


def _not(value: Any) -> Any:
    if value is None:
        return True  # of the literal; the body's null is not a bool
    return not value if isinstance(value, bool) else UNDEFINED


def _not_of_body(value: Any) -> Any:
    return not value if isinstance(value, bool) else UNDEFINED


def _call(name: str, given: list[Type]) -> Callable[..., Any]:
    if name == "as_number" and given[0] is _NUMBER:
        return lambda value: value
    if name == "concat":
        return _joined(given)
    if not name.startswith("is_"):
        return _wrapped(builtin.function(name), given)
    kind = given[0]
    if name == "is_defined":
        return _wrapped(lambda value: value is not UNDEFINED, given)
    if name == "is_null":
        if kind is _BODY:
            return lambda value: UNDEFINED if value is UNDEFINED else value is not MISSING
        return (lambda value: value is None) if kind in (_NULL, _STRING) else (lambda _: False)
    wanted: type = {"is_bool": bool, "is_number": float, "is_string": str}[name]
    own = {"is_bool": _BOOL, "is_number": _NUMBER, "is_string": _STRING}[name]
    if kind not in (own, _BODY):
        return lambda _: False
    if name == "is_bool":
        return lambda value: UNDEFINED if value is UNDEFINED else isinstance(value, bool)
    if name == "is_number":
        return lambda value: isinstance(value, float) and math.isfinite(value)
    return lambda value: isinstance(value, wanted)


def _binary(operator: str, given: list[Type]) -> Callable[[Any, Any], Any]:
    left, right = given
    if operator in ("AND", "OR"):
        return _logical(operator, left, right)
    if operator == "||":
        return _joined(given)
    if operator == "??":
        return _coalesce(given)
    if operator in _ARITHMETIC:
        compute = _ARITHMETIC[operator]
        return compute if _BODY not in given else _wrapped(_of_numbers(compute), given)
    compare = builtin.comparison(operator)
    if given == [_STRING, _STRING]:
        return lambda a, b: UNDEFINED if a is None or b is None else compare(a, b)
    return _wrapped(compare, given)


_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": builtin.divided,
    "%": builtin.remainder,
}


def _of_numbers(compute: Callable[[float, float], float]) -> Callable[[Any, Any], Any]:
    # A result from body values counts as a number even if it is not: the runtime does not check it again.
    return lambda a, b: compute(a, b) if isinstance(a, float) and isinstance(b, float) else UNDEFINED


def _coalesce(given: list[Type]) -> Callable[[Any, Any], Any]:
    wrap = _wrapped(lambda a, b: b if a is UNDEFINED else a, given)
    if given != [_NUMBER, _NUMBER]:
        return wrap
    return lambda left, right: right if math.isnan(left) else left


def _logical(operator: str, left: Type, right: Type) -> Callable[[Any, Any], Any]:
    if _BODY in (left, right):
        return _both_bools(_and if operator == "AND" else _or)
    if operator == "AND":
        return _and_null if _NULL in (left, right) else _and
    if _NULL in (left, right):
        return _and_null if left is right else lambda a, b: b if a is None else a
    return _or


def _both_bools(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    # Beside a body value an undefined bool does not give way to the other side.
    return lambda a, b: act(a, b) if isinstance(a, bool) and isinstance(b, bool) else UNDEFINED


def _and_null(_: Any, __: Any) -> None:
    return None


def _and(left: Any, right: Any) -> Any:
    if left is False or right is False:
        return False
    return UNDEFINED if UNDEFINED in (left, right) else True


def _or(left: Any, right: Any) -> Any:
    if left is True or right is True:
        return True
    return UNDEFINED if UNDEFINED in (left, right) else False
