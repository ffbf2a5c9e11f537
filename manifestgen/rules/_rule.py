"""A rule: a function from a manifest to the problems in it, with an id, an effect and documentation.

A rule sees only the manifest: no network, no clock, no file. A few rules are about the file's text and see the
document instead; a rule that compares with a date gets the date.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import date
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from manifestgen.manifest.document import Document
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.pointer import escape

if TYPE_CHECKING:
    from manifestgen.manifest.unfilled import Unknown

#: Default date to compare end-of-support dates with: when these were last looked up.
KNOWN_ON: Final = date(2026, 11, 22)


class Severity(str, Enum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Effect(str, Enum):
    """The effect of applying the manifest unchanged."""

    #: IoT Hub or the runtime rejects the manifest, or a section of it.
    REFUSED = "refused"
    #: It is accepted, but this part can never work.
    DEAD = "dead"
    #: It works today, and may cause trouble.
    RISK = "risk"
    #: Worth knowing.
    NOTE = "note"

    @property
    def severity(self) -> Severity:
        """The severity of a finding with this effect."""
        return _SEVERITY[self]


_SEVERITY: Final = {
    Effect.REFUSED: Severity.ERROR,
    Effect.DEAD: Severity.ERROR,
    Effect.RISK: Severity.WARNING,
    Effect.NOTE: Severity.INFO,
}


class Side(str, Enum):
    """The component that rejects the manifest."""

    HUB = "IoT Hub"
    AGENT = "edgeAgent"
    EDGE_HUB = "edgeHub"


#: A place, or a place with the start and end of a part of its text.
Operand = str | tuple[str, int, int]


class Problem(Struct, frozen=True, gc=False):
    """A problem at one place.

    Attributes:
        pointer: JSON Pointer into the file as given.
        message: what is wrong: lower-case, no full stop, with what was seen in quotes.
        fix: what to do, in the imperative.
        at_key: whether it is about the key at the pointer, not its value.
        start: where inside the text at the pointer, in characters from 0; None for the whole value.
        length: how many characters from there.
        offset: offset in the file's text, for what has no pointer.
        needs: the other places that it depends on, with all that is in them; with numbers after it a place counts only
            for these characters of its text. Below createOptions, a pointer continues into their JSON, see `option`.
        names: objects of which it matters which keys they have.
        subject: the module that it is about, where the same problem of several is one finding: its
            place is one that these modules share.
        part: whether of the text at the pointer it depends on the characters from `start` alone.

    It depends on the value at its pointer, and in an object on its keys and not on what is in them; with `at_key` on
    the key alone. One of these that holds a placeholder is unknown, and then nothing is reported.
    """

    pointer: str
    message: str
    fix: str
    at_key: bool = False
    start: int | None = None
    length: int = 0
    offset: int | None = None
    needs: tuple[Operand, ...] = ()
    names: tuple[str, ...] = ()
    part: bool = False
    subject: str = ""

    def below(self, base: str) -> Problem:
        """The same problem, its places taken from another one on."""
        return self.moved(lambda place: base + place)

    def moved(self, to: Callable[[str], str | None]) -> Problem:
        """The same problem at other places.

        Args:
            to: the place for a place; None for one that need not be known, but not for the problem's own.
        """
        needs: list[Operand] = []
        for one in self.needs:
            place = to(one if isinstance(one, str) else one[0])
            if place is not None:
                needs.append(place if isinstance(one, str) else (place, one[1], one[2]))
        names = tuple(place for place in map(to, self.names) if place is not None)
        return Problem(
            to(self.pointer) or "",
            self.message,
            self.fix,
            self.at_key,
            self.start,
            self.length,
            self.offset,
            tuple(needs),
            names,
            self.part,
            self.subject,
        )

    def depends_on(self, unknown: Unknown) -> bool:
        """Whether something that it depends on is unknown."""
        if self.at_key:
            if unknown.key(self.pointer):
                return True
        elif self.part and self.start is not None:
            if unknown.part(self.pointer, self.start, self.start + self.length):
                return True
        elif unknown.names(self.pointer):
            return True
        for one in self.needs:
            if unknown.anything(one) if isinstance(one, str) else unknown.part(*one):
                return True
        return any(map(unknown.names, self.names))


def option(module: Module, *keys: str | int) -> str:
    """The place of something in a module's createOptions, whether they are an object or a text."""
    return module.at_setting("createOptions") + "".join(f"/{escape(str(key)).lower()}" for key in keys)


