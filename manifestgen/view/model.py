"""The content of a picture: plain texts, without secrets and control characters. Output formats only escape them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from manifestgen.report.amount import counted


class Tone(str, Enum):
    """The severity of a state, from harmless to bad."""

    PLAIN = "plain"
    GOOD = "good"
    WAITING = "waiting"
    WARNING = "warning"
    BAD = "bad"


class Changed(str, Enum):
    """The change of an element between two manifests."""

    NO = ""
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"

    @property
    def sign(self) -> str:
        """As in a plan: `+`, `-`, `~`; empty for what is the same."""
        return {"added": "+", "removed": "-", "changed": "~"}.get(self.value, "")


class Shape(str, Enum):
    """The kind of a node."""

    MODULE = "module"
    SYSTEM = "system module"
    SOURCE = "source"
    UPSTREAM = "upstream"
    MISSING = "missing"


@dataclass(frozen=True)
class Note:
    """A finding, or another remark.

    Attributes:
        id: its anchor, such as `f3`.
        about: anchor of the module, the route or the section that it is about; empty for the whole.
        level: `error`, `warning` or `info`.
        place: line and column, or a JSON Pointer.
    """

    id: str
    about: str
    level: str
    rule: str
    message: str
    fix: str
    place: str


@dataclass(frozen=True)
class Node:
    """A box of the picture.

    Attributes:
        id: its anchor, such as `m2`.
        lines: the text below the title.
        state: what the device reports, below that; empty without a device.
    """

    id: str
    title: str
    shape: Shape
    lines: tuple[str, ...] = ()
    tone: Tone = Tone.PLAIN
    changed: Changed = Changed.NO
    state: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All text below the title."""
        return (*self.lines, self.state) if self.state else self.lines


@dataclass(frozen=True)
class Route:
    """A line of the picture.

    Attributes:
        id: its anchor, such as `r2`.
        source, target: ids of nodes.
        origin, sink: the same in words, with output and input.
        condition: behind WHERE; empty if all messages pass.
        priority, ttl: as written; empty where they are not.
        reason: why no message gets through, or what to look at.
    """

    id: str
    name: str
    source: str
    target: str
    origin: str
    sink: str
    condition: str = ""
    priority: str = ""
    ttl: str = ""
    tone: Tone = Tone.PLAIN
    reason: str = ""
    changed: Changed = Changed.NO
    ports: str = ""

    @property
    def limits(self) -> str:
        """Priority and time to live in a few characters."""
        words = (f"P{self.priority}" if self.priority else "", f"{self.ttl} s" if self.ttl else "")
        return " · ".join(word for word in words if word)


@dataclass(frozen=True)
class ModuleRow:
    """A row of the table of modules.

    Attributes:
        node: id of its node.
        repository, version: of the image; the version is its tag or digest.
        platform: of the image, if known.
        env: names of variables, with values where they may be shown.
        state: what the device reports; empty without a device.
        twin: bytes of desired properties that are set for it; None if none are.
    """

    node: str
    name: str
    system: bool
    repository: str
    version: str
    platform: str
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    env: tuple[str, ...]
    status: str
    restart: str
    order: str
    state: str
    tone: Tone
    changed: Changed
    twin: int | None


@dataclass(frozen=True)
class Meter:
    """How much of a limit is used."""

    title: str
    value: int
    limit: int
    unit: str


@dataclass(frozen=True)
class ChangeLine:
    """A change with what differs below it, as a plan shows it."""

    changed: Changed
    text: str
    remark: str
    fields: tuple[str, ...]
    about: str


@dataclass(frozen=True)
class View:
    """All of a picture.

    Attributes:
        title: what is shown, such as a file's name.
        facts: short remarks below the title.
        banner: the most important sentence about it and its tone; empty for none.
        changes: between two manifests; None if one is shown.
    """

    title: str
    facts: tuple[str, ...] = ()
    banner: tuple[str, Tone] = ("", Tone.PLAIN)
    nodes: tuple[Node, ...] = ()
    routes: tuple[Route, ...] = ()
    modules: tuple[ModuleRow, ...] = ()
    meters: tuple[Meter, ...] = ()
    notes: tuple[Note, ...] = ()
    changes: tuple[ChangeLine, ...] | None = None
    kind: str = "manifest"
    state: tuple[str, Tone] = ("", Tone.PLAIN)

    def node(self, id_: str) -> Node:
        """The node of an id."""
        return next(node for node in self.nodes if node.id == id_)

    def notes_about(self, id_: str) -> tuple[Note, ...]:
        """The findings about a module or a route."""
        return tuple(note for note in self.notes if note.about == id_)

    @property
    def summary(self) -> str:
        """`5 modules, 3 routes, 1 error, 2 warnings`, without what is removed."""
        errors = sum(note.level == "error" for note in self.notes)
        warnings = sum(note.level == "warning" for note in self.notes)
        own = sum(not row.system and row.changed is not Changed.REMOVED for row in self.modules)
        routes = sum(route.changed is not Changed.REMOVED for route in self.routes)
        parts = [counted(own, "module"), counted(routes, "route")]
        parts += [counted(errors, "error")] * bool(errors) + [counted(warnings, "warning")] * bool(warnings)
        return ", ".join(parts)
