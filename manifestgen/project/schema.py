"""The JSON Schema of the project file, for editors, generated from `sections`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from manifestgen.project.builders import BUILDERS, choices
from manifestgen.project.sections import NONE, ProjectFile, in_order

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/"
_ROOT: Final = "ProjectFile"
_ENVIRONMENT: Final = "Environment"
_NULL: Final = {"type": "null"}
_REFERENCE: Final = r"\$\{(env|file):[^}]+\}"


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12.

    It accepts the same as `load`, except for rules that involve several keys, and references in place of a number or of
    an enumerated word. In an environment, nothing is required, and null removes.
    """
    (root,), definitions = msgspec.json.schema_components(
        [ProjectFile], schema_hook=lambda _: {"type": "string", "minLength": 1}, ref_template=_REF + "{name}"
    )
    _add_builders(definitions["Image"])
    definitions["ModuleSection"]["required"] = ["image"]  # the default is for the short form
    _allow_references(definitions)
    keys = definitions[_ROOT]["properties"]
    definitions[_ROOT]["properties"] = {key: keys[key] for key in in_order(keys)}
    partial = _partial(definitions.pop(_ENVIRONMENT), definitions)
    return {"$schema": _DIALECT, "title": "manifestgen project file", **root, "$defs": {**definitions, **partial}}


def _add_builders(image: dict[str, Any]) -> None:
    """Give `image.builder` its values and what they mean."""
    meanings = [f"{name}: {entry.summary}, for {', '.join(entry.platforms)}." for name, entry in BUILDERS.items()]
    meanings.append(f"{NONE}: the image is built elsewhere, see reference.")
    default = image["properties"]["builder"]["default"]
    image["properties"]["builder"] = {
        "description": " ".join(meanings),
        "enum": sorted(choices()),
        "default": default,
    }


def _allow_references(schema: Any) -> None:
    """Allow references, in part or whole, in strings with a pattern."""
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if key == "pattern":
            schema[key] = f"{value}|{_REFERENCE}"
        elif isinstance(value, dict | list) and key not in ("propertyNames", "examples"):
            _allow_references(value)


def _partial(environment: dict[str, Any], definitions: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The definition of an environment, and those of its sections, named `SECTIONChanges`."""
    made: dict[str, dict[str, Any]] = {}

    def change(schema: Any) -> Any:
        """The schema of an override of a value."""
        if isinstance(schema, list):
            return [change(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REF)
            add(name, definitions[name])
            return {**schema, "$ref": f"{_REF}{name}Changes"}
        changed = dict(schema)
        if schema.get("type") == "object":
            changed.pop("required", None)
            if "properties" in schema:
                changed["properties"] = {key: nullable(value) for key, value in schema["properties"].items()}
            if isinstance(schema.get("additionalProperties"), dict):
                changed["additionalProperties"] = nullable(schema["additionalProperties"])
        if "anyOf" in schema:
            changed["anyOf"] = change(schema["anyOf"])
        changed.pop("default", None)  # where it is left out, the rest of the file decides
        return changed

    def nullable(schema: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = change(schema)
        told = {key: changed.pop(key) for key in ("title", "description", "examples") if key in changed}
        if not changed:
            return told  # anything
        options = changed["anyOf"] if set(changed) == {"anyOf"} else [changed]
        return {**told, "anyOf": [*(option for option in options if option != _NULL), _NULL]}

    def add(name: str, definition: dict[str, Any]) -> None:
        if f"{name}Changes" not in made:
            made[f"{name}Changes"] = {}  # for one that refers to itself
            made[f"{name}Changes"] = change(definition)

    return {_ENVIRONMENT: change(environment), **made}
