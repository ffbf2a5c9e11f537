"""Conditions made at random together with their meaning, which owes nothing to the parser or the evaluator.

A condition is made as a text and a function at once: what the text means was written down here, by hand, from the
runtime's documentation and sources. A function gives True, False, or None for undefined.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

Truth = bool | None
Meaning = Callable[["Sample"], Any]
NAMES = ("level", "temp", "site")
SYSTEM = ("messageId", "contentType", "connectionModuleId")
WORDS = ("high", "low", "5", "12.5", "north", "-3")
PATHS = ("t", "flag", "text", "deep.value", "list[1]", "gone")
ABSENT = object()


@dataclass(frozen=True)
class Sample:
    """A message: its properties, its system properties, and its body, which is JSON or not."""

    properties: Mapping[str, str]
    system: Mapping[str, str]
    body: bytes

    def at(self, path: str) -> Any:
        """What the body has there: None also where it has nothing, ABSENT where it cannot be looked into."""
        if self.system.get("contentType") != "application/json" or self.system.get("contentEncoding") != "utf-8":
            return ABSENT
        value: Any = json.loads(self.body)
        for step in path.replace("[", ".[").split("."):
            if step.startswith("["):
                index = int(step[1:-1])
                value = value[index] if isinstance(value, list) and index < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return ABSENT if isinstance(value, dict | list) else value


def sample(random: Random) -> Sample:
    """A message."""
    properties = {name: random.choice(WORDS) for name in NAMES if random.random() < 0.7}
    if random.random() < 0.3:
        properties["LEVEL" if "level" not in properties else "$messageId"] = random.choice(WORDS)
    body: Any = {
        "t": random.choice([3, 30.5, -1, "5", True, None]),
        "flag": random.choice([True, False, None, "x"]),
        "text": random.choice(["high", "Straße", "", 7]),
        "deep": random.choice([{"value": random.randint(0, 9)}, {"value": None}, {}, 5]),
        "list": random.choice([[1, 2], [1], "no"]),
    }
    system = {"messageId": random.choice(WORDS)} if random.random() < 0.6 else {}
    if random.random() < 0.8:
        system |= {"contentType": "application/json", "contentEncoding": "utf-8"}
    return Sample(properties, system, json.dumps(body).encode())


def _lookup(bag: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in bag.items() if key.lower() == name.lower()), None)


def _spaced(random: Random, operator: str) -> str:
    return " " + (operator.lower() if random.random() < 0.5 else operator) + " "


# Values that are a text, or None for undefined.


def _text(random: Random, depth: int) -> tuple[str, Meaning]:
    kind = random.randrange(7 if depth else 4)
    if kind == 0:
        word = random.choice(WORDS)
        quote = random.choice("'\"")
        return f"{quote}{word}{quote}", lambda _: word
    if kind in (1, 2):
        name = random.choice(NAMES)
        return name, lambda m: _lookup(m.properties, name)
    if kind == 3:
        name = random.choice(SYSTEM)
        if random.random() < 0.5:
            return "{$" + name + "}", lambda m: _lookup(m.system, name)
        return "$" + name, lambda m: _or_else(_lookup(m.properties, "$" + name), lambda: _lookup(m.system, name))
    left, of_left = _text(random, depth - 1)
    if kind == 4:
        name, change = random.choice([("upper", str.upper), ("lower", str.lower)])
        return f"{name}({left})", lambda m: _over(of_left(m), change)
    right, of_right = _text(random, depth - 1)
    if kind == 5:
        written = f"({left} || {right})" if random.random() < 0.5 else f"concat({left}, {right})"
        return written, lambda m: _over(of_left(m), lambda a: _over(of_right(m), lambda b: a + b))
    return f"({left} ?? {right})", lambda m: _or_else(of_left(m), lambda: of_right(m))


def _over(value: Any, act: Callable[[Any], Any]) -> Any:
    return None if value is None else act(value)


def _or_else(value: Any, other: Callable[[], Any]) -> Any:
    return other() if value is None else value


# Values that are a number, or None for undefined.


def _number(random: Random, depth: int) -> tuple[str, Meaning]:
    kind = random.randrange(6 if depth else 2)
    if kind == 0:
        number = random.choice(["3", "-7", "0x1F", "2.5", "1e2", ".5"])
        value = float(int(number, 16)) if "x" in number else float(number)
        return number, lambda _: value
    if kind == 1:
        text, of_text = _text(random, depth - 1 if depth else 0)
        return f"as_number({text})", lambda m: _over(of_text(m), _parsed)
    if kind == 2:
        text, of_text = _text(random, depth - 1)
        return f"length({text})", lambda m: _over(of_text(m), lambda t: float(len(t)))
    left, of_left = _number(random, depth - 1)
    if kind == 3:
        name, compute = random.choice(_COMPUTE)
        return f"{name}({left})", lambda m: _over(of_left(m), compute)
    right, of_right = _number(random, depth - 1)
    operator, calculate = random.choice(_CALCULATE)
    return (
        f"({left} {operator} {right})",
        lambda m: _over(of_left(m), lambda a: _over(of_right(m), lambda b: _known(calculate(a, b)))),
    )


_COMPUTE: list[tuple[str, Callable[[float], float]]] = [
    ("abs", abs),
    ("floor", lambda x: float(math.floor(x)) if math.isfinite(x) else x),
    ("square", lambda x: x * x),
]


def _known(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else number


_CALCULATE: list[tuple[str, Callable[[float, float], float | None]]] = [
    ("+", lambda a, b: a + b),
    ("-", lambda a, b: a - b),
    ("*", lambda a, b: a * b),
    ("/", lambda a, b: a / b if b else None if a == 0 else math.copysign(math.inf, a * math.copysign(1, b))),
    ("%", lambda a, b: math.fmod(a, b) if b and math.isfinite(a) else None),
]


def _parsed(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


# Truths.

_HAS: list[tuple[str, Callable[[str, str], bool]]] = [
    ("contains", lambda text, part: part in text),
    ("starts_with", lambda text, part: text.startswith(part)),
]


def condition(random: Random, depth: int = 3) -> tuple[str, Callable[[Sample], Truth]]:
    """A condition that compiles, and what it means."""
    kind = random.randrange(10 if depth else 5)
    operator = random.choice(list(_ORDER))
    compare = _ORDER[operator]
    if kind in (0, 1):
        make = (_text, _number)[kind]
        (left, of_left), (right, of_right) = make(random, min(depth, 2)), make(random, min(depth, 2))
        return (
            f"{left} {operator} {right}",
            lambda m: _over(of_left(m), lambda a: _over(of_right(m), lambda b: compare(a, b))),
        )
    if kind == 2:
        return _body_comparison(random, operator)
    if kind == 3:
        name = random.choice(NAMES)
        return f"is_defined({name})", lambda m: _lookup(m.properties, name) is not None
    if kind == 4:
        text, of_text = _text(random, min(depth, 1))
        part, of_part = _text(random, 0)
        name, has = random.choice(_HAS)
        return f"{name}({text}, {part})", lambda m: _over(of_text(m), lambda a: _over(of_part(m), lambda b: has(a, b)))
    left, of_left_truth = condition(random, depth - 1)
    if kind == 5:
        return f"{_spaced(random, 'NOT')}({left})", lambda m: _over(of_left_truth(m), lambda a: not a)
    right, of_right_truth = condition(random, depth - 1)
    if kind in (6, 7):
        return f"({left}){_spaced(random, 'AND')}({right})", lambda m: _both(of_left_truth(m), of_right_truth(m))
    if kind == 8:
        return f"({left}){_spaced(random, 'OR')}({right})", lambda m: _either(of_left_truth(m), of_right_truth(m))
    return f"({left}) = ({right})", lambda m: _over(
        of_left_truth(m), lambda a: _over(of_right_truth(m), lambda b: a == b)
    )


def _both(left: Truth, right: Truth) -> Truth:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _either(left: Truth, right: Truth) -> Truth:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def _body_comparison(random: Random, operator: str) -> tuple[str, Callable[[Sample], Truth]]:
    path = random.choice(PATHS)
    prefix = random.choice(["$body.", "$Body."])
    value = random.choice([5, 30.5, "high", "5", True, None])
    literal = "null" if value is None else f"'{value}'" if isinstance(value, str) else str(value).lower()

    def meaning(message: Sample) -> Truth:
        found = message.at(path)
        if found is ABSENT:
            return None
        order = _rank(found) - _rank(value) or (0 if found is None or found == value else 1 if found > value else -1)
        return _ORDER[operator](order, 0)

    return f"{prefix}{path} {operator} {literal}", meaning


def _rank(value: Any) -> int:
    """Values of the body are compared by their kinds first."""
    return 4 if value is None else 1 if isinstance(value, bool) else 2 if isinstance(value, int | float) else 3
