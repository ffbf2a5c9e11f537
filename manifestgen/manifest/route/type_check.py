"""Checks a condition as edgeHub's compiler does, after the manifest was accepted and 200 reported.

An application property is always a string; `$body.…` may be anything; a literal has its own type.
Most operators need one type on both sides, where a body value matches number, string, bool and null. If the
compiler rejects one route, edgeHub uses *none* of the new routes, and only its log says so.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, query/ConditionVisitor.cs, query/types/QueryValue.cs,
query/Undefined.cs, query/Null.cs.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from manifestgen.manifest.route.error import quoted
from manifestgen.manifest.route.function import FUNCTIONS, TWIN_CHANGE, Function, Type
from manifestgen.manifest.route.hint import nearest_function
from manifestgen.manifest.route.json_path import check_path
from manifestgen.manifest.route.tree import (
    Binary,
    Call,
    Expression,
    Literal,
    Property,
    Route,
    SystemProperty,
    Unary,
)


class RouteTypeError(Struct, frozen=True):
    """A compiler error: place in characters of the route, message, and fix.

    Attributes:
        message: one sentence, lower-case.
        offset: of the operator, the function's name or the property.
        length: of it.
        fix: in the imperative.
    """

    message: str
    offset: int
    length: int
    fix: str


_BOOL, _NUMBER, _STRING, _NULL, _UNDEFINED, _BODY = Type


def compile_check(route: Route) -> list[RouteTypeError]:
    """The errors that prevent a route from compiling, in the order of the text."""
    if route.condition is None:
        return []
    return check_types(route.condition)[1]


def type_of(expression: Expression) -> Type | None:
    """The type of a condition, or of a part of one; None if it has none, since it cannot be compiled."""
    kind, errors = check_types(expression)
    return None if errors else kind


def check_types(expression: Expression) -> tuple[Type | None, list[RouteTypeError]]:
    """The type of an expression, None if an error leaves it open, and the errors in it."""
    types, errors = _walk(expression)
    return types[-1], errors


def node_types(expression: Expression) -> list[tuple[Expression, Type]]:
    """Every node of a condition that compiles, in the order of `nodes`, with its type.

    Raises:
        ValueError: it does not compile.
    """
    types, errors = _walk(expression)
    if errors:
        raise ValueError(errors[0].message)
    return [(node, kind) for node, kind in zip(nodes(expression), types, strict=True) if kind is not None]


def _walk(expression: Expression) -> tuple[list[Type | None], list[RouteTypeError]]:
    """The type of each of the `nodes`, and the errors in the order of the text."""
    errors: list[RouteTypeError] = []
    found: list[Type | None] = []
    types: list[Type | None] = []
    for node in nodes(expression):
        if isinstance(node, Binary):
            right = types.pop()
            types.append(_binary(node, types.pop(), right, errors))
        elif isinstance(node, Property):
            types.append(_STRING)
        elif isinstance(node, Literal):
            types.append(_literal(node))
        elif isinstance(node, SystemProperty):
            types.append(_system_property(node, errors))
        elif isinstance(node, Unary):
            types.append(_unary(node, types.pop(), errors))
        elif isinstance(node, Call):
            first = len(types) - len(node.arguments)
            given = types[first:]
            del types[first:]
            types.append(_call(node, given, errors))
        else:
            errors += [RouteTypeError(fault.message, fault.offset, fault.length, fault.fix) for fault in node.faults]
            types.append(None)
        found.append(types[-1])
    errors.sort(key=_offset)
    return found, errors


def _offset(error: RouteTypeError) -> int:
    return error.offset


def nodes(expression: Expression) -> list[Expression]:
    """All nodes, operands before their operator, from left to right; without recursion, for trees of any depth."""
    nodes: list[Expression] = []
    pending = [expression]
    while pending:
        node = pending.pop()
        nodes.append(node)
        if isinstance(node, Binary):
            pending.append(node.left)
            pending.append(node.right)
        elif isinstance(node, Call):
            pending.extend(node.arguments)
        elif isinstance(node, Unary):
            pending.append(node.operand)
    nodes.reverse()
    return nodes


def _literal(node: Literal) -> Type:
    # The runtime reads a hexadecimal number into 64 bits, and gives undefined for one that does not fit.
    if node.kind == "number" and node.text[1:2] in "xX" and len(node.text[2:].lstrip("0")) > _HEX_DIGITS:
        return _UNDEFINED
    return _LITERALS[node.kind]


_HEX_DIGITS: Final = 16
_LITERALS: Final = {kind.value: kind for kind in Type if kind is not Type.BODY}


def _system_property(node: SystemProperty, errors: list[RouteTypeError]) -> Type | None:
    path = node.body_path
    if path is None:
        # No property has brackets in its name; the runtime puts undefined in its place.
        return _UNDEFINED if "[" in node.name or "]" in node.name else _STRING
    wrong = check_path(path)
    if wrong is None:
        return _BODY
    offset = node.offset + int(node.escaped) + len(node.name) - len(path) + wrong.offset
    errors.append(
        RouteTypeError(
            f"{quoted(node.name)} is not a path into the body: {wrong.message}",
            offset if path else node.offset,
            1 if path else node.length,
            "write names separated by dots, each with at most one [number]: $body.list[0].name",
        )
    )
    return None


def _unary(node: Unary, operand: Type | None, errors: list[RouteTypeError]) -> Type | None:
    if node.operator == "-":
        if operand is _BODY:
            fix = f"write 0 - {_written(node.operand)}"
            errors.append(_error(node, "'-' cannot stand before a body value", fix))
        elif operand is not _NUMBER and operand is not None:
            errors.append(_error(node, f"'-' takes a number, not {_a(operand)}", _as_number(node.operand)))
        return _NUMBER
    if operand in (_STRING, _NUMBER, _UNDEFINED):
        fix = "put the comparison that NOT is about in parentheses: NOT (a = 'b')"
        errors.append(_error(node, f"NOT takes a bool, not {_a(operand)}", fix))
    return _BOOL


def _call(node: Call, given: list[Type | None], errors: list[RouteTypeError]) -> Type | None:
    name = node.name.lower()
    function = FUNCTIONS.get(name)
    if function is None:
        errors.append(_unknown_function(node, name))
        return None
    if not function.takes(given):
        errors.append(_wrong_arguments(node, function, given))
    return function.result


def _unknown_function(node: Call, name: str) -> RouteTypeError:
    if name == TWIN_CHANGE:
        return _error(node, f"'{TWIN_CHANGE}' works only in IoT Hub's routes", "leave it out, and filter in a module")
    return _error(node, f"there is no function {quoted(node.name)}", nearest_function(name))


def _wrong_arguments(node: Call, function: Function, given: list[Type | None]) -> RouteTypeError:
    fix = f"write {function.usage}"
    if function.result is _NUMBER and given == [_STRING] and function.parameters == ((_NUMBER,),):
        fix = f"write {function.name}({_as_number_of(node.arguments[0])})"
    return _error(node, f"{function.name} does not take ({', '.join(str(kind or 'unknown') for kind in given)})", fix)


def _binary(node: Binary, left: Type | None, right: Type | None, errors: list[RouteTypeError]) -> Type | None:
    operator = node.operator
    if operator in ("AND", "OR"):
        return _logical(node, left, right, errors)
    if operator in _ARITHMETIC:
        fits = left in _NUMBERS and right in _NUMBERS
        result = _BODY if _BODY in (left, right) else _NUMBER
        if fits and operator == "%" and result is _BODY:
            errors.append(_error(node, "'%' cannot be used with a body value", "compute the remainder in a module"))
    elif operator == "||":
        fits = left in _STRINGS and right in _STRINGS
        result = _STRING
    else:
        fits = left is right or left is None or right is None
        if not fits and _BODY in (left, right):
            fits = _UNDEFINED not in (left, right)
        if operator != "??":
            result = _BOOL
        elif left is None or right is None:
            result = None
        else:
            result = left if left is right else _BODY
    if not fits:
        errors.append(_mismatch(node, left, right))
        # The intended type is unknown, and one mistake is reported once.
        return result if result is _BOOL else None
    return result


_ARITHMETIC: Final = frozenset("+-*/%")
_NUMBERS: Final = (_NUMBER, _BODY, None)
_STRINGS: Final = (_STRING, _BODY, None)


def _logical(node: Binary, left: Type | None, right: Type | None, errors: list[RouteTypeError]) -> Type | None:
    operator = node.operator
    if left is None or right is None:
        return _BOOL
    if left in (_STRING, _NUMBER):
        errors.append(_error(node, f"{operator} takes a bool on its left, not {_a(left)}", _compared(node.left, left)))
    elif left is _BODY:
        # The right side of a body value is not checked, only the result, which is never null.
        if operator == "AND" and right is _NULL:
            errors.append(_error(node, "a body value AND null cannot be computed", "leave out null"))
    elif right is _BODY:
        # The runtime asks whether the *left* side is a body value before it takes one on the right.
        name = _written(node.right)
        fix = f"write {name} = true, or put {name} on the left of {operator}"
        errors.append(_error(node, f"{operator} takes a body value on its right only if one is on its left", fix))
    elif right in (_STRING, _NUMBER):
        fix = _compared(node.right, right)
        errors.append(_error(node, f"{operator} takes a bool on its right, not {_a(right)}", fix))
    elif {left, right} == {_NULL, _UNDEFINED}:
        errors.append(_error(node, f"{operator} does not take null with undefined", "leave out undefined"))
    if operator == "AND":
        return _NULL if _NULL in (left, right) else _BOOL
    return _NULL if left is right is _NULL else _BOOL


def _mismatch(node: Binary, left: Type | None, right: Type | None) -> RouteTypeError:
    return _error(node, f"'{node.operator}' does not take {_a(left)} and {_a(right)}", _mismatch_fix(node, left, right))


def _mismatch_fix(node: Binary, left: Type | None, right: Type | None) -> str:
    if node.operator == "||":
        return "'||' joins strings; for a choice write OR, to join put literals in quotes"
    if node.operator in ("+",) and left is right is _STRING:
        return f"join strings with ||: {_written(node.left)} || {_written(node.right)}"
    if node.operator in _ARITHMETIC:
        return _as_number(node.left if left is _STRING else node.right)
    for side, kind, other, other_kind in ((node.left, left, node.right, right), (node.right, right, node.left, left)):
        if kind is not _STRING:
            continue
        if isinstance(side, Literal):
            return f"compare like with like: write {side.text} without quotes, or the other side as a string"
        if other_kind is _NUMBER:
            return _as_number(side)
        if other_kind is _NULL:
            return f"an application property is never null: write NOT is_defined({_written(side)})"
        if other_kind is _BOOL and isinstance(other, Literal):
            return f"an application property is a string: write '{other.text}' in quotes, or $body.{_bare(side)}"
    if _UNDEFINED in (left, right):
        return "nothing equals undefined: write is_defined(…)"
    return "put parentheses around what belongs together, and compare like with like"


def _as_number(node: Expression) -> str:
    if isinstance(node, Property):
        return f"an application property is a string: write {_as_number_of(node)}, or $body.{node.name} for the body's"
    return f"write {_as_number_of(node)}"


def _as_number_of(node: Expression) -> str:
    return f"as_number({_written(node)})"


def _compared(node: Expression, kind: Type) -> str:
    return f"compare it with something: {_written(node)} = {chr(39) + 'true' + chr(39) if kind is _STRING else '1'}"


def _written(node: Expression) -> str:
    """An operand for a message, if it is short enough for one."""
    if isinstance(node, Property | SystemProperty):
        name = f"{{{node.name}}}" if isinstance(node, SystemProperty) and node.escaped else node.name
        return name if len(name) <= _SHORT else "…"
    if isinstance(node, Literal) and len(node.text) <= _SHORT:
        return node.text
    return "…"


_SHORT: Final = 80


def _bare(node: Expression) -> str:
    return _written(node).strip("{}").removeprefix("$")


def _a(kind: Type | None) -> str:
    return {_NULL: "null", _UNDEFINED: "undefined", None: "something unknown"}.get(kind, f"a {kind}")


def _error(node: Binary | Unary | Call, message: str, fix: str) -> RouteTypeError:
    return RouteTypeError(message, node.offset, node.length, fix)
