"""The functions of a condition and what they take.

Source: Azure/iotedge, Microsoft.Azure.Devices.Routing.Core, query/ConditionVisitor.cs and query/builtins/.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct


class Type(Enum):
    """The type of a value in the runtime's compiler."""

    BOOL = "bool"
    NUMBER = "number"
    STRING = "string"
    NULL = "null"
    UNDEFINED = "undefined"
    BODY = "body value"  # known only when a message comes

    def __str__(self) -> str:
        return self.value


class Function(Struct, frozen=True):
    """A function's signature.

    Attributes:
        name: in lower case; it is called in any case.
        parameters: each the types that it takes; a body value goes for any of them, empty for any value at all.
        required: how many of the parameters cannot be left out.
        result: what it gives.
        repeated: the last parameter may come any number of times.
    """

    name: str
    parameters: tuple[tuple[Type, ...], ...]
    required: int
    result: Type
    repeated: bool = False

    def takes(self, types: list[Type | None]) -> bool:
        """Whether arguments of these types fit; None is a type that is not known for an error already reported."""
        count = len(types)
        if count < self.required or (count > len(self.parameters) and not self.repeated):
            return False
        for position, given in enumerate(types):
            accepted = self.parameters[min(position, len(self.parameters) - 1)]
            if accepted and given is not None and given is not Type.BODY and given not in accepted:
                return False
        return True

    @property
    def usage(self) -> str:
        """As `substring(string, number[, number])`."""
        words = [" or ".join(map(str, accepted)) or "any" for accepted in self.parameters]
        text = ", ".join(words[: self.required])
        text += "".join(f"[, {word}]" for word in words[self.required :])
        return f"{self.name}({text}{', …' if self.repeated else ''})"


_N: Final = (Type.NUMBER,)
_S: Final = (Type.STRING,)
_ANY: Final[tuple[Type, ...]] = ()

FUNCTIONS: Final = {
    function.name: function
    for function in (
        *(
            Function(name, (_N,), 1, Type.NUMBER)
            for name in ("abs", "ceiling", "exp", "floor", "sign", "sqrt", "square")
        ),
        Function("power", (_N, _N), 2, Type.NUMBER),
        Function("as_number", ((Type.STRING, Type.NUMBER),), 1, Type.NUMBER),
        *(
            Function(name, (_ANY,), 1, Type.BOOL)
            for name in ("is_bool", "is_defined", "is_null", "is_number", "is_string")
        ),
        Function("concat", (_S, _S), 2, Type.STRING, repeated=True),
        Function("length", (_S,), 1, Type.NUMBER),
        Function("lower", (_S,), 1, Type.STRING),
        Function("upper", (_S,), 1, Type.STRING),
        Function("substring", (_S, _N, _N), 2, Type.STRING),
        Function("index_of", (_S, _S), 2, Type.NUMBER),
        Function("starts_with", (_S, _S), 2, Type.BOOL),
        Function("ends_with", (_S, _S), 2, Type.BOOL),
        Function("contains", (_S, _S), 2, Type.BOOL),
    )
}

# In the runtime's table, but only for routes of a kind that edgeHub never makes.
TWIN_CHANGE: Final = "twin_change_includes"
