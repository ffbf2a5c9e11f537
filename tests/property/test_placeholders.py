"""A placeholder in place of any value removes only findings that depend on that place, and adds only its own."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from manifestgen.check import check, check_data, read
from manifestgen.manifest.dump import compact
from manifestgen.manifest.pointer import escape, split
from manifestgen.rules import BY_ID

# Each manifest is checked as often as it has places: minutes in all.
pytestmark = pytest.mark.slow

CASES = Path(__file__).parent.parent / "rules"
ABOUT = {rule.id for rule in BY_ID.values() if rule.about_placeholders}
MARK = "${PLACEHOLDER}"
Found = set[tuple[str, str, str]]


def _manifests() -> Iterator[Any]:
    for path in sorted([*CASES.glob("*/fail/*.json"), CASES / "route-syntax/pass/plain.json"]):
        document = read(path.read_bytes(), path.name)
        if document.manifest is None or document.error is not None or document.placeholders:
            continue
        yield pytest.param(document.data, id="/".join(path.parts[-3:]))


def _places(value: Any, pointer: str = "") -> Iterator[str]:
    if pointer:
        yield pointer
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in _unlike(list(items)):
        yield from _places(item, f"{pointer}/{escape(str(key))}")


def _unlike(items: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Of more than ten fields or items those that differ; of equal ones, as fifty workers are, two and the last."""
    if len(items) <= 10:
        return items
    places: dict[str, list[int]] = {}
    for place, (_, item) in enumerate(items):
        places.setdefault(json.dumps(item), []).append(place)
    return [items[place] for place in sorted({place for alike in places.values() for place in alike[:2] + alike[-1:]})]


def _with(data: Any, pointer: str, value: Any) -> Any:
    """The same data with another value at a place; what leads there is copied, the rest is shared."""
    top = outer = copy.copy(data)
    *path, last = split(pointer)
    for key in path:
        step = int(key) if isinstance(outer, list) else key
        outer[step] = copy.copy(outer[step])
        outer = outer[step]
    outer[int(last) if isinstance(outer, list) else last] = value
    return top


def _found(data: Any) -> Found:
    return {(one.rule, one.pointer, one.message) for one in check_data(data)}


def _texts(data: Any) -> Iterator[str]:
    """Texts and keys of a manifest, and the words in its routes: what a comparison could be with."""
    if isinstance(data, str):
        yield data
        yield from data.replace('"', "/").split("/")
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, item in items:
        yield str(key)
        yield from _texts(item)


_WORDS = [
    "", "x", "running", "stopped", "always", "never", "docker", "on-create", "1.0", "1.1", "1.2", "true", "false", "/",
    "/storage", "Amqp", "MqttWs", "1.2.3.4", "8081", "mcr.microsoft.com/azureiotedge-agent:1.6", "a.azurecr.io/b:1",
    "mcr.microsoft.com/azureiotedge-hub:1.6", "mcr.microsoft.com/azureiotedge-hub:1.5", "b/c:1", "c:1",
    "FROM /messages/modules/x/outputs/* INTO $upstream", "{}", '{"HostConfig": {"NetworkMode": "host"}}',
    '{"NetworkingConfig": {"EndpointsConfig": {"host": {}}}, "HostConfig": {"NetworkMode": "host"}}',
    '{"HostConfig": {"Binds": ["a:/storage", "a:/"], "PortBindings": {"1/tcp": [{"HostPort": "1"}]}}}',
]  # fmt: skip


