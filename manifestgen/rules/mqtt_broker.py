"""The section `mqttBroker`."""

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from manifestgen.manifest import schema_version
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import join
from manifestgen.manifest.reading import as_text, enum_number, is_null
from manifestgen.manifest.section import Part, child
from manifestgen.rules._rule import Effect, Problem, Side, rule

_OPERATIONS: Final = ("mqtt:publish", "mqtt:subscribe", "mqtt:connect")
_VARIABLES: Final = frozenset(
    {"{{iot:identity}}", "{{iot:device_id}}", "{{iot:module_id}}", "{{mqtt:client_id}}", "{{iot:this_device_id}}"}
)
_VARIABLE: Final = r"\{\{[^}]*\}\}"
# '#' only at the end and after '/', '+' only as a whole level.
_BAD_FILTER: Final = r"[^/]\+|\+[^/]|[^/]#|#.+$"
_DIRECTIONS: Final = {"in": 0, "out": 1, "both": 2}
_FIX: Final = "correct it, or drop 'mqttBroker': the runtime has had no MQTT broker since 1.3"


@rule(
    Effect.REFUSED,
    side=Side.EDGE_HUB,
    status=400,
    bad='"mqttBroker": {"authorizations": [{"identities": []}]}',
    good='"schemaVersion": "1.1", "routes": {…}',
)
def mqtt_broker(manifest: Manifest) -> Iterator[Problem]:
    """The section `mqttBroker` is not valid.

    With schema versions 1.2 and 1.3 edgeHub parses it, although nothing uses it any more. A mistake in it makes
    edgeHub reject the whole section `$edgeHub`.

    Remove `mqttBroker`.
    """
    broker = manifest.hub.find("mqttBroker")
    whole = manifest.hub.whole
    if broker is None or is_null(broker.value) or whole is None or not isinstance(whole.value, dict):
        return
    text = as_text(whole.value.get("schemaVersion"))
    if text is None or (schema_version.hub_minor(text) or 0) < 2:
        return
    if not isinstance(broker.value, dict):
        yield Problem(broker.pointer, "'mqttBroker' is not an object", _FIX)
        return
    version = join(whole.pointer, "schemaVersion")
    for problem in _problems(broker):
        yield replace(problem, needs=(*problem.needs, version))


def _problems(broker: Part) -> Iterator[Problem]:
    for statement in _items(child(broker, "authorizations")):
        yield from _statement(statement)
    for bridge in _items(child(broker, "bridges")):
        yield from _bridge(bridge)
    yield from _no_lists(broker, "authorizations", "bridges")


def _statement(statement: Part) -> Iterator[Problem]:
    identities = child(statement, "identities")
    if identities is None or not isinstance(identities.value, list) or not identities.value:
        yield Problem(statement.pointer, "a statement names no identities", _FIX, needs=_in(statement, "identities"))
    else:
        listed = (identities.pointer,)
        for identity in _texts(identities):
            if not identity:
                yield Problem(identities.pointer, "an identity is blank", _FIX, needs=listed)
            elif not _known_variables(identity):
                yield Problem(
                    identities.pointer,
                    f"identity {identity!r} has an unknown variable",
                    _FIX,
                    needs=(identities.pointer,),
                )
    for name in ("allow", "deny"):
        for entry in _items(child(statement, name)):
            yield from _entry(entry)
    yield from _no_lists(statement, "allow", "deny")


def _entry(entry: Part) -> Iterator[Problem]:
    named = _in(entry, "operations")
    operations = _texts(child(entry, "operations"))
    resources = _texts(child(entry, "resources"))
    if not operations:
        yield Problem(entry.pointer, "a statement names no operations", _FIX, needs=named)
    if not resources and operations != ["mqtt:connect"]:
        yield Problem(entry.pointer, "a statement names no resources", _FIX, needs=(*named, *_in(entry, "resources")))
    for operation in operations:
        if operation not in _OPERATIONS:
            yield Problem(entry.pointer, f"there is no operation {operation!r}", _FIX, needs=named)
    for resource in resources:
        if not resource or re.search(_BAD_FILTER, resource) or not _known_variables(resource):
            what = f"resource {resource!r} is not a topic filter"
            yield Problem(entry.pointer, what, _FIX, needs=_in(entry, "resources"))
    yield from _no_lists(entry, "operations", "resources")


def _bridge(bridge: Part) -> Iterator[Problem]:
    endpoint = child(bridge, "endpoint")
    settings = child(bridge, "settings")
    address = None if endpoint is None else as_text(endpoint.value)
    if not address:
        yield Problem(bridge.pointer, "a bridge has no endpoint", _FIX, needs=_in(bridge, "endpoint"))
        return
    if settings is None or not isinstance(settings.value, list):
        yield Problem(bridge.pointer, "a bridge has no settings", _FIX, needs=_in(bridge, "settings"))
        return
    if not settings.value and address.lower() != "$upstream":
        yield Problem(settings.pointer, "a bridge has no settings", _FIX, needs=_in(bridge, "endpoint"))
    for setting in _items(settings):
        topic = child(setting, "topic")
        direction = child(setting, "direction")
        if direction is None or enum_number(direction.value, _DIRECTIONS) is None:
            what = "the direction of a bridge must be in, out or both"
            yield Problem(setting.pointer, what, _FIX, needs=_in(setting, "direction"))
        text = None if topic is None else as_text(topic.value)
        if topic is None or text is None:
            yield Problem(setting.pointer, "a bridge names no topic", _FIX, needs=_in(setting, "topic"))
        elif re.search(_BAD_FILTER, text):
            yield Problem(topic.pointer, f"topic {text!r} is not a topic filter", _FIX)
        for name in ("inPrefix", "outPrefix"):
            prefix = child(setting, name)
            if prefix is None:
                continue
            if isinstance(prefix.value, dict | list):
                yield Problem(prefix.pointer, f"{name!r} is not a string", _FIX)
            elif isinstance(prefix.value, str) and ("+" in prefix.value or "#" in prefix.value):
                yield Problem(prefix.pointer, f"{name!r} has a wildcard", _FIX)


def _in(outer: Part, name: str) -> tuple[str, ...]:
    """The place of a property, if it is there."""
    part = child(outer, name)
    return () if part is None else (part.pointer,)


def _items(part: Part | None) -> Iterator[Part]:
    if part is not None and isinstance(part.value, list):
        for index, value in enumerate(part.value):
            yield Part(str(index), f"{part.pointer}/{index}", value)


def _texts(part: Part | None) -> list[str]:
    values: Any = part.value if part is not None and isinstance(part.value, list) else []
    return [as_text(value) or "" for value in values]


def _no_lists(outer: Part, *names: str) -> Iterator[Problem]:
    for name in names:
        part = child(outer, name)
        if part is not None and not is_null(part.value) and not isinstance(part.value, list):
            yield Problem(part.pointer, f"{name!r} is not a list", _FIX)


def _known_variables(text: str) -> bool:
    return all(variable in _VARIABLES for variable in re.findall(_VARIABLE, text))
