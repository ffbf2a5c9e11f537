"""Places boxes and the lines between them in columns, from the left to the right.

The four steps of Sugiyama, Tagawa and Toda (1981): give each box a column, let long lines pass between boxes, order
each column so that few lines cross, and align what is connected. A line has a label, which is a separate box halfway,
so that labels never overlap anything. Deterministic: the same input gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

#: Between two columns, and between two boxes of a column.
GAP_X: Final = 44.0
GAP_Y: Final = 16.0
# Around a line that passes a column.
_LINE: Final = 6.0
_SWEEPS: Final = 6
# With more places on the way than this, long lines are drawn straight: a picture of that size is not read as one.
_MOST_PLACES: Final = 20_000
_NARROWEST: Final = 900.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """Something to place, with its size.

    Attributes:
        last: it comes after all others.
    """

    id: str
    width: float
    height: float
    last: bool = False


@dataclass(frozen=True)
class Link:
    """A line from one box to another, with a label halfway."""

    source: str
    target: str
    label: Box


@dataclass(frozen=True)
class Place:
    """Where a box is: its upper left corner, and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        """The middle of its left side."""
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        """The middle of its right side."""
        return self.x + self.width, self.y + self.height / 2


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    Attributes:
        places: of boxes and labels, by their ids.
        lines: for each link, the points to its label and those from there on; between two points a line bends.
    """

    width: float
    height: float
    places: Mapping[str, Place]
    lines: tuple[tuple[tuple[Point, ...], tuple[Point, ...]], ...]


def lay_out(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Place boxes in columns: sources left, sinks right; those without a line in rows below.

    Args:
        boxes: with different ids.
        links: between these boxes.
    """
    connected = {end for link in links for end in (link.source, link.target)}
    ranks = _ranks([box for box in boxes if box.id in connected], links)
    grid = _Grid([box for box in boxes if box.id in connected], links, ranks)
    for _ in range(_SWEEPS):
        grid.reorder()
    places, width, height = grid.placed()
    loose = [box for box in boxes if box.id not in connected]
    below = height + 2 * GAP_Y if height else 0.0
    more, row_width, height = _rows(loose, max(width, _NARROWEST), below, height)
    places |= more
    lines = tuple(_line(places, link, chain) for link, chain in zip(links, grid.chains, strict=True))
    return Layout(max(width, row_width), height, places, lines)


def _ranks(boxes: Sequence[Box], links: Sequence[Link]) -> dict[str, int]:
    """The rank of each box: one more than that of what leads to it, ignoring the lines that close a circle."""
    after: dict[str, list[str]] = {box.id: [] for box in boxes}
    for link in links:
        if link.source != link.target:
            after[link.source].append(link.target)
    order = _order(after)
    position = {name: number for number, name in enumerate(order)}
    ranks = dict.fromkeys(after, 0)
    for name in order:
        for target in after[name]:
            if position[target] > position[name]:
                ranks[target] = max(ranks[target], ranks[name] + 1)
    last = {box.id for box in boxes if box.last}
    deepest = max((rank for name, rank in ranks.items() if name not in last), default=0)
    for name in ranks:
        if name in last:
            ranks[name] = deepest + 1
        elif not after[name]:
            ranks[name] = deepest
    return ranks


def _order(after: Mapping[str, Sequence[str]]) -> list[str]:
    """An order in which a box comes before those that it leads to, but for circles."""
    seen: set[str] = set()
    order: list[str] = []
    led_to = {target for targets in after.values() for target in targets}
    # Nodes without incoming edges come first, so that a cycle is cut at its entry.
    for start in sorted(after, key=lambda name: name in led_to):
        stack: list[tuple[str, Iterator[str]]] = []
        if start not in seen:
            seen.add(start)
            stack.append((start, iter(after[start])))
        while stack:
            name, targets = stack[-1]
            target = next((each for each in targets if each not in seen), None)
            if target is None:
                order.append(name)
                stack.pop()
            else:
                seen.add(target)
                stack.append((target, iter(after[target])))
    return order[::-1]


@dataclass
class _Cell:
    """A box, a label, or the place where a line passes a column.

    Attributes:
        x, across: of its column.
        y: of its middle.
    """

    id: str
    column: int
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    across: float = 0.0
    before: list[_Cell] = field(default_factory=list)
    behind: list[_Cell] = field(default_factory=list)

    @property
    def gap(self) -> float:
        return GAP_Y if self.width else _LINE


