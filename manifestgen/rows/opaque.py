"""Values that a template may put out but not look at.

A row's value that is only put out lands in the manifest as it is, whatever it is. Rendering a template once with
`Opaque` values in place of a row's shows where each of them lands; where the template looks at one (compares it, loops
over it, hands it to a filter), `Touched` is raised, and the value counts as one that shapes the manifest.

What stands in the manifest for an opaque value is `["N"]` with the number N between two noncharacters of Unicode: as a
list of one text where the value stands for itself, as that list's JSON inside a text where it is part of one. Both
follow from `render.splice`, which puts out values as JSON and escapes them inside strings.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from jinja2 import nodes
from jinja2.compiler import Frame
from jinja2.runtime import Context, Macro
from jinja2.tests import test_defined, test_undefined

from manifestgen.render.environment import Environment, Generator
from manifestgen.render.splice import Json, mark, to_json

_OPEN: Final = "\ufdd4"
_CLOSE: Final = "\ufdd5"
_ESCAPED: Final = "\\ufdd4"
#: The number of an opaque value wherever a text has one, even if escaped once more.
NUMBERS: Final = re.compile(r"(?:\ufdd4|\\ufdd4)([0-9]+)")
#: Where bytes of JSON have an opaque value: part of a text if there is a backslash, for itself if not.
PLACES: Final = re.compile('\\[(\\\\?)"\ufdd4([0-9]+)\ufdd5\\1"\\]'.encode())
#: A text without its clean places: what then still has a number has one that was changed.
CLEAN: Final = re.compile('\\["\ufdd4[0-9]+\ufdd5"\\]')


class Touched(Exception):
    """The template looked at opaque values.

    Attributes:
        numbers: theirs.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        super().__init__("a template looked at an opaque value")
        self.numbers = frozenset(numbers)


class Opaque:
    """Stands for the value number N. Whatever is done with it but putting it out raises `Touched`."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def __getattr__(self, name: str) -> NoReturn:
        raise Touched([self._number])

    @property  # type: ignore[misc]  # mypy does not know properties there
    def __class__(self) -> NoReturn:  # type: ignore[override]  # `isinstance` asks for it
        raise Touched([self._number])


def _touch(self: Opaque, *_: Any, **__: Any) -> NoReturn:
    raise Touched([self._number])


# The interpreter looks its operators up on the class, not through `__getattr__`.
_OPERATORS_OF_PYTHON: Final = (
    "bool eq ne lt le gt ge hash repr str format len length_hint iter next contains getitem call int float complex "
    "index round trunc floor ceil add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod divmod "
    "rdivmod pow rpow and rand or ror xor rxor lshift rlshift rshift rrshift neg pos abs invert bytes reversed fspath"
)
for _name in _OPERATORS_OF_PYTHON.split(" "):
    setattr(Opaque, f"__{_name}__", _touch)


def text_of(value: Opaque) -> Json:
    """What is put out for an opaque value."""
    # Not escaped: inside a string of the template it will be, once.
    return Json(json.dumps([f"{_OPEN}{value._number}{_CLOSE}"], ensure_ascii=False))


def untouched(value: Any) -> Any:
    """The value, unless it is opaque or a text that holds an opaque one."""
    if type(value) is Opaque:
        raise Touched([value._number])
    if isinstance(value, str) and (_OPEN in value or _ESCAPED in value):
        raise Touched(map(int, NUMBERS.findall(value)))
    return value


def _put_out(value: Any) -> str:
    return mark(text_of(value) if type(value) is Opaque else _plain(value))


def _to_json(value: Any) -> Json:
    if type(value) is Opaque:
        return text_of(value)
    return to_json(_plain(untouched(value)))


def _plain(value: Any) -> Any:
    """A list or mapping with what stands for opaque values in it, so that JSON can be made of it."""
    kind = type(value)
    if kind is Opaque:
        return [f"{_OPEN}{value._number}{_CLOSE}"]
    if kind is dict:
        return {untouched(key): _plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    if kind is str:
        return untouched(value)
    return value


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that is not given opaque values; what is in lists they have to find out by touching."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            untouched(value)
        return function(*args, **kwargs)

    return guarded


def _default(value: Any, *args: Any, **kwargs: Any) -> Any:
    """The filter `default`: a row's value is defined; whether it is empty as well would be looking at it."""
    boolean = args[1] if len(args) > 1 else kwargs.get("boolean", False)
    return value if not boolean else untouched(value)


class _Generator(Generator):
    """Lets comparisons and slices, which are the interpreter's own, ask for what they compare and cut."""

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        self.write("(")
        self._visit_untouched(node.expr, frame)
        for operand in node.ops:
            self.write(f" {_OPERATORS[operand.op]} ")
            self._visit_untouched(operand.expr, frame)
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self._visit_untouched(node.node, frame)
        self.write("[")
        self.visit(node.arg, frame)
        self.write("]")

    def _visit_untouched(self, node: nodes.Node, frame: Frame) -> None:
        self.write("environment.untouched(")
        self.visit(node, frame)
        self.write(")")


_OPERATORS: Final = {
    "eq": "==", "ne": "!=", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "in": "in", "notin": "not in",
}  # fmt: skip


class OpaqueEnvironment(Environment):
    """Runs templates with opaque values."""

    code_generator_class = _Generator
    put_out = staticmethod(_put_out)
    untouched = staticmethod(untouched)

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        own: dict[str, Callable[..., Any]] = {"tojson": _to_json}
        filters: dict[str, Any] = dict(self.filters)
        for name, function in filters.items():
            self.filters[name] = own.get(name) or _guarded(function)
        plain = self.filters["default"]
        self.filters["default"] = self.filters["d"] = functools.wraps(plain)(
            lambda value, *args, **kwargs: (
                _default(value, *args, **kwargs) if type(value) is Opaque else plain(value, *args, **kwargs)
            )
        )
        tests: dict[str, Any] = dict(self.tests)
        for name, test in tests.items():
            self.tests[name] = _guarded(test)
        self.tests["defined"] = lambda value: type(value) is Opaque or test_defined(value)
        self.tests["undefined"] = lambda value: type(value) is not Opaque and test_undefined(value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`."""
        return super().getattr(untouched(obj), attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`."""
        return super().getitem(untouched(obj), untouched(argument))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A call: macros pass on what they are given, and so do a mapping and its methods."""
        if not (type(__obj) is Macro or __obj is dict or type(getattr(__obj, "__self__", None)) is dict):
            for value in (*args, *kwargs.values()):
                untouched(value)
        return super().call(__context, __obj, *args, **kwargs)

    @staticmethod
    def join_texts(items: tuple[Any, ...]) -> Any:
        """What `~` does."""
        return Environment.join_texts(tuple(untouched(item) for item in items))
