"""What a route says: its source, its condition as a tree, its sink.

Values only: where a thing stands in the text (`offset`, `length`, in characters) is kept for messages and does not
count when two trees are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

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


@dataclass(frozen=True, slots=True)
class Literal:
    """A text in quotes, a number, or one of `true`, `false`, `null`, `undefined`.

    Attributes:
        kind: "string", "number", "bool", "null" or "undefined", as it is written.
        text: as it stands in the route, quotes and escapes included.
    """

    kind: str
    text: str
    offset: int = field(compare=False, repr=False, default=0)

    @property
    def length(self) -> int:
        """In characters."""
        return len(self.text)


@dataclass(frozen=True, slots=True)
class Property:
    """A message's application property: always text, undefined where the message lacks it."""

    name: str
    offset: int = field(compare=False, repr=False, default=0)

    @property
    def length(self) -> int:
        """In characters."""
        return len(self.name)


@dataclass(frozen=True, slots=True)
class SystemProperty:
    """`$name`: the application property of exactly that name, else the system property, else (`$body.…`) the body.

    Attributes:
        name: with its `$`.
        escaped: written `{$name}`: the application property is not asked.
    """

    name: str
    escaped: bool = False
    offset: int = field(compare=False, repr=False, default=0)
    length: int = field(compare=False, repr=False, default=0)

    @property
    def body_path(self) -> str | None:
        """What follows `$body.` (in any case), or None for a name that does not ask for the message's body."""
        return self.name[len(_BODY) :] if self.name[: len(_BODY)].lower() == _BODY else None


_BODY: Final = "$body."


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; `name` as written, functions are called in any case."""

    name: str
    arguments: tuple[Expression, ...]
    offset: int = field(compare=False, repr=False, default=0)
    length: int = field(compare=False, repr=False, default=0)


@dataclass(frozen=True, slots=True)
class Unary:
    """`-` or `NOT` and its operand; `offset` is the operator's."""

    operator: str
    operand: Expression
    offset: int = field(compare=False, repr=False, default=0)

    @property
    def length(self) -> int:
        """Of the operator, in characters."""
        return len(self.operator)


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator of `PRECEDENCE` between two operands; `offset` is the operator's."""

    operator: str
    left: Expression
    right: Expression
    offset: int = field(compare=False, repr=False, default=0)

    @property
    def length(self) -> int:
        """Of the operator, in characters."""
        return len(self.operator)


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake in a condition that the runtime's parser has a rule for, so that only the compiler refuses it."""

    message: str
    fix: str
    offset: int = field(compare=False, repr=False, default=0)
    length: int = field(compare=False, repr=False, default=0)


@dataclass(frozen=True, slots=True)
class Broken:
    """A condition that is taken when the manifest arrives and cannot be compiled: it has no tree, only faults."""

    text: str
    faults: tuple[Fault, ...]
    offset: int = field(compare=False, repr=False, default=0)

    @property
    def length(self) -> int:
        """In characters."""
        return len(self.text)


Expression: TypeAlias = Literal | Property | SystemProperty | Call | Unary | Binary | Broken


@dataclass(frozen=True, slots=True)
class Source:
    """Where a route's messages come from.

    Attributes:
        path: as the runtime reads it: blanks and comments between its parts left out.
    """

    path: str
    offset: int = field(compare=False, repr=False, default=0)
    length: int = field(compare=False, repr=False, default=0)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The sink `$upstream`: IoT Hub, or the parent edge device."""

    offset: int = field(compare=False, repr=False, default=0)
    length: int = field(compare=False, repr=False, default=0)


@dataclass(frozen=True, slots=True)
class ModuleInput:
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
    offset: int = field(compare=False, repr=False, default=0)

    @property
    def length(self) -> int:
        """Of the address, in characters."""
        return len(self.address)


@dataclass(frozen=True, slots=True)
class Route:
    """A route that the runtime's parser takes.

    Attributes:
        source: FROM.
        condition: WHERE; None where it is left out, which lets every message through.
        sink: INTO.
        text: the whole text.
        tail: the offset behind the sink; whatever follows there has no effect.
    """

    source: Source
    condition: Expression | None
    sink: Upstream | ModuleInput
    text: str = field(compare=False, repr=False, default="")
    tail: int = field(compare=False, repr=False, default=0)
