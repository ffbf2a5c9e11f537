"""How often manifestgen and the runtime agree: `python tests/conformance/agreement.py CASES.json`.

CASES.json is a list of cases; each has an `id`, the `kind` of its `input` (`manifest`, `route` or `fragment`, with a
`fragment_type`) and `runtime_accepts`. Prints a line for each case on which the two disagree, then a line a kind;
ends with 1 if there was a disagreement. A kind that nothing here can answer is said, not counted.
"""

from __future__ import annotations

import copy
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manifestgen.check import Effect, check, read
from manifestgen.errors import ManifestgenError
from manifestgen.manifest import create_options
from manifestgen.manifest.credentials import RegistryCredential, match
from manifestgen.manifest.reading import is_blank
from manifestgen.manifest.route import compile_check, parse, parse_condition, source_matches
from manifestgen.secret import Secret

_SYSTEM = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "a/b:1"}}
_BASE: dict[str, Any] = {
    "$edgeAgent": {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {"edgeAgent": _SYSTEM, "edgeHub": _SYSTEM},
        "modules": {},
    },
    "$edgeHub": {"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}},
}


def _accepts(manifest: Any, *, rule: str | None = None) -> bool:
    """Whether `check` finds nothing that the device refuses; with `rule`, whether that one finds nothing.

    A device knows no placeholders: what looks like one is a text to it, and to this.
    """
    findings = check(read(json.dumps(manifest)), literal=True)
    if rule is not None:
        return not any(finding.rule == rule for finding in findings)
    return not any(finding.effect is Effect.REFUSED for finding in findings)


def _inside(section: str, place: str | None, value: Any) -> Any:
    """A manifest that works, with the value at a place in a section, or instead of the section."""
    entries = copy.deepcopy(_BASE)
    if place is None:
        entries[section] = value
    else:
        entries[section][place] = value
    return {"modulesContent": {name: {"properties.desired": desired} for name, desired in entries.items()}}


def _module(**changes: Any) -> Any:
    return _inside("$edgeAgent", "modules", {"m1": {**_SYSTEM, **changes}})


def _broker(section: Any) -> bool:
    manifest = _inside("$edgeHub", "mqttBroker", section)
    manifest["modulesContent"]["$edgeHub"]["properties.desired"]["schemaVersion"] = "1.2"
    return _accepts(manifest)


def _chunks(value: Any) -> bool:
    """The generic reader of chunks, with the case's own property name in place of createOptions."""
    name = min(value, key=len)
    try:
        create_options.join({key.replace(name, "createOptions"): text for key, text in value.items()})
    except create_options.ChunkError:
        return False
    return True


def _condition(text: str) -> bool:
    if is_blank(text):
        # The compiler takes a condition that is not there, and no route can have one.
        return True
    try:
        parse_condition(text)
        # A text that is not closed is a fault of a condition alone; in a route it goes on beyond INTO.
        route = parse(f"FROM /messages WHERE {text} INTO $upstream")
    except ManifestgenError:
        return False
    return not compile_check(route)


def _protocol(value: str) -> bool:
    env = {"UpstreamProtocol": {"value": value}}
    systems = {name: {**_SYSTEM, "env": env} for name in ("edgeAgent", "edgeHub")}
    return _accepts(_inside("$edgeAgent", "systemModules", systems), rule="upstream-protocol")


def _credential(value: Any) -> bool:
    entry = RegistryCredential("x", value["address"], "user", Secret("password"))
    return match({"x": entry}, value["image"]) is not None


_ANSWERS: dict[str, Callable[[Any], bool]] = {
    "manifest": _accepts,
    "route": lambda text: _accepts(_inside("$edgeHub", "routes", {"r": text})),
    "route-condition": _condition,
    "edgeHub-desired": lambda value: _accepts(_inside("$edgeHub", None, value)),
    "edgeHub-mqttBroker": _broker,
    "module": lambda value: _accepts(_inside("$edgeAgent", "modules", {"m1": value})),
    "module-settings": lambda value: _accepts(_module(settings=value)),
    "image": lambda text: _accepts(_module(settings={"image": text})),
    "chunked-property": _chunks,
    "source-match": lambda value: source_matches(value["source"], value["message_source"]),
    "registry-match": _credential,
    "env-UpstreamProtocol": _protocol,
}


def main(path: str) -> int:
    """Print the disagreements and the counts; returns the exit code."""
    asked: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    for case in json.loads(Path(path).read_text("utf-8")):
        kind = case.get("fragment_type") or case["kind"]
        asked[kind] += 1
        if kind not in _ANSWERS:
            continue
        accepts = _ANSWERS[kind](case["input"])
        if accepts == case["runtime_accepts"]:
            agreed[kind] += 1
        else:
            words = {True: "accepts", False: "does not accept"}
            print(f"{case['id']}: the runtime {words[case['runtime_accepts']]} it, manifestgen {words[accepts]} it")
            print(f"  {json.dumps(case['input'])[:200]}")
    for kind, count in sorted(asked.items()):
        said = (
            f"{agreed[kind]:4} of {count:4} agree" if kind in _ANSWERS else f"{count:4} cases that this cannot answer"
        )
        print(f"{kind:22} {said}")
    return int(agreed != asked)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tests/conformance/agreement.py CASES.json")
    raise SystemExit(main(sys.argv[1]))
