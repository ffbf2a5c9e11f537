"""The route language: parse a text, check its types. `evaluate` carries out a route's condition on a message.

    route = parse("FROM /messages/modules/sensor/* WHERE as_number(temp) > 30 INTO $upstream")
    compile_check(route)     # what edgeHub's compiler would reject, after it has reported 200
    warnings(route)          # accepted, but probably not intended
    source_modules(route)    # the module, and its output, that the source is limited to
    to_text(route)           # the route again
    evaluate.Condition(route.condition).holds(evaluate.Facts(properties, system, body))

`docs/routes.md` describes the language. Every error and warning has its place: `offset` and `length` in
characters of the text given, from 0.
"""

from manifestgen.manifest.route.error import RouteSyntaxError
from manifestgen.manifest.route.function import FUNCTIONS, Function, Type
from manifestgen.manifest.route.parser import parse, parse_condition
from manifestgen.manifest.route.source import SourceModule, source_matches, source_modules
from manifestgen.manifest.route.text import condition_text, to_text
from manifestgen.manifest.route.tree import (
    Binary,
    Broken,
    Call,
    Expression,
    Fault,
    Literal,
    ModuleInput,
    Property,
    Route,
    Source,
    SystemProperty,
    Unary,
    Upstream,
)
from manifestgen.manifest.route.type_check import RouteTypeError, compile_check, type_of
from manifestgen.manifest.route.warning import KINDS, RouteWarning, warnings

__all__ = [
    "FUNCTIONS",
    "KINDS",
    "Binary",
    "Broken",
    "Call",
    "Expression",
    "Fault",
    "Function",
    "Literal",
    "ModuleInput",
    "Property",
    "Route",
    "RouteSyntaxError",
    "RouteTypeError",
    "RouteWarning",
    "Source",
    "SourceModule",
    "SystemProperty",
    "Type",
    "Unary",
    "Upstream",
    "compile_check",
    "condition_text",
    "parse",
    "parse_condition",
    "source_matches",
    "source_modules",
    "to_text",
    "type_of",
    "warnings",
]
