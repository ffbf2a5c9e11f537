"""The routes from modules' `inputs` and `outputs`.

A source is `MODULE/OUTPUT`, `MODULE/*`, `devices`, or a text `FROM …`. A sink is `$upstream` or `MODULE/INPUT`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from manifestgen.errors import InputError
from manifestgen.manifest.route import RouteSyntaxError, compile_check, parse
from manifestgen.project.sections import Module

DEVICES: Final = "devices"
UPSTREAM: Final = "$upstream"
_FROM_DEVICES: Final = "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId)"
_END: Final = r"([^/\s\"\\]+)/([^/\s\"\\]+)"
_SOURCE_FIX: Final = "write MODULE/OUTPUT, MODULE/* for all outputs, devices, or a source that starts with FROM"
_SINK_FIX: Final = "write $upstream or MODULE/INPUT"


def into(module: str, input_: str, source: str) -> tuple[str, str]:
    """Name and text of a route into a module.

    Args:
        module, input_: its destination.
        source: see above.

    Raises:
        InputError: it is not a source, or edgeHub would reject it.
    """
    sink = f'INTO BrokeredEndpoint("/modules/{module}/inputs/{input_}")'
    name = f"to_{module}_{input_}"
    if source == DEVICES:
        return f"devices_{name}", _checked(f"{_FROM_DEVICES} {sink}", _SOURCE_FIX)
    if source[:5].upper() == "FROM ":
        return name, _checked(f"{source.strip()} {sink}", "correct the source; docs/routes.md has the language")
    found = re.fullmatch(_END, source)
    if found is None:
        raise InputError(f"'{source}' is not a source of messages", fix=_SOURCE_FIX)
    text = f"FROM /messages/modules/{found[1]}/outputs/{found[2]} {sink}"
    return f"{found[1]}_{_word(found[2])}_{name}", _checked(text, _SOURCE_FIX)


def out_of(module: str, output: str, sink: str) -> tuple[str, str]:
    """Name and text of a route out of a module.

    Args:
        module, output: where it starts; the output `*` is all of them.
        sink: see above.

    Raises:
        InputError: it is not a sink, or edgeHub would reject it.
    """
    begin, name = f"FROM /messages/modules/{module}/outputs/{output} INTO", f"{module}_{_word(output)}_to"
    if sink == UPSTREAM:
        return f"{name}_upstream", _checked(f"{begin} {UPSTREAM}", _SINK_FIX)
    found = re.fullmatch(_END, sink)
    if found is None:
        raise InputError(f"'{sink}' is not a sink of messages", fix=_SINK_FIX)
    text = f'{begin} BrokeredEndpoint("/modules/{found[1]}/inputs/{found[2]}")'
    return f"{name}_{found[1]}_{found[2]}", _checked(text, _SINK_FIX)


def listed(ends: Mapping[str, str | tuple[str, ...]] | None) -> Iterator[tuple[str, str]]:
    """Each end of a route with its input or output."""
    for name, found in (ends or {}).items():
        yield from ((name, end) for end in ((found,) if isinstance(found, str) else found))


def routes_of(modules: Iterable[Module]) -> dict[str, str]:
    """The routes of modules by name; a route defined at both ends appears once."""
    routes: dict[str, str] = {}
    for module in modules:
        found = [into(module.name, name, source) for name, source in listed(module.inputs)]
        found += [out_of(module.name, name, sink) for name, sink in listed(module.outputs)]
        for name, text in found:
            _add(routes, name, text)
    return routes


def _add(routes: dict[str, str], name: str, text: str) -> None:
    if text in routes.values():
        return
    name = re.sub(r"[^A-Za-z0-9_-]", "-", name)  # a key of a twin
    number, free = 1, name
    while free in routes:
        number += 1
        free = f"{name}_{number}"
    routes[free] = text


def _word(end: str) -> str:
    return "all" if end == "*" else end.replace("*", "any")


def _checked(text: str, fix: str) -> str:
    try:
        wrong = [error.message for error in compile_check(parse(text))]
    except RouteSyntaxError as error:
        wrong = [error.what]
    if wrong:
        raise InputError(f"it gives the route '{text}', which edgeHub rejects: {wrong[0]}", fix=fix)
    return text
