"""From a manifest, or two, to what a picture shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from manifestgen.check import Finding
from manifestgen.compare.diff import Change, diff
from manifestgen.compare.env_values import with_env_values
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.module import Module
from manifestgen.manifest.twin import MAX_DESIRED_BYTES, size
from manifestgen.report.amount import counted
from manifestgen.report.changes import remark
from manifestgen.view import routes
from manifestgen.view.model import (
    Changed,
    ChangeLine,
    Meter,
    ModuleRow,
    Node,
    Note,
    Route,
    Shape,
    Tone,
    View,
)
from manifestgen.view.module_row import row_of
from manifestgen.view.routes import End, Line
from manifestgen.view.subject import Subject

if TYPE_CHECKING:
    from manifestgen.device.rollout import ModuleStatus, Rollout

#: Modules of a deployment, without the system modules: Microsoft's page on the limits of IoT Hub.
MOST_MODULES: Final = 50
# Only twins that use as much of their limit are worth a meter, besides those of the runtime.
_WORTH_A_METER: Final = 0.25
_MODULE_SUBJECTS: Final = ("module", "system module", "module twin")
# By the values of `device.rollout.State`, whose import a manifest in a file need not wait for.
_STATES: Final = {
    "healthy": Tone.GOOD,
    "waiting": Tone.WAITING,
    "failing": Tone.WARNING,
    "failed": Tone.BAD,
    "refused": Tone.BAD,
}


def view_of(subject: Subject, *, show_env: bool = False) -> View:
    """The view of one manifest.

    Args:
        show_env: show the values of variables that do not seem to be secrets.

    Raises:
        InputError: there is no manifest in it.
    """
    return _View(subject, show_env=show_env).view()


def view_of_change(before: Subject, after: Subject, *, show_env: bool = False) -> View:
    """The view of a change from one manifest to another: all of the second, and the removed parts of the first.

    Args:
        show_env: see `view_of`.

    Raises:
        InputError: there is no manifest in one of them.
    """
    changes = diff(before.manifest, after.manifest)
    if show_env:
        changes = with_env_values(changes, before.manifest, after.manifest)
    return _View(after, before, changes, show_env=show_env).view()


def _how(changes: Sequence[Change], subjects: Sequence[str], prefix: str) -> dict[str, Changed]:
    """The changes to the parts of a kind, by name; for a layer, by the keys that set them."""
    found: dict[str, Changed] = {}
    for change in changes:
        if change.subject == "property" and change.name.startswith(prefix):
            found[change.name.removeprefix(prefix)] = Changed(change.kind)
        elif change.subject in subjects:
            kind = Changed(change.kind) if change.subject != "module twin" else Changed.CHANGED
            found.setdefault(change.name, kind)
    return found


class _View:
    """Collects what is shown; ids are given in the order of the manifest."""

    def __init__(
        self, subject: Subject, before: Subject | None = None, changes: tuple[Change, ...] = (), *, show_env: bool
    ) -> None:
        self._subject, self._before, self._changes, self._show_env = subject, before, changes, show_env
        self._manifest = subject.manifest
        self._how = _how(changes, _MODULE_SUBJECTS, "$edgeAgent properties.desired.modules.")
        self._how_routes = _how(changes, ("route",), "$edgeHub properties.desired.routes.")
        self._nodes: dict[tuple[str, tuple[str, str]], Node] = {}
        self._states = {module.name: module for module in subject.rollout.modules} if subject.rollout else {}
        self._severity: dict[str, str] = {}

    def view(self) -> View:
        subject, safe = self._subject, self._subject.safe
        notes = tuple(self._notes())
        for note in notes:
            if note.about and self._severity.get(note.about) != "error":
                self._severity[note.about] = note.level
        modules = tuple(self._rows())
        found = tuple(self._routes())
        # A missing module is as bad as the routes to it: a placeholder may stand for its name.
        bad = {end for route in found if route.tone is Tone.BAD for end in (route.source, route.target)}
        nodes = tuple(
            replace(node, tone=Tone.BAD) if node.shape is Shape.MISSING and node.id in bad else node
            for node in self._nodes.values()
        )
        return View(
            title=safe(subject.name if self._before is None else f"{self._before.name} → {subject.name}"),
            facts=tuple(safe(fact) for fact in (*self._facts(), *subject.facts)),
            banner=self._banner(),
            nodes=nodes,
            routes=found,
            modules=modules,
            meters=tuple(self._meters()),
            notes=notes,
            changes=tuple(self._change_lines()) if self._before is not None else None,
            kind=subject.document.kind.value,
            state=_state_words(subject.rollout),
        )

    def _facts(self) -> Iterator[str]:
        if self._manifest.layered:
            yield "a layer: what it does not set, the base deployment sets"
        count = len(self._subject.document.placeholders)
        if count:
            yield f"a template: {counted(count, 'placeholder')} not filled in"

    def _banner(self) -> tuple[str, Tone]:
        safe, rollout = self._subject.safe, self._subject.rollout
        if rollout is not None and rollout.reason:
            fix = f"; {rollout.fix}" if rollout.fix else ""
            return safe(f"{rollout.reason}{fix}"), _STATES[rollout.state.value]
        refused = next((f for f in self._subject.findings if f.effect.value == "refused"), None)
        if refused is not None:
            return safe(f"It would be rejected: {refused.message}"), Tone.BAD
        return "", Tone.PLAIN

    # Modules

    def _modules(self) -> Iterator[tuple[Subject, Module]]:
        """The modules, then those that only the other manifest has."""
        names = set()
        for module in self._manifest.modules():
            names.add(module.name)
            yield self._subject, module
        if self._before is not None and not self._manifest.layered:
            for module in self._before.manifest.modules():
                if module.name not in names and module.name in self._how:
                    yield self._before, module

    def _anchors(self) -> Mapping[str, str]:
        """The anchors of modules and routes by the pointers to them."""
        anchors = {}
        for number, module in enumerate(self._manifest.modules(), start=1):
            anchors[module.pointer] = f"m{number}"
            if module.name in self._manifest.entries:
                anchors[self._manifest.pointer(module.name)] = f"m{number}"
        for number, entry in enumerate(self._manifest.routes(), start=1):
            anchors[entry.entry_pointer] = f"r{number}"
        return anchors

    def _rows(self) -> Iterator[ModuleRow]:
        for number, (subject, module) in enumerate(self._modules(), start=1):
            id_ = f"m{number}"
            tone, state = self._standing(module.name, id_)
            row = row_of(
                module,
                id_,
                subject.safe,
                secrets=subject.document.secrets,
                show_env=self._show_env,
                facts=subject.images.get(module.image_text or ""),
                twin=self._twin(subject, module.name),
                state=subject.safe(state),
                tone=tone,
                changed=self._how.get(module.name, Changed.NO),
            )
            lines = [text for text in (_short_image(row), subject.safe(self._idle(module))) if text]
            shape = Shape.SYSTEM if module.system else Shape.MODULE
            self._nodes[module.name, ("", "")] = Node(id_, row.name, shape, tuple(lines), tone, row.changed, row.state)
            yield row

    @staticmethod
    def _idle(module: Module) -> str:
        status = module.status
        return f"status {status}" if isinstance(status, str) and status.lower() != "running" else ""

    def _standing(self, name: str, id_: str) -> tuple[Tone, str]:
        if self._subject.rollout is not None:
            status: ModuleStatus | None = self._states.get(name)
            return (_STATES[status.state.value], status.words) if status is not None else (Tone.PLAIN, "not reported")
        return {"error": Tone.BAD, "warning": Tone.WARNING}.get(self._severity.get(id_, ""), Tone.PLAIN), ""

    def _twin(self, subject: Subject, name: str) -> int | None:
        return _bytes(subject.manifest, name) if name in subject.manifest.entries else None

    # Routes

    def _routes(self) -> Iterator[Route]:
        found = [
            (self._subject, line, self._how_routes.get(line.name, Changed.NO))
            for line in routes.lines(self._manifest, self._subject.findings)
        ]
        if self._before is not None and not self._manifest.layered:
            names = {line.name for _, line, _ in found}
            for line in routes.lines(self._before.manifest, ()):
                if line.name not in names:
                    found.append((self._before, line, Changed.REMOVED))
        for number, (subject, line, changed) in enumerate(found, start=1):
            yield self._route(f"r{number}", line, changed, subject.safe)

    def _route(self, id_: str, line: Line, changed: Changed, safe: Callable[[str], str]) -> Route:
        source, target = self._node(line.source, safe), self._node(line.sink, safe)
        origin, sink = _end_words(source, line.source, "output"), _end_words(target, line.sink, "input")
        ports = f"{line.source.port or '*'} → {line.sink.port or '*'}" if line.source.port or line.sink.port else ""
        texts = [
            safe(t) for t in (line.name, origin, sink, line.condition, line.priority, line.ttl, line.reason, ports)
        ]
        name, origin, sink, condition, priority, ttl, reason, ports = texts
        return Route(
            id_, name, source.id, target.id, origin, sink, condition, priority, ttl, line.tone, reason, changed, ports
        )  # fmt: skip

    def _node(self, end: End, safe: Callable[[str], str]) -> Node:
        key = (end.module, end.words)
        node = self._nodes.get(key)
        if node is None:
            id_ = f"n{len(self._nodes) + 1}"
            node = self._nodes[key] = self._new_node(id_, end, safe)
        return node

    def _new_node(self, id_: str, end: End, safe: Callable[[str], str]) -> Node:
        if end.module:
            where = "not in this layer" if self._manifest.layered else "not in the manifest"
            return Node(id_, safe(end.module), Shape.MISSING, (where,))
        title, words = end.words
        shape, tone = Shape.SOURCE, Tone.PLAIN
        if title == routes.UPSTREAM:
            shape = Shape.UPSTREAM
        elif title in (routes.NO_MESSAGE[0], routes.UNREADABLE[0], routes.NOWHERE[0]):
            shape, tone = Shape.MISSING, Tone.BAD
        return Node(id_, title, shape, (safe(words),), tone)

    # Findings, meters, changes

    def _notes(self) -> Iterator[Note]:
        anchors, safe = self._anchors(), self._subject.safe
        for number, finding in enumerate(self._subject.findings, start=1):
            yield Note(
                f"f{number}",
                _about(anchors, finding),
                finding.severity.value,
                finding.rule,
                safe(finding.message),
                safe(finding.fix),
                safe(finding.place),
            )

    def _meters(self) -> Iterator[Meter]:
        own = sum(not module.system for module in self._manifest.modules())
        yield Meter("modules", own, MOST_MODULES, "")
        for name in self._manifest.entries:
            count = _bytes(self._manifest, name)
            if name in ("$edgeAgent", "$edgeHub") or count > _WORTH_A_METER * MAX_DESIRED_BYTES:
                yield Meter(self._subject.safe(f"twin of {name}"), count, MAX_DESIRED_BYTES, "bytes")

    def _change_lines(self) -> Iterator[ChangeLine]:
        assert self._before is not None  # noqa: S101 - there are changes between two manifests only
        both = self._before.safe, self._subject.safe

        def safe(text: str) -> str:
            return both[1](both[0](text))

        by_name = {name: node.id for (name, _), node in self._nodes.items() if name}
        for change in self._changes:
            about = by_name.get(change.name, "") if change.subject in _MODULE_SUBJECTS else ""
            fields = tuple(f"{Changed(each.kind).sign} {safe(str(each))}" for each in change.fields)
            yield ChangeLine(Changed(change.kind), safe(str(change)), remark(change), fields, about)


def _end_words(node: Node, end: End, port: str) -> str:
    if not end.module:
        return f"{node.title} ({node.lines[0]})" if node.title == routes.NO_MESSAGE[0] else node.title
    return f"{end.module}, {port} {end.port}" if end.port else end.module


def _about(anchors: Mapping[str, str], finding: Finding) -> str:
    place = finding.pointer
    while place:
        if place in anchors:
            return anchors[place]
        place = place.rpartition("/")[0]
    return ""


def _bytes(manifest: Manifest, name: str) -> int:
    """Bytes that the hub counts for what a manifest sets of a twin."""
    return sum(size(part.value) for _, part in manifest.section(name).pieces)


def _short_image(row: ModuleRow) -> str:
    name = row.repository.rpartition("/")[2]
    if not row.version:
        return name
    return f"{name}@{row.version[:14]}…" if row.version.startswith("sha256:") else f"{name}:{row.version}"


def _state_words(rollout: Rollout | None) -> tuple[str, Tone]:
    return ("", Tone.PLAIN) if rollout is None else (rollout.state.value, _STATES[rollout.state.value])