class _Grid:
    """Columns of cells. Boxes are in the even columns, labels in the odd ones."""

    def __init__(self, boxes: Sequence[Box], links: Sequence[Link], ranks: Mapping[str, int]) -> None:
        self._cells = {box.id: _Cell(box.id, 2 * ranks[box.id], box.width, box.height) for box in boxes}
        self._columns: dict[int, list[_Cell]] = {}
        for cell in self._cells.values():
            self._columns.setdefault(cell.column, []).append(cell)
        spans = sum(abs(ranks[link.target] - ranks[link.source]) for link in links)
        self._passes = 2 * spans < _MOST_PLACES
        #: The cells of each link from its source to its target, both included.
        self.chains = [self._chain(link) for link in links]

    def _chain(self, link: Link) -> list[_Cell]:
        source, target = self._cells[link.source], self._cells[link.target]
        step = 1 if target.column >= source.column else -1
        label = self._add(link.label.id, source.column + step, link.label.width, link.label.height)
        passed = range(label.column + step, target.column, step) if self._passes else range(0)
        between = [self._add("", column, 0.0, 0.0) for column in passed]
        chain = [source, label, *between, target]
        for left, right in zip(chain[::step], chain[::step][1:], strict=False):
            if left is not right and left.column < right.column:
                left.behind.append(right)
                right.before.append(left)
        return chain

    def _add(self, id_: str, column: int, width: float, height: float) -> _Cell:
        cell = _Cell(id_, column, width, height)
        self._columns.setdefault(column, []).append(cell)
        if id_:
            self._cells[id_] = cell
        return cell

    def reorder(self) -> None:
        """Sort each column by the middle of what is before it, then by that of what is behind it."""
        for columns, side in ((sorted(self._columns), "before"), (sorted(self._columns, reverse=True), "behind")):
            position = {id(cell): float(at) for cells in self._columns.values() for at, cell in enumerate(cells)}
            for column in columns:
                cells = self._columns[column]
                middle = {id(cell): _mean([position[id(each)] for each in getattr(cell, side)], position[id(cell)])
                          for cell in cells}  # fmt: skip
                cells.sort(key=lambda cell: middle[id(cell)])
                position.update((id(cell), float(at)) for at, cell in enumerate(cells))

    def placed(self) -> tuple[dict[str, Place], float, float]:
        """The place of each cell with an id; width and height of the whole."""
        columns = sorted(self._columns)
        for column in columns:
            _stack(self._columns[column], [0.0] * len(self._columns[column]))
        for _ in range(_SWEEPS):
            for side, order in (("before", columns), ("behind", columns[::-1])):
                for column in order:
                    cells = self._columns[column]
                    _stack(cells, [_mean([each.y for each in getattr(cell, side)], cell.y) for cell in cells])
        cells = [cell for column in columns for cell in self._columns[column]]
        top = min((cell.y - cell.height / 2 for cell in cells), default=0.0)
        x, places = 0.0, dict[str, Place]()
        for column in columns:
            width = max(cell.width for cell in self._columns[column])
            for cell in self._columns[column]:
                cell.x, cell.across = x, width
                cell.y -= top
                if cell.id:
                    left = x + (width - cell.width) / 2
                    places[cell.id] = Place(left, cell.y - cell.height / 2, cell.width, cell.height)
            x += width + GAP_X
        bottom = max((cell.y + cell.height / 2 for cell in cells), default=0.0)
        return places, max(0.0, x - GAP_X), bottom


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _stack(cells: Sequence[_Cell], wanted: Sequence[float]) -> None:
    """Give the cells of a column, in their order and with gaps between them, the middles nearest to those wanted.

    The sum of the squares of the distances is the least possible: without the gaps it is an isotonic regression, which
    pooling neighbours solves.
    """
    offsets, at = [], 0.0
    for number, cell in enumerate(cells):
        if number:
            at += (cells[number - 1].height + cell.height) / 2 + max(cells[number - 1].gap, cell.gap)
        offsets.append(at)
    pools: list[tuple[float, int]] = []  # the mean of each pool, and how many are in it
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    for cell, mean, offset in zip(cells, means, offsets, strict=True):
        cell.y = mean + offset


def _rows(boxes: Sequence[Box], width: float, y: float, height: float) -> tuple[dict[str, Place], float, float]:
    """The places of boxes in rows of at most a width; the width and the height of the whole with them."""
    places: dict[str, Place] = {}
    x = row = widest = 0.0
    for box in boxes:
        if x and x + box.width > width:
            x, y, row = 0.0, y + row + GAP_Y, 0.0
        places[box.id] = Place(x, y, box.width, box.height)
        row = max(row, box.height)
        x += box.width + GAP_Y
        widest = max(widest, x - GAP_Y)
        height = y + row
    return places, widest, height


def _line(
    places: Mapping[str, Place], link: Link, chain: Sequence[_Cell]
) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    source, label, target = places[link.source], places[link.label.id], places[link.target]
    if link.source == link.target:
        # There above, and back below.
        there = (*_right(chain[0], source), *_left(chain[1], label))
        return _moved(there, -_LINE), _moved(there[::-1], _LINE)
    if chain[-1].column < chain[0].column:
        passed = [point for cell in chain[2:-1] for point in ((cell.x + cell.across, cell.y), (cell.x, cell.y))]
        first = (*_left(chain[0], source)[::-1], *_right(chain[1], label)[::-1])
        return first, (*_left(chain[1], label)[::-1], *passed, *_right(chain[-1], target)[::-1])
    passed = [point for cell in chain[2:-1] for point in ((cell.x, cell.y), (cell.x + cell.across, cell.y))]
    first = (*_right(chain[0], source), *_left(chain[1], label))
    return first, (*_right(chain[1], label), *passed, *_left(chain[-1], target))


def _right(cell: _Cell, place: Place) -> tuple[Point, ...]:
    """From the right side of a box straight to that of its column, so that a line bends between columns only."""
    edge = cell.x + cell.across, place.right[1]
    return (place.right,) if edge[0] == place.right[0] else (place.right, edge)


def _left(cell: _Cell, place: Place) -> tuple[Point, ...]:
    """The same from the left side of its column to that of the box."""
    return (place.left,) if cell.x == place.x else ((cell.x, place.left[1]), place.left)


def _moved(points: Sequence[Point], down: float) -> tuple[Point, ...]:
    return tuple((x, y + down) for x, y in points)
