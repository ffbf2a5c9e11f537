"""A picture as SVG: boxes for modules, between them the routes as lines with a label."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from manifestgen.report.amount import counted
from manifestgen.report.page import COLORS, esc
from manifestgen.view.layout import Box, Layout, Link, Place, Point, lay_out
from manifestgen.view.model import Changed, Node, Route, Shape, Tone, View

#: CSS of the picture; in a page beside the page's own.
STYLE: Final = """\
svg.routes{display:block;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
  font-size:12px}
.routes text{fill:var(--text)}
.routes .small{font-size:11px;fill:var(--quiet)}
.routes .title{font-weight:700;font-size:13px}
.routes rect{fill:var(--box);stroke:var(--line);stroke-width:1.5}
.routes .line{fill:none;stroke:var(--quiet);stroke-width:1.5}
.routes .label rect{fill:var(--page)}
.routes .source rect,.routes .missing rect{stroke-dasharray:5 3}
.routes .upstream rect{stroke:var(--link);stroke-width:2.5}
.routes .system rect{stroke-dasharray:1 2}
.routes .good>rect{stroke:var(--good);fill:var(--good-box)}
.routes .waiting>rect{stroke:var(--waiting);fill:var(--waiting-box)}
.routes .warning>rect{stroke:var(--warning);fill:var(--warning-box)}
.routes .bad>rect{stroke:var(--bad);fill:var(--bad-box)}
.routes .good .state{fill:var(--good)}
.routes .waiting .state{fill:var(--waiting)}
.routes .warning .state{fill:var(--warning)}
.routes .bad .state{fill:var(--bad)}
.routes .line.bad{stroke:var(--bad);stroke-dasharray:6 4;stroke-width:2}
.routes .line.warning{stroke:var(--warning)}
.routes .line.added{stroke:var(--good);stroke-width:2.5}
.routes .line.removed{stroke:var(--bad);stroke-dasharray:2 4}
.routes .line.changed{stroke:var(--warning);stroke-width:2.5}
.routes .added>rect{stroke:var(--good);fill:var(--good-box);stroke-width:2.5}
.routes .removed>rect{stroke:var(--bad);fill:var(--bad-box);stroke-dasharray:2 4}
.routes .changed>rect{stroke:var(--warning);fill:var(--warning-box);stroke-width:2.5}
.routes .head{fill:var(--quiet);stroke:none}
.routes .head.bad,.routes .head.removed{fill:var(--bad)}
.routes .head.warning,.routes .head.changed{fill:var(--warning)}
.routes .head.added{fill:var(--good)}
.routes a:focus-visible>rect,.routes a:hover>rect{stroke:var(--focus);stroke-width:3}
"""
_CHARACTER: Final = 7.4  # of the monospace font at 12 px, rounded up; the title is larger
_SMALL: Final = 6.8
_TITLE: Final = 8.1
_LONGEST: Final = 38
_ROW: Final = 16.0
_PAD: Final = 10.0
_MARGIN: Final = 14.0
# Routes between the same two nodes share a line; so many of them, before a second one begins.
_MOST_IN_STACK: Final = 12


@dataclass(frozen=True)
class _Stack:
    """Routes that share a line, since they join the same nodes in the same state."""

    id: str
    routes: tuple[Route, ...]

    @property
    def tone(self) -> str:
        return _tone(self.routes[0].tone, self.routes[0].changed)


def svg(view: View, *, links: bool = False, alone: bool = True) -> str:
    """The picture.

    Args:
        links: make nodes and routes links to the anchors of a page that it is in.
        alone: whether it is a separate file, with its own style.
    """
    stacks = _stacks(view.routes)
    layout = lay_out(
        [Box(node.id, *_node_size(node), last=node.shape is Shape.UPSTREAM) for node in view.nodes],
        [Link(stack.routes[0].source, stack.routes[0].target, Box(stack.id, *_stack_size(stack))) for stack in stacks],
    )
    return "\n".join(_drawn(view, stacks, layout, links=links, alone=alone))


def _stacks(routes: Sequence[Route]) -> list[_Stack]:
    alike: dict[tuple[str, str, str], list[list[Route]]] = {}
    for route in routes:
        groups = alike.setdefault((route.source, route.target, _tone(route.tone, route.changed)), [[]])
        if len(groups[-1]) == _MOST_IN_STACK:
            groups.append([])
        groups[-1].append(route)
    found = [tuple(group) for groups in alike.values() for group in groups]
    return [_Stack(f"s{number}", group) for number, group in enumerate(found, start=1)]


def _tone(tone: Tone, changed: Changed) -> str:
    return changed.value or tone.value


def _drawn(view: View, stacks: Sequence[_Stack], layout: Layout, *, links: bool, alone: bool) -> Iterator[str]:
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    name = f"Routes of {view.title}"
    # A page that holds it labels it with these elements; ids of a second picture would be the same.
    wide = "" if alone else f'style="--wide:{width:.0f}px" '
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="routes" {wide}width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-_MARGIN:.0f} {-_MARGIN:.0f} {width:.0f} {height:.0f}" role="group" '
        f'aria-roledescription="diagram" aria-labelledby="picture-title picture-desc">'
    )
    yield f'<title id="picture-title">{esc(name)}</title>'
    below = " The tables below say the same in words." if links else ""
    yield f'<desc id="picture-desc">{esc(_description(view))}{below}</desc>'
    if alone:
        yield f"<style>{COLORS}{STYLE}</style>"
        yield (
            f'<rect x="{-_MARGIN:.0f}" y="{-_MARGIN:.0f}" width="{width:.0f}" height="{height:.0f}" '
            'style="fill:var(--page);stroke:none"/>'
        )
    for stack, (first, second) in zip(stacks, layout.lines, strict=True):
        yield f'<path class="line {stack.tone}" d="{_curve(first)}"/>'
        yield f'<path class="line {stack.tone}" d="{_curve(second)}"/>'
        yield _head(second, stack.tone)
    for node in view.nodes:
        yield from _node(node, layout.places[node.id], links=links)
    for stack in stacks:
        yield from _label(stack, layout.places[stack.id], links=links)
    yield "</svg>"


def _description(view: View) -> str:
    bad = sum(route.tone is Tone.BAD for route in view.routes)
    words = f"{counted(len(view.routes), 'route')} between {counted(len(view.nodes), 'box', 'boxes')}"
    fail = f"; {counted(bad, 'route')} that never delivers a message" if bad == 1 else ""
    fail = f"; {counted(bad, 'route')} that never deliver a message" if bad > 1 else fail
    return f"{words}, sources on the left, sinks on the right{fail}."


def _curve(points: Sequence[Point]) -> str:
    (x, y), *rest = points
    parts = [f"M{x:.0f} {y:.1f}"]
    for to_x, to_y in rest:
        if to_y == y or to_x == x:
            parts.append(f"L{to_x:.0f} {to_y:.1f}")
        else:
            middle = (x + to_x) / 2
            parts.append(f"C{middle:.0f} {y:.1f} {middle:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(parts)


def _head(points: Sequence[Point], tone: str) -> str:
    (before, _), (x, y) = points[-2], points[-1]
    back = x - 9 if before < x else x + 9
    return f'<polygon class="head {tone}" points="{x:.0f},{y:.1f} {back:.0f},{y - 5:.1f} {back:.0f},{y + 5:.1f}"/>'


def _node_size(node: Node) -> tuple[float, float]:
    lines = [_shortened(line, _LONGEST) for line in node.texts]
    width = max(_width(_shortened(_titled(node), _LONGEST)) * _TITLE, *(_width(line) * _SMALL for line in lines), 80.0)
    return width + 2 * _PAD, 2 * _PAD + _ROW + len(lines) * _ROW - 2


def _titled(node: Node) -> str:
    return f"{node.changed.sign} {node.title}".strip()


def _node(node: Node, place: Place, *, links: bool) -> Iterator[str]:
    shape = node.shape.value.replace(" module", "")
    words = ", ".join((node.shape.value, node.title, *node.texts, *filter(None, [node.changed.value])))
    linked = links and node.shape in (Shape.MODULE, Shape.SYSTEM)
    yield _opened(f"node {shape} {_tone(node.tone, node.changed)}", words, node.id if linked else "")
    radius = 4 if node.shape in (Shape.MODULE, Shape.SYSTEM, Shape.MISSING) else min(20.0, place.height / 2)
    yield _rect(place, radius)
    yield _text(place.x + _PAD, place.y + _PAD + 11, _shortened(_titled(node), _LONGEST), "title")
    for number, line in enumerate(node.texts):
        style = "small state" if number == len(node.lines) else "small"
        yield _text(place.x + _PAD, place.y + _PAD + 11 + (number + 1) * _ROW, _shortened(line, _LONGEST), style)
    yield "</a>" if linked else "</g>"


def _stack_size(stack: _Stack) -> tuple[float, float]:
    rows = [row for route in stack.routes for row in _label_rows(route)]
    width = max(_width(text) * (_SMALL if small else _CHARACTER) for text, small in rows)
    return width + 2 * _PAD, sum(_route_height(route) for route in stack.routes)


def _route_height(route: Route) -> float:
    return len(_label_rows(route)) * _ROW + _PAD


def _label_rows(route: Route) -> list[tuple[str, bool]]:
    """The texts of a label, and whether each is small."""
    name = _shortened(f"{route.changed.sign} {route.name}".strip(), _LONGEST)
    rows = [(name, False)]
    if route.ports:
        rows.append((_shortened(route.ports, _LONGEST + 4), True))
    if route.condition:
        rows.append((_shortened(f"if {route.condition}", _LONGEST + 4), True))
    if route.limits:
        rows.append((route.limits, True))
    if route.tone is Tone.BAD and route.reason:
        rows.append((_shortened(f"✗ {route.reason}", _LONGEST + 4), True))
    return rows


def _label(stack: _Stack, place: Place, *, links: bool) -> Iterator[str]:
    y = place.y
    for route in stack.routes:
        height = _route_height(route)
        words = _route_words(route)
        yield _opened(f"label {_tone(route.tone, route.changed)}", words, route.id if links else "")
        yield _rect(Place(place.x, y, place.width, height), 2)
        for number, (text, small) in enumerate(_label_rows(route)):
            style = "small state" if text.startswith("✗") else "small" if small else ""
            yield _text(place.x + _PAD, y + _PAD / 2 + 12 + number * _ROW, text, style)
        yield "</a>" if links else "</g>"
        y += height


def _route_words(route: Route) -> str:
    parts = [f"route {route.name}: from {route.origin} to {route.sink}"]
    parts += [f"if {route.condition}"] * bool(route.condition)
    parts += [f"priority {route.priority}"] * bool(route.priority)
    parts += [f"time to live {route.ttl} seconds"] * bool(route.ttl)
    parts += [route.changed.value] * bool(route.changed.value) + [route.reason] * bool(route.reason)
    return ", ".join(parts)


def _opened(style: str, words: str, anchor: str) -> str:
    # The title is its accessible name, and what a mouse shows.
    element = f'<a href="#{anchor}"' if anchor else '<g role="img"'
    return f'{element} class="{style}"><title>{esc(words)}</title>'


def _rect(place: Place, radius: float) -> str:
    return (
        f'<rect x="{place.x:.0f}" y="{place.y:.1f}" width="{place.width:.0f}" height="{place.height:.0f}" '
        f'rx="{radius:.0f}"/>'
    )


def _text(x: float, y: float, text: str, style: str) -> str:
    styled = f' class="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y:.1f}"{styled}>{esc(text)}</text>'


def _width(text: str) -> int:
    """Columns that a text takes in a monospace font."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _shortened(text: str, longest: int) -> str:
    if _width(text) <= longest:
        return text
    kept, width = [], 1
    for char in text:
        width += _width(char)
        if width > longest:
            break
        kept.append(char)
    return "".join(kept) + "…"