class Rule(Struct, frozen=True, dict=True):
    """A rule.

    Attributes:
        id: its name everywhere.
        effect: what happens to a manifest that breaks it.
        side: what rejects the manifest, for the effect `refused`.
        status: the code that the module then reports in `lastDesiredStatus`; None if IoT Hub rejects it.
        layers: whether it applies to layered deployments too.
        alone: whether it looks at each module by itself, whatever else is in the manifest.
        pieces: whether it holds for a piece that a layered deployment sets, such as a part of a module, whatever base
            the piece meets.
        joins_chunks: whether it reads createOptions put together from their chunks; a piece may have only some of them.
        about_placeholders: whether its findings are about placeholders, and so stay where others wait for the value.
        other_json: whether a file with its finding is simply not a manifest: in a folder such a file is skipped.
        bad: what it finds, in a line.
        good: the same as it should be.
    """

    id: str
    effect: Effect
    side: Side | None
    status: int | None
    layers: bool
    alone: bool
    pieces: bool
    joins_chunks: bool
    about_placeholders: bool
    other_json: bool
    bad: str
    good: str
    _run: Callable[..., Iterator[Problem]]
    _takes: str

    @property
    def severity(self) -> Severity:
        """The severity of its findings."""
        return self.effect.severity

    @property
    def summary(self) -> str:
        """The problem, in one line."""
        return self._documentation[0]

    @property
    def why(self) -> str:
        """The consequences, and the reasons."""
        return self._documentation[1]

    @property
    def fix(self) -> str:
        """How to fix it."""
        return self._documentation[2]

    # Read on demand: `check` does not need it.
    @cached_property
    def _documentation(self) -> tuple[str, str, str]:
        paragraphs = (inspect.getdoc(self._run) or "").split("\n\n")
        if len(paragraphs) < 3:
            raise TypeError(f"rule {self.id}: the docstring must say what, why and how to fix")
        return paragraphs[0], "\n\n".join(paragraphs[1:-1]), paragraphs[-1]

    def problems_of(self, manifest: Manifest) -> Iterator[Problem]:
        """The problems in a manifest; only for rules that take nothing but a manifest."""
        return self._run(manifest)

    def problems(self, document: Document, as_of: date) -> Iterator[Problem]:
        """The problems in a document; none if the rule does not apply to it.

        Args:
            document: the file.
            as_of: the date to compare end-of-support dates with.
        """
        if self._takes == "document":
            return self._run(document)
        manifest = document.manifest
        if manifest is None or (manifest.layered and not self.layers):
            return iter(())
        return self._run(manifest, as_of) if self._takes == "date" else self._run(manifest)


def rule(
    effect: Effect,
    *,
    side: Side | None = None,
    status: int | None = None,
    layers: bool = True,
    alone: bool = False,
    pieces: bool | None = None,
    joins_chunks: bool = False,
    about_placeholders: bool = False,
    other_json: bool = False,
    bad: str = "",
    good: str = "",
) -> Callable[[Callable[..., Iterator[Problem]]], Rule]:
    """Make a function a rule: its name is the id, its docstring the documentation (what, why, how to fix).

    The function takes a `manifest`, a `manifest` and the date `as_of`, or a `document`.

    Args:
        effect: see `Effect`.
        side: what rejects the manifest.
        status: the code that is then reported.
        layers: whether it applies to layered deployments.
        alone: whether it looks at each module by itself: it may use `modules()` and `options` of the manifest only, and
            what it finds in a module must not depend on the others. Its findings are cached for the next manifest
            with the same module.
        pieces: see `Rule`; by default what edgeAgent and edgeHub refuse, they refuse in a piece too.
        joins_chunks: see `Rule`.
        about_placeholders: see `Rule`.
        other_json: see `Rule`.
        bad: see `Rule`.
        good: see `Rule`.
    """

    def decorate(function: Callable[..., Iterator[Problem]]) -> Rule:
        parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
        takes = "document" if parameters[0] == "document" else "date" if len(parameters) == 2 else "manifest"
        return Rule(
            function.__name__.replace("_", "-"),
            effect,
            side,
            status,
            layers,
            alone,
            side in (Side.AGENT, Side.EDGE_HUB) if pieces is None else pieces,
            joins_chunks,
            about_placeholders,
            other_json,
            bad,
            good,
            function,
            takes,
        )

    return decorate
