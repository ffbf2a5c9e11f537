"""A picture as an HTML page: the picture, and beside it tables that say all of it in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from manifestgen.report.amount import counted
from manifestgen.report.page import badge, esc, facts, items, meter, page, table
from manifestgen.view.model import Changed, ChangeLine, ModuleRow, Note, Route, Tone, View
from manifestgen.view.svg import STYLE, svg

_ELEMENTS: Final = {Changed.ADDED: "ins", Changed.REMOVED: "del", Changed.CHANGED: "mark"}
_LEVELS: Final = {"error": Tone.BAD, "warning": Tone.WARNING}
_COLUMNS: Final = (
    *("Image", "Tag or digest", "Platform", "Ports", "Volumes", "Env", "Status", "Restart", "Start order", "Twin"),
    "Findings",
)
# A picture a little too wide for the window is drawn smaller; a much wider one scrolls, so that it can be read.
_FITS: Final = """\
.scroll svg.routes{width:100%;min-width:calc(.7*var(--wide));max-width:var(--wide);height:auto}
@media print{.scroll svg.routes{min-width:0;max-width:min(100%,var(--wide))}}
"""
_NONE: Final = '<span class="quiet">–</span>'


def html_page(view: View) -> str:
    """The page."""
    return page(f"{view.title} – manifestgen view", _body(view), style=STYLE + _FITS)


def _body(view: View) -> Iterator[str]:
    yield '<a class="skip" href="#routes">Skip to the routes</a>'
    yield '<a class="skip" href="#modules">Skip to the modules</a>'
    yield "<header>"
    state, tone = view.state
    badges = [_badge(view.kind, Tone.PLAIN)] * (view.kind != "manifest") + [_badge(state, tone)] * bool(state)
    yield f"<h1>{esc(view.title)} {' '.join(badges)}</h1>"
    yield f"<p>{esc(view.summary)}</p>"
    if view.facts:
        yield facts(view.facts)
    sentence, tone = view.banner
    if sentence:
        yield f'<p class="banner {tone.value}">{esc(sentence)}</p>'
    yield "</header><main>"
    if view.changes is not None:
        yield from _changes(view.changes)
    yield "<h2>Picture</h2>"
    yield '<div class="scroll" tabindex="0" role="region" aria-label="Picture of the routes">'
    yield svg(view, links=True, alone=False)
    yield "</div>"
    yield from _legend(view)
    yield "<h2>Limits</h2>"
    yield '<ul class="meters">' + "".join(meter(m.title, m.value, m.limit, m.unit) for m in view.meters) + "</ul>"
    yield from _routes(view)
    yield from _modules(view)
    yield from _notes(view)
    yield "</main>"


def _badge(text: str, tone: Tone) -> str:
    return badge(text, tone.value)


def _signed(text: str, changed: Changed) -> str:
    element = _ELEMENTS.get(changed)
    return f"<{element}>{changed.sign} {esc(text)}</{element}>" if element else esc(text)


def _changes(changes: tuple[ChangeLine, ...]) -> Iterator[str]:
    yield "<h2>Changes</h2>"
    if not changes:
        yield "<p>No changes.</p>"
        return
    yield "<ul>"
    for change in changes:
        text = _signed(change.text, change.changed)
        if change.about:
            text = f'<a href="#{change.about}">{text}</a>'
        remark = f' <span class="quiet">{esc(change.remark)}</span>' if change.remark else ""
        fields = "".join(f"<li><code>{esc(field)}</code></li>" for field in change.fields)
        yield f"<li>{text}{remark}{f'<ul>{fields}</ul>' if fields else ''}</li>"
    yield "</ul>"


def _legend(view: View) -> Iterator[str]:
    words = []
    if any(route.limits for route in view.routes):
        words.append("P0 is the highest priority of a route; seconds are its time to live.")
    if any(route.tone is Tone.BAD for route in view.routes):
        words.append("A dashed red line with ✗ never delivers a message.")
    if view.changes is not None:
        words.append("+ is added, - is removed, ~ is changed.")
    if words:
        yield f'<p class="quiet">{esc(" ".join(words))}</p>'


def _routes(view: View) -> Iterator[str]:
    yield '<h2 id="routes">Routes</h2>'
    if not view.routes:
        yield "<p>There are no routes.</p>"
        return
    head = ("Route", "From", "If", "To", "Priority", "Time to live", "Findings")
    yield table(
        f"{counted(len(view.routes), 'route')} of edgeHub", head, (_route(view, route) for route in view.routes)
    )


def _route(view: View, route: Route) -> str:
    cells = [
        esc(route.origin),
        f"<code>{esc(route.condition)}</code>" if route.condition else '<span class="quiet">always</span>',
        esc(route.sink),
        esc(route.priority) or '<span class="quiet">lowest</span>',
        f"{esc(route.ttl)} s" if route.ttl else '<span class="quiet">that of edgeHub</span>',
        _findings(view, route.id, route.reason if route.tone is Tone.BAD else ""),
    ]
    return f'<tr id="{route.id}"><th scope="row">{_signed(route.name, route.changed)}</th>{_cells(cells)}</tr>'


def _cells(cells: list[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _findings(view: View, id_: str, reason: str) -> str:
    notes = view.notes_about(id_)
    texts = [f'<a href="#{note.id}">{_badge(note.level, _LEVELS.get(note.level, Tone.PLAIN))}</a> {esc(note.rule)}'
             for note in notes]  # fmt: skip
    if reason and not any(note.message == reason for note in notes):
        texts.append(f"{_badge('no message', Tone.BAD)} {esc(reason)}")
    return items(texts) or _NONE


def _modules(view: View) -> Iterator[str]:
    yield '<h2 id="modules">Modules</h2>'
    if not view.modules:
        yield "<p>No modules are set.</p>"
        return
    head, *rows = _filled(view)
    lines = (
        f'<tr id="{row.node}"><th scope="row">{name}</th>{_cells(cells)}</tr>'
        for row, (name, *cells) in zip(view.modules, rows, strict=True)
    )
    yield table(f"{counted(len(view.modules), 'module')}, with the system modules", head, lines)


def _filled(view: View) -> Iterator[list[str]]:
    """The column heads and the cells of each module, without columns in which no module has anything."""
    rows = [_module(view, row) for row in view.modules]
    head = ("Module", "Reported", *_COLUMNS)
    kept = [
        number for number, name in enumerate(head) if name == "Findings" or any(row[number] != _NONE for row in rows)
    ]
    yield [head[number] for number in kept]
    yield from ([row[number] for number in kept] for row in rows)


def _module(view: View, row: ModuleRow) -> list[str]:
    return [
        _signed(row.name, row.changed) + (' <span class="quiet">system</span>' if row.system else ""),
        _badge(row.state, row.tone) if row.state else _NONE,
        f"<code>{esc(row.repository)}</code>" if row.repository else _NONE,
        f"<code>{esc(row.version)}</code>" if row.version else _NONE,
        esc(row.platform) or _NONE,
        *(items(f"<code>{esc(text)}</code>" for text in texts) or _NONE for texts in (row.ports, row.volumes, row.env)),
        esc(row.status) or _NONE,
        esc(row.restart) or _NONE,
        esc(row.order) or _NONE,
        f"{row.twin:,} bytes" if row.twin is not None else _NONE,
        _findings(view, row.node, ""),
    ]


def _notes(view: View) -> Iterator[str]:
    yield '<h2 id="findings">Findings</h2>'
    if not view.notes:
        yield "<p>manifestgen check finds nothing.</p>"
        return
    yield '<ol class="notes">'
    yield from (_note(view, note) for note in view.notes)
    yield "</ol>"


def _note(view: View, note: Note) -> str:
    tone = _LEVELS.get(note.level, Tone.PLAIN)
    about = ""
    if note.about:
        name = next((row.name for row in view.modules if row.node == note.about), None)
        name = name or next((f"route {route.name}" for route in view.routes if route.id == note.about), "")
        about = f' <a href="#{note.about}">{esc(name)}</a>' if name else ""
    return (
        f'<li id="{note.id}" class="{tone.value}"><p>{_badge(note.level, tone)} {esc(note.message)} '
        f'<span class="quiet">[{esc(note.rule)}]</span>{about}</p>'
        f'<p class="quiet">fix: {esc(note.fix)} <code>{esc(note.place)}</code></p></li>'
    )
