"""A parsed route: its source, its condition as a tree, its sink.

Values only: the position in the text (`offset`, `length`, in characters) is kept for messages, and
ignored when two trees are compared.
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias

from manifestgen.manifest.value import Value

# Binary operators and how tightly they bind; all of them to the left.
PRECEDENCE: Final = {
    "*": 7,
    "/": 7,
    "%": 7,
    "+": 6,
    "-": 6,
    "||": 6,
    "<": 5,
    "<=": 5,
    ">": 5,
    ">=": 5,
    "=": 4,
    "!=": 4,
    "<>": 4,
    "AND": 3,
    "OR": 2,
    "??": 1,
}
# `-` and NOT in front of an operand bind tighter than all of these: NOT a = b is (NOT a) = b.
PREFIX: Final = 8


class _Node(Value, frozen=True, eq=False):
    """The base of all parts of a route: positions are neither compared nor shown."""

    _hidden: ClassVar[frozenset[str]] = frozenset({"offset", "length"})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Node) or type(other) is not type(self):
            return NotImplemented
        return self._shown() == other._shown()

    def __hash__(self) -> int:
        return hash((type(self), *self._shown()))


class Literal(_Node, frozen=True):
    """A text in quotes, a number, or one of `true`, `false`, `null`, `undefined`.

    Attributes:
        kind: "string", "number", "bool", "null" or "undefined", as it is written.
        text: as written in the route, with quotes and escapes.
    """

    kind: str
    text: str
    offset: int = 0

    @property
    def length(self) -> int:
        """In characters."""
        return len(self.text)


class Property(_Node, frozen=True):
    """A message's application property: always text, undefined where the message lacks it."""

    name: str
    offset: int = 0

    @property
    def length(self) -> int:
        """In characters."""
        return len(self.name)


class SystemProperty(_Node, frozen=True):
    """`$name`: the application property of exactly that name, else the system property, else (`$body.…`) the body.

    Attributes:
        name: with its `$`.
        escaped: written `{$name}`: the application property is not asked.
    """

    name: str
    escaped: bool = False
    offset: int = 0
    length: int = 0

    @property
    def body_path(self) -> str | None:
        """The text after `$body.` (in any case), or None for a name that is not a body path."""
        return self.name[len(_BODY) :] if self.name[: len(_BODY)].lower() == _BODY else None


_BODY: Final = "$body."


class Call(_Node, frozen=True):
    """A function with its arguments; `name` as written, functions are called in any case."""

    name: str
    arguments: tuple[Expression, ...]
    offset: int = 0
    length: int = 0


class Unary(_Node, frozen=True):
    """`-` or `NOT` and its operand; `offset` is the operator's."""

    operator: str
    operand: Expression
    offset: int = 0

    @property
    def length(self) -> int:
        """Of the operator, in characters."""
        return len(self.operator)


class Binary(_Node, frozen=True):
    """An operator of `PRECEDENCE` between two operands; `offset` is the operator's."""

    operator: str
    left: Expression
    right: Expression
    offset: int = 0

    @property
    def length(self) -> int:
        """Of the operator, in characters."""
        return len(self.operator)


class Fault(_Node, frozen=True):
    """A mistake in a condition that the runtime's parser has a rule for, so that only the compiler refuses it."""

    message: str
    fix: str
    offset: int = 0
    length: int = 0


class Broken(_Node, frozen=True):
    """A condition that is taken when the manifest arrives and cannot be compiled: it has no tree, only faults."""

    text: str
    faults: tuple[Fault, ...]
    offset: int = 0

    @property
    def length(self) -> int:
        """In characters."""
        return len(self.text)


Expression: TypeAlias = Literal | Property | SystemProperty | Call | Unary | Binary | Broken


class Source(_Node, frozen=True):
    """Where a route's messages come from.

    Attributes:
        path: as the runtime reads it: blanks and comments between its parts left out.
    """

    path: str
    offset: int = 0
    length: int = 0


class Upstream(_Node, frozen=True):
    """The sink `$upstream`: IoT Hub, or the parent edge device."""

    offset: int = 0
    length: int = 0


class ModuleInput(_Node, frozen=True):
    """The sink `BrokeredEndpoint("/modules/MODULE/inputs/INPUT")`.

    Attributes:
        module: the second part of the address, as written; the runtime takes it literally, escapes too.
        input: the fourth part.
        address: the whole text between the quotes.
        offset: of the address's first character.
    """

    module: str
    input: str
    address: str
    offset: int = 0

    @property
    def length(self) -> int:
        """Of the address, in characters."""
        return len(self.address)


class Route(_Node, frozen=True):
    """A route that the runtime's parser takes.

    Attributes:
        source: FROM.
        condition: WHERE; None where it is left out, which lets every message through.
        sink: INTO.
        text: the whole text.
        tail: the offset behind the sink; whatever follows there has no effect.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset({"text", "tail"})

    source: Source
    condition: Expression | None
    sink: Upstream | ModuleInput
    text: str = ""
    tail: int = 0
