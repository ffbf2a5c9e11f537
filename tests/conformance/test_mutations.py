"""A valid manifest broken in every way that this file knows: each mutant is found, or harmless for a stated reason."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from manifestgen.check import Effect, check, read
from manifestgen.manifest.pointer import join, split

PLAIN = json.loads((Path(__file__).parent.parent / "rules/route-syntax/pass/plain.json").read_text("utf-8"))

#: What the runtime does without or reads whatever it is: pointer pattern ('*' is any key) and kind of mutation, why.
HARMLESS = {
    ("AGENT/runtime/settings/minDockerVersion", "*"): "nothing reads it",
    (
        "AGENT/modules/*/version",
        "*",
    ): "any scalar is a version, and none as well",
    ("AGENT/modules/*/imagePullPolicy", "drop"): "on-create is the default",
    ("AGENT/modules/*/startupOrder", "drop"): "it has a default",
    ("AGENT/modules/*/startupOrder", "number"): "any order will do",
    ("AGENT/systemModules/edgeHub/startupOrder", "drop"): "it has a default",
    ("AGENT/systemModules/edgeHub/startupOrder", "number"): "any order will do",
    ("AGENT/modules/*/env", "drop"): "a module needs no variables",
    ("AGENT/modules/*/env", "null"): "a module needs no variables",
    ("AGENT/modules/*/env", "blank"): "an empty text is null to the runtime",
    ("AGENT/modules/*/env/*", "drop"): "a module needs no variables",
    ("AGENT/modules/*/env/*", "rename"): "its name is the module's business",
    ("AGENT/modules/*/env/*/value", "*"): "its value is the module's business",
    ("AGENT/modules/*/settings/createOptions", "drop"): "there need be none",
    ("AGENT/modules/*/settings/createOptions", "null"): "there need be none",
    ("AGENT/modules/*/settings/createOptions", "blank"): "there need be none",
    ("AGENT/runtime/settings/registryCredentials/*", "rename"): "a label only",
    (
        "AGENT/runtime/settings/registryCredentials/*/username",
        "number",
    ): "a text",
    (
        "AGENT/runtime/settings/registryCredentials/*/password",
        "number",
    ): "a text",
    ("HUB/routes/*", "drop"): "a manifest need not route anything",
    ("HUB/routes/*", "rename"): "a label only",
    ("HUB/routes/*/priority", "drop"): "it has a default",
    ("HUB/routes/*/priority", "number"): "7 is a priority",
    ("HUB/routes/*/priority", "rename"): "an unknown key is ignored",
    ("HUB/routes/*/timeToLiveSecs", "drop"): "the global one counts",
    ("HUB/routes/*/timeToLiveSecs", "number"): "7 seconds are a time",
    ("HUB/routes/*/timeToLiveSecs", "rename"): "an unknown key is ignored",
    (
        "HUB/storeAndForwardConfiguration/timeToLiveSecs",
        "number",
    ): "7 are a time",
    ("TWIN", "drop"): "a module needs no twin",
    ("TWIN/properties.desired", "drop"): "sets nothing, changes nothing",
    ("TWIN/properties.desired/threshold", "*"): "the module's business",
    ("AGENT/runtime/settings/registryCredentials/*/username", "text"): "any text may be a name",
    ("AGENT/runtime/settings/registryCredentials/*/password", "text"): "any text may be a password",
    ("AGENT/modules/*/env", "object"): "a module needs no variables at all",
    ("HUB/routes", "object"): "routes may be empty",
    ("TWIN", "object"): "an entry may be empty",
    ("TWIN/properties.desired", "object"): "a twin may be empty",
}


_ROOTS = {
    "AGENT": ["modulesContent", "$edgeAgent", "properties.desired"],
    "HUB": ["modulesContent", "$edgeHub", "properties.desired"],
    "TWIN": ["modulesContent", "scorer"],
}


class Mutant(NamedTuple):
    pointer: str
    kind: str
    data: Any


def places(value: Any, pointer: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield join(pointer, key)
            yield from places(item, join(pointer, key))


def mutants() -> Iterator[Mutant]:
    for pointer in places(PLAIN):
        for kind in ("drop", "null", "blank", "number", "text", "list", "object", "rename"):
            data = copy.deepcopy(PLAIN)
            *path, key = split(pointer)
            parent = data
            for step in path:
                parent = parent[step]
            old = parent[key]
            new: Any = {"null": None, "blank": "", "number": 7, "text": "!", "list": [7], "object": {"x": 1}}.get(kind)
            if kind == "drop":
                del parent[key]
            elif kind == "rename":
                parent[f"{key}x"] = parent.pop(key)
            elif type(new) is type(old) and kind in ("object", "number"):
                parent[key] = {} if kind == "object" else 7
            else:
                parent[key] = new
            if data != PLAIN:
                yield Mutant(pointer, kind, data)


def reason(mutant: Mutant) -> str:
    keys = split(mutant.pointer)
    for (pattern, kind), why in HARMLESS.items():
        wanted = split("/" + pattern)
        wanted = [*_ROOTS[wanted[0]], *wanted[1:]]
        same = len(wanted) == len(keys) and all(want in ("*", key) for want, key in zip(wanted, keys, strict=True))
        if same and kind in ("*", mutant.kind):
            return why
    return ""


@pytest.mark.slow
def test_no_mutant_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    escaped = []
    for mutant in mutants():
        findings = check(read(json.dumps(mutant.data)))
        effects = {finding.effect for finding in findings}
        if Effect.REFUSED in effects or Effect.DEAD in effects:
            counts["error"] += 1
        elif effects:
            counts["warning"] += 1
        elif reason(mutant):
            counts["harmless"] += 1
        else:
            escaped.append((mutant.pointer, mutant.kind))
    with capsys.disabled():
        print(f" {sum(counts.values())} mutants: {dict(counts)}", end=" ")

    assert escaped == []
    assert sum(counts.values()) > 500


def test_nothing_is_called_harmless_that_is_found() -> None:
    used = {reason(mutant) for mutant in mutants() if not check(read(json.dumps(mutant.data)))}

    assert used >= {why for (_, kind), why in HARMLESS.items() if kind != "*"}
