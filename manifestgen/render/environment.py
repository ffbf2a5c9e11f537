"""Jinja for templates of manifests: sandboxed, strict about undefined values, every value output as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

import jinja2
from jinja2 import BaseLoader, StrictUndefined, UndefinedError, nodes, pass_environment, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.filters import make_attrgetter, sync_do_join
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Joiner, missing
from markupsafe import Markup

from manifestgen.render.limits import (
    add_up,
    bounded_filter,
    check_call,
    check_operands,
    count_result,
    count_text,
    spend,
    weigh,
)
from manifestgen.render.splice import Json, line_mark, mark, text_of, to_json

# Jinja's filters for HTML: here they would put a value into the manifest unescaped, or garble it.
_HTML_FILTERS: Final = ("e", "escape", "forceescape", "safe", "striptags", "urlize", "xmlattr")
_DICT_METHODS: Final = frozenset(dir(dict))


class MissingError(UndefinedError):
    """An undefined value was used.

    Attributes:
        name: the variable, key or index that was looked up.
        holder: the object that it was looked up in; `missing` for a variable.
    """

    def __init__(self, message: str | None, *, name: Any, holder: Any) -> None:
        super().__init__(message)
        self.name = name
        self.holder = holder


class _Undefined(StrictUndefined):
    """A value that does not exist, or that the sandbox forbids: every use of it raises `MissingError` or `exc`."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: Any = None,
        exc: type[jinja2.TemplateRuntimeError] = UndefinedError,
    ) -> None:
        # A function, but called like the class that it replaces.
        error: Any = partial(MissingError, name=name, holder=obj) if exc is UndefinedError else exc
        super().__init__(hint, obj, name, error)


class Generator(CodeGenerator):
    """Treats the literal in `{{ "," if not loop.last }}` as template text, and makes `~` join texts."""

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        """Compile an output statement."""
        node.nodes = [_literal_as_text(child) for child in node.nodes]
        super().visit_Output(node, frame)

    # As in jinja2.nativetypes: the code around each value, where Jinja would escape HTML.
    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> str:
        if isinstance(node, nodes.TemplateData):
            return node.data
        raise nodes.Impossible

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        self.write("environment.put_out(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        self.write(")")

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        """Compile a loop: each round is counted, and so is each item that its condition skips."""
        spend_ = nodes.EnvironmentAttribute("spend()", lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(spend_, lineno=node.lineno))
        node.test = node.test and nodes.And(spend_, node.test, lineno=node.lineno)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """Compile `a ~ b`."""
        self.write("environment.join_texts((")
        for argument in node.nodes:
            self.visit(argument, frame)
            self.write(", ")
        self.write("))")


class _TracingGenerator(Generator):
    """Also marks each piece of output with the line that it comes from."""

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        assert isinstance(self.environment, Environment)  # noqa: S101 - nothing else makes one
        template = self.environment.number_of(self.name or "")
        marked: list[nodes.Expr] = []
        for child in node.nodes:
            marked += (nodes.TemplateData(line_mark(template, child.lineno)), child)
        node.nodes = marked
        super().visit_Output(node, frame)


def _literal_as_text(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        return nodes.TemplateData(node.value, lineno=node.lineno)
    if isinstance(node, nodes.CondExpr):
        node.expr1 = _branch_as_text(node.expr1)
        node.expr2 = node.expr2 and _branch_as_text(node.expr2)
    return node


def _branch_as_text(node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        return nodes.MarkSafe(node, lineno=node.lineno)
    return _literal_as_text(node)


class _TextJoiner(Joiner):
    """Jinja's `joiner`: its separator is template text."""

    def __call__(self) -> str:
        return Markup(super().__call__())  # noqa: S704 - no HTML


class Environment(SandboxedEnvironment):
    """Compiles and runs templates.

    Jinja's autoescaping is on, though there is no HTML: it makes the output of macros and blocks `Markup`, by which
    `mark` distinguishes it from values.
    """

    code_generator_class = Generator

    def __init__(self, loader: BaseLoader) -> None:
        super().__init__(
            loader=loader,
            undefined=_Undefined,
            autoescape=True,
            auto_reload=False,
            optimized=False,  # optimizing costs more than it saves for a template that is rendered once
        )
        for name in _HTML_FILTERS:
            del self.filters[name]
        del self.globals["lipsum"]  # its output is random
        self.filters["tojson"] = to_json
        self.filters["join"] = _join
        self.filters["sum"] = _sum
        for name, function in self.filters.items():
            self.filters[name] = bounded_filter(name, function)
        self.globals["joiner"] = _TextJoiner
        self._numbers: dict[str, int] = {}

    def number_of(self, template: str) -> int:
        """The number of a template's name in line marks."""
        return self._numbers.setdefault(template, len(self._numbers))

    def template_of(self, number: int) -> str:
        """The template's name for a number."""
        return list(self._numbers)[number]

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    #: Called by compiled loops.
    spend = staticmethod(spend)

    @staticmethod
    def put_out(value: Any) -> str:
        """The output of `{{ value }}`."""
        if isinstance(value, dict | list | tuple):
            weigh(value)
        return mark(value)

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """The output of a template, a macro or a block, as one text."""
        pieces = list(_counted(pieces))
        return "".join(pieces)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """`function(…)` in a template."""
        check_call(__obj, args, kwargs)
        result = super().call(__context, __obj, *args, **kwargs)
        count_result(__obj, result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`left + right`, and so on."""
        check_operands(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`; keys of plain data bypass the sandbox's checks."""
        if type(obj) is dict and attribute not in _DICT_METHODS and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    @staticmethod
    def join_texts(items: tuple[Any, ...]) -> Any:
        """Evaluate `~`: a text, and template text if all of its parts are."""
        spend(weigh(*items))
        if all(isinstance(item, Markup) for item in items):
            return Markup("").join(items)
        return "".join(_text(item) for item in items)


class TracingEnvironment(Environment):
    """Produces the same output, with line marks in between."""

    code_generator_class = _TracingGenerator


def _counted(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        count_text(len(piece))
        yield piece


def _text(item: Any) -> str:
    return text_of(item) if isinstance(item, Markup) else str(item)


@pass_eval_context
def _join(context: EvalContext, value: Any, d: str = "", attribute: str | int | None = None) -> Any:
    """The filter `join`; joined JSON texts are template text, not a value."""
    items = list(value)
    if items and attribute is None and all(type(item) is Json for item in items):
        return Markup(d.join(mark(item) for item in items))  # noqa: S704 - no HTML
    return sync_do_join(context, items, d, attribute)


@pass_environment
def _sum(environment: Environment, iterable: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    """The filter `sum`."""
    if attribute is not None:
        iterable = map(make_attrgetter(environment, attribute), iterable)
    return add_up(iterable, start)
