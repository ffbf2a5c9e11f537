"""A picture as a mermaid flowchart, for comments on pull requests and wikis, which draw it.

Everything that is not a letter, a digit or harmless is written as a character code, so that no name ends its label or
becomes markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from manifestgen.view.model import Changed, Node, Route, Shape, Tone, View

# Beyond these, mermaid shows an error in place of the picture (maxTextSize 50,000, maxEdges 500).
_MOST_CHARACTERS: Final = 49_000
_MOST_EDGES: Final = 490
_LONGEST: Final = 60
_HARMLESS: Final = frozenset(" .,:_/$*=!?'()+@…→·✗~-")
_CLASSES: Final = {
    "good": "stroke:#1a7f37,stroke-width:2px",
    "waiting": "stroke:#0969da,stroke-width:2px,stroke-dasharray:4",
    "warning": "stroke:#bf8700,stroke-width:2px",
    "bad": "stroke:#cf222e,stroke-width:3px",
    "added": "stroke:#1a7f37,stroke-width:3px",
    "removed": "stroke:#cf222e,stroke-width:2px,stroke-dasharray:4",
    "changed": "stroke:#bf8700,stroke-width:3px",
}
_FORMS: Final = {
    Shape.MODULE: ("[", "]"),
    Shape.SYSTEM: ("[", "]"),
    Shape.SOURCE: ("([", "])"),
    Shape.UPSTREAM: ("[[", "]]"),
    Shape.MISSING: ("{{", "}}"),
}


def mermaid(view: View) -> str:
    """The flowchart; if it would be larger than mermaid draws, without conditions, then with the first routes only."""
    text = "\n".join(_lines(view, view.routes[:_MOST_EDGES], conditions=True))
    kept = min(len(view.routes), _MOST_EDGES)
    if len(text) > _MOST_CHARACTERS:
        text = "\n".join(_lines(view, view.routes[:kept], conditions=False))
    while len(text) > _MOST_CHARACTERS and kept:
        kept = kept * 3 // 4
        text = "\n".join(_lines(view, view.routes[:kept], conditions=False))
    return text + "\n"


def _lines(view: View, routes: tuple[Route, ...], *, conditions: bool) -> Iterator[str]:
    yield "flowchart LR"
    yield f"    accTitle: {_plain(view.title)}"
    yield f"    accDescr: {_plain(view.summary)}"
    used = {end for route in routes for end in (route.source, route.target)}
    shown = [node for node in view.nodes if node.id in used or node.shape in (Shape.MODULE, Shape.SYSTEM)]
    if len(routes) < len(view.routes):
        # The boxes of modules alone would say nothing about routes.
        shown = [node for node in shown if node.id in used] or shown[:_MOST_EDGES]
    yield from (_node(node) for node in shown)
    yield from (_route(route, conditions=conditions) for route in routes)
    if len(routes) < len(view.routes):
        yield f'    more["… and {len(view.routes) - len(routes)} more routes"]'
    yield from _styles(shown, routes)


def _node(node: Node) -> str:
    opened, closed = _FORMS[node.shape]
    title = f"{node.changed.sign} {node.title}".strip()
    text = "<br>".join(_text(line) for line in (title, *node.texts))
    return f'    {node.id}{opened}"{text}"{closed}'


def _route(route: Route, *, conditions: bool) -> str:
    lines = [f"{route.changed.sign} {route.name}".strip()]
    if conditions and route.ports:
        lines.append(route.ports)
    if conditions and route.condition:
        lines.append(f"if {route.condition}")
    if route.limits:
        lines.append(route.limits)
    if conditions and route.tone is Tone.BAD and route.reason:
        lines.append(f"✗ {route.reason}")
    arrow = "-.->" if route.tone is Tone.BAD or route.changed is Changed.REMOVED else "-->"
    return f'    {route.source} {arrow}|"{"<br>".join(map(_text, lines))}"| {route.target}'


def _styles(nodes: list[Node], routes: tuple[Route, ...]) -> Iterator[str]:
    classes: dict[str, list[str]] = {}
    for node in nodes:
        classes.setdefault(node.changed.value or node.tone.value, []).append(node.id)
    for name, style in _CLASSES.items():
        if name in classes:
            yield f"    classDef {name} {style}"
            yield f"    class {','.join(classes[name])} {name}"
    links: dict[str, list[str]] = {}
    for number, route in enumerate(routes):
        links.setdefault(route.changed.value or route.tone.value, []).append(str(number))
    for name, style in _CLASSES.items():
        if name in links:
            yield f"    linkStyle {','.join(links[name])} {style}"


def _text(text: str) -> str:
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    # Two spaces are one in HTML; a label that begins with "1. " or "- " would be a list.
    coded = "".join(char if char.isalnum() or char in _HARMLESS else f"#{ord(char)};" for char in text)
    return f"#{ord(coded[0])};{coded[1:]}" if coded[:1] in ("-", "+", "*", "~") else coded.replace("://", ":#47;/")


def _plain(text: str) -> str:
    """A text for the accessible title, in which mermaid knows no codes."""
    return "".join(char if char.isalnum() or char in " .,_/$→-" else "_" for char in text) or "manifest"
