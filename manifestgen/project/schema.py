"""The JSON Schema of the project file, for editors, generated from `sections`."""

from __future__ import annotations

from typing import Any

import msgspec

from manifestgen.project.builders import BUILDERS, choices
from manifestgen.project.sections import NONE, ProjectFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12.

    It accepts what `load` accepts, except for rules that involve several keys.
    """
    (root,), definitions = msgspec.json.schema_components(
        [ProjectFile], schema_hook=lambda _: {"type": "string", "minLength": 1}, ref_template="#/$defs/{name}"
    )
    _add_builders(definitions["Image"])
    definitions["ModuleSection"]["required"] = ["image"]  # what it is without one is for the short form
    return {"$schema": _DIALECT, "title": "manifestgen project file", **root, "$defs": definitions}


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
