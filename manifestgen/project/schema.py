"""The JSON Schema of the project file, for editors; made from the same sections that a project file is read with."""

from __future__ import annotations

from typing import Any

import msgspec

from manifestgen.project.builders import BUILDERS, choices
from manifestgen.project.sections import NONE, ProjectFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12.

    It takes what `load` takes, but for what depends on several keys at once.
    """
    (root,), definitions = msgspec.json.schema_components(
        [ProjectFile], schema_hook=lambda _: {"type": "string", "minLength": 1}, ref_template="#/$defs/{name}"
    )
    _add_builders(definitions["Image"])
    return {"$schema": _DIALECT, "title": "manifestgen project file", **root, "$defs": definitions}


def _add_builders(image: dict[str, Any]) -> None:
    """Give `image.builder` its values and what they mean."""
    meanings = [f"{name}: {entry.summary}, for {', '.join(entry.platforms)}." for name, entry in BUILDERS.items()]
    meanings.append(f"{NONE}: the image is there already, see reference.")
    default = image["properties"]["builder"]["default"]
    image["properties"]["builder"] = {
        "description": " ".join(meanings),
        "enum": sorted(choices()),
        "default": default,
    }