def _structures(texts: list[str]) -> Iterator[Any]:
    """Parts of a manifest that a text of it may be in: as the name of a module, as the host of an image."""
    modules: dict[str, Any] = {text: {} for text in texts}
    for text in texts:
        agent = {"edgeAgent": {"settings": {"image": f"{text}/a:1"}}}
        yield agent
        yield {"properties.desired": {"systemModules": agent}}
        yield {"x": {"settings": {"image": f"{text}/a:1"}}}
    yield {"properties.desired": {"modules": modules}}
    yield {"properties.desired.modules.x": {}}
    addresses = {"registryCredentials": {str(i): {"address": text} for i, text in enumerate(texts)}}
    yield from (addresses, addresses["registryCredentials"], {"settings": addresses}, {"address": "x"})
    yield from ({"address": text} for text in texts)
    yield from ({"settings": {"image": f"{text}/a:1"}} for text in texts)
    yield from ({"image": f"{text}/a:1"} for text in texts)
    yield from (modules, {"modules": modules})
    yield {"runtime": {"settings": addresses}}
    yield from (f"{text}/a:1" for text in texts)
    yield from (["{{iot:identity}}"], {"OptimizeForPerformance": {"value": "false"}})
    yield {"storageFolder": {"value": "/storage"}}
    yield {"createOptions": '{"HostConfig": {"Binds": ["a:/"]}}'}
    yield {"properties.desired": {"runtime": {"settings": addresses}}}


def _goes_away(data: Any, pointer: str, finding: tuple[str, str, str]) -> bool:
    """Whether there is a value at a place with which a finding is not reported."""
    return any(finding not in _found(_with(data, pointer, value)) for value in _instead(data, pointer, finding[2]))


def _instead(data: Any, pointer: str, message: str) -> Iterator[Any]:
    """Values to try at a place: first what has the texts that a message names, which most often decide."""
    texts = list(dict.fromkeys(_texts(data)))
    yield from _structures([text for text in texts if text and text in message])
    yield from [*_WORDS, 0, 1, -1, 7200, True, None, {}, [], *texts]
    outer = data
    for key in split(pointer):
        outer = outer[int(key)] if isinstance(outer, list) else outer[key]
    if isinstance(outer, dict):
        yield from ({**outer, text: {"value": "x"}} for text in ("https_proxy", "UpstreamProtocol"))
    yield from _structures(texts)
    if isinstance(outer, dict):
        yield from ({text: {}} for text in texts)


@pytest.mark.parametrize("data", list(_manifests()))
def test_a_placeholder_removes_only_what_depends_on_it_and_adds_nothing_else(data: Any) -> None:
    before = _found(data)
    for pointer in _places(data):
        with_one = _with(data, pointer, MARK)
        document = read(compact(with_one))
        after = {(one.rule, one.pointer, one.message) for one in check(document)}
        added = {one[:2] for one in after if one[0] not in ABOUT} - {one[:2] for one in before}
        assert not added, (pointer, added)
        assert any(one[0] in ABOUT for one in after), pointer
        there = {one[:2] for one in after}
        for gone in [one for one in before if one[:2] not in there]:
            inside = gone[1] == pointer or gone[1].startswith(pointer + "/")
            assert inside or _goes_away(data, pointer, gone), (pointer, gone)


def _in_options(data: Any) -> Iterator[tuple[str, Any, str]]:
    """Pointer, value and inner pointer of everything in createOptions that are written as a text."""
    for pointer in _places(data):
        if pointer.endswith("/createOptions"):
            text = data
            for key in split(pointer):
                text = text[key]
            try:
                inner = json.loads(text)
            except (TypeError, ValueError):
                continue
            for place in _places(inner):
                yield pointer, inner, place


@pytest.mark.parametrize("data", list(_manifests()))
def test_the_same_holds_within_create_options(data: Any) -> None:
    before = _found(data)
    for pointer, inner, place in _in_options(data):
        with_one = _with(data, pointer, json.dumps(_with(inner, place, MARK)))
        after = _found(with_one)
        added = {one[:2] for one in after if one[0] not in ABOUT} - {one[:2] for one in before}
        assert not added, (pointer, place, added)
        there = {one[:2] for one in after}
        for gone in [one for one in before if one[:2] not in there]:
            others = [_with(data, pointer, json.dumps(_with(inner, place, value))) for value in _values(inner)]
            assert any(gone not in _found(other) for other in others), (pointer, place, gone)


def _values(inner: Any) -> list[Any]:
    objects: list[Any] = [{"host": {}}, {"PortBindings": {"1/tcp": [{"HostPort": "1"}]}}, {"Binds": ["a:/"]}]
    words = ["", "x", "host", "a:/storage", "1:/x:ro", 0, 1, True, False, None, {}, [], [[]]]
    return [*words, *objects, *_texts(inner)]
