"""Finds parts of a route that the runtime accepts but that are probably not intended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from manifestgen.manifest.route.error import quoted
from manifestgen.manifest.route.function import Type
from manifestgen.manifest.route.hint import curly_quote, invisible
from manifestgen.manifest.route.lexer import CONSTANTS, tokenize
from manifestgen.manifest.route.sink import ADDRESS, WHITE
from manifestgen.manifest.route.source import nearest_source, never_matches
from manifestgen.manifest.route.tree import Broken, ModuleInput, Property, Route, SystemProperty
from manifestgen.manifest.route.type_check import nodes, type_of


class RouteWarning(Struct, frozen=True):
    """A warning about a route: place in its characters, message, and fix.

    Attributes:
        kind: a name for this kind of warning, one of `KINDS`.
        message: one sentence, lower-case.
        offset: from the start of the route.
        length: of what is meant.
        fix: in the imperative.
    """

    kind: str
    message: str
    offset: int
    length: int
    fix: str


KINDS: Final = {
    "ignored-tail": "Text after the sink is ignored.",
    "dead-source": "No message ever comes from this source.",
    "star-in-name": "A `*` at the end of a name is not a wildcard: it is cut off, and the name is taken literally.",
    "address-words": "The first and third part of an address are not `modules` and `inputs`; they are not compared.",
    "blank-in-address": "A module or input name is empty, or has white space or a backslash, which is taken literally.",
    "never-true": "The condition is not a bool, so no message passes.",
    "operator-in-name": "An operator without spaces around it is part of the name beside it.",
    "hyphen-in-name": "A `-` without spaces around it is part of the name.",
    "quote-in-name": "A string in quotes with something attached is a name.",
    "literal-case": "Only `true`, `false`, `null`, `undefined` are literals; in another case they name properties.",
    "body-without-path": "`$body` needs a path, `body.` its `$`; otherwise it names a property.",
    "swallowed": "A `/*` with a `*/` later is a comment, even where it was meant to end the source.",
    "invisible-character": "A name contains an invisible character or a typographic quote.",
    "deep-nesting": "The time the runtime's parser takes doubles with each level of parentheses.",
}

# With ANTLR 4.7 15 levels take two seconds and 20 half a minute, in Python; the runtime's own parser is compiled.
DEEPEST: Final = 16

_OPERATOR_IN_NAME: Final = r"^[-!+%*]|!$|&&|\|\||[+*%|]|(?<=\d)-|-(?=\d+$)"


def warnings(route: Route) -> list[RouteWarning]:
    """The warnings about a route, in the order of the text."""
    found = [*_of_source(route), *_of_condition(route), *_of_sink(route), *_of_comments(route)]
    found.sort(key=lambda warning: warning.offset)
    return found


def _of_source(route: Route) -> Iterator[RouteWarning]:
    source = route.source
    if reason := never_matches(source):
        message = f"no message ever comes from {quoted(source.path)}: {reason}"
        yield RouteWarning("dead-source", message, source.offset, source.length, f"write {nearest_source(source)}")
    elif (last := source.path.rsplit("/", 1)[-1]) != last.rstrip("*") != "" and source.path.count("/") > 1:
        name = last.rstrip("*")
        message = f"{quoted(last)} is not a pattern: it matches only the name {quoted(name)}"
        offset = source.offset + source.length - len(last)
        yield RouteWarning("star-in-name", message, offset, len(last), f"write {quoted(name)}, or * for all names")
    if invisible(source.path) or curly_quote(source.path):
        yield _invisible(source.path, source.offset, source.length)


def _invisible(name: str, offset: int, length: int) -> RouteWarning:
    found = invisible(name) or curly_quote(name)
    character = f"U+{ord(found[0]):04X}" if found else ""
    message = f"{quoted(name)} contains the character {character}"
    return RouteWarning("invisible-character", message, offset, length, "remove the character, or write a plain one")


def _of_condition(route: Route) -> Iterator[RouteWarning]:
    condition = route.condition
    if condition is None or isinstance(condition, Broken):
        return
    for node in nodes(condition):
        if isinstance(node, Property):
            yield from _of_name(node.name, node)
        elif isinstance(node, SystemProperty):
            yield from _of_name(node.name, node)
            if node.name.lower().startswith(("$body[", "$body")) and node.name[5:6] in ("", "["):
                message = f"{quoted(node.name)} names a property, not the message's body"
                yield RouteWarning("body-without-path", message, node.offset, node.length, "write $body.name")
    kind = type_of(condition)
    if kind is not None and kind not in (Type.BOOL, Type.BODY):
        start, end = _span(route)
        message = f"the condition is a {kind}, so no message passes"
        yield RouteWarning("never-true", message, start, end - start, "compare it with something")
    if "(" in route.text and (deep := _depth(route)) > DEEPEST:
        start, end = _span(route)
        message = f"parentheses are nested {deep} deep; the time the runtime takes doubles with each level"
        yield RouteWarning("deep-nesting", message, start, end - start, "remove parentheses, or filter in a module")


def _of_name(name: str, node: Property | SystemProperty) -> Iterator[RouteWarning]:
    offset, length = node.offset, node.length
    if isinstance(node, Property):
        if name.lower() in CONSTANTS:
            message = f"{quoted(name)} is the name of a property"
            yield RouteWarning("literal-case", message, offset, length, f"write {name.lower()}")
        if name.lower().startswith("body."):
            message = f"{quoted(name)} is the name of a property, not a part of the message's body"
            yield RouteWarning("body-without-path", message, offset, length, f"write ${quoted(name)[1:-1]}")
    if name[0] == "'" or name.count("'") > 1:
        message = f"{quoted(name)} is the name of a property, not a string"
        yield RouteWarning("quote-in-name", message, offset, length, "put a space after the closing quote")
    elif re.search(_OPERATOR_IN_NAME, name):
        message = f"{quoted(name)} is one name"
        yield RouteWarning("operator-in-name", message, offset, length, "put spaces around the operator")
    elif isinstance(node, Property) and "-" in name:
        message = f"{quoted(name)} is one name, not a difference"
        yield RouteWarning("hyphen-in-name", message, offset, length, "if you mean a difference, put spaces around '-'")
    if invisible(name) or curly_quote(name):
        yield _invisible(name, offset, length)


def _of_sink(route: Route) -> Iterator[RouteWarning]:
    sink = route.sink
    if isinstance(sink, ModuleInput):
        first, _, third, _ = sink.address.strip(WHITE).removeprefix("/").removesuffix("/").split("/")
        if (first, third) != ("modules", "inputs"):
            message = f"the address is read as module {quoted(sink.module)}, input {quoted(sink.input)}"
            yield RouteWarning("address-words", message, sink.offset, sink.length, f"write {ADDRESS}")
        if any(not name or re.search(r"[\s\\]", name) for name in (sink.module, sink.input)):
            message = f"the address names module {quoted(sink.module)}, input {quoted(sink.input)}, literally"
            yield RouteWarning("blank-in-address", message, sink.offset, sink.length, f"write {ADDRESS}")
    if route.tail == len(route.text):
        return
    rest = tokenize(route.text[route.tail :])
    if len(rest.kinds) > 1:
        start, end = route.tail + rest.start(0), route.tail + rest.end(len(rest.kinds) - 2)
        message = f"what follows the sink has no effect: {quoted(route.text[start:end])}"
        where = rest.kinds[0] == "WHERE"
        fix = "put WHERE and its condition before INTO" if where else "remove it; another sink needs a route of its own"
        yield RouteWarning("ignored-tail", message, start, end - start, fix)


def _of_comments(route: Route) -> Iterator[RouteWarning]:
    """Comments that begin where a source was meant to continue: `/messages/* …` with a `*/` further on."""
    text, source = route.text, route.source
    if "*/" not in text:
        return
    tokens = tokenize(text[: route.tail])
    for index in range(1, len(tokens.kinds)):
        start = tokens.end(index - 1)
        if start > source.offset + source.length:
            break
        gap = text[start : tokens.start(index)]
        if gap.startswith("/*"):
            length = gap.rindex("*/") + 2
            message = f"{quoted(text[start : start + length])} is a comment"
            yield RouteWarning(
                "swallowed", message, start, length, "remove the '*/', or put a space between '/' and '*'"
            )


def _span(route: Route) -> tuple[int, int]:
    """Of the condition, from its first word to its last."""
    tokens = tokenize(route.text[: route.tail])
    first, last = tokens.kinds.index("WHERE") + 1, len(tokens.kinds) - 1
    while tokens.kinds[last] != "INTO":
        last -= 1
    return tokens.start(first), tokens.end(last - 1)


def _depth(route: Route) -> int:
    depth = deepest = 0
    for kind in tokenize(route.text[: route.tail]).kinds:
        if kind == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif kind == ")":
            depth -= 1
    return deepest
