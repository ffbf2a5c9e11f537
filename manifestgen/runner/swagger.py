"""The description of the scoring service that `/swagger.json` serves: the script's own file, or one made here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

_ANY: Json = {"type": "object", "example": {}}
_FILES = {"2": ("swagger.json", "swagger2.json"), "3": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
_ALIASES = {"2.0": "2", "3.0": "3"}


@dataclass(frozen=True)
class Swagger:
    """A scorer's description of its inputs and outputs.

    Attributes:
        folder: where files of the script's own may lie.
        inputs: JSON Schema of an input.
        outputs: JSON Schema of a result.
        versions: the versions of Swagger that those schemas can be said in.
    """

    folder: Path | None = None
    inputs: Json = field(default_factory=lambda: _ANY)
    outputs: Json = field(default_factory=lambda: _ANY)
    versions: tuple[str, ...] = ("2", "3", "3.1")

    def specification(self, version: str) -> tuple[Json | None, str]:
        """The description in this version of Swagger; or None and why there is none."""
        version = _ALIASES.get(version, version)
        if version not in _FILES:
            return None, f"Swagger version [{version}] is not valid. Supported versions: [{', '.join(self.versions)}]."
        if self.folder is not None:
            for name in _FILES[version]:
                try:
                    content: Json = json.loads((self.folder / name).read_text(encoding="utf-8"))
                except FileNotFoundError:
                    continue
                except (OSError, ValueError):
                    return None, f"The file {name} cannot be read."
                return content, ""
        if version not in self.versions:
            return None, f"Swagger version [{version}] is not supported for the scoring script."
        return (self._second() if version == "2" else self._third(version)), ""

    def _second(self) -> Json:
        answer = {"200": {"description": "The result.", "schema": {"$ref": "#/definitions/ServiceOutput"}}}
        body = {"name": "serviceInputPayload", "in": "body", "schema": {"$ref": "#/definitions/ServiceInput"}}
        return {
            "swagger": "2.0",
            "info": {"title": "Scoring service", "version": "1.0"},
            "schemes": ["http"],
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "paths": {
                "/": {"get": {"summary": "Whether it runs.", "responses": {"200": {"description": "It runs."}}}},
                "/score": {"post": {"summary": "Score an input.", "parameters": [body], "responses": answer}},
            },
            "definitions": {"ServiceInput": self.inputs, "ServiceOutput": self.outputs},
        }

    def _third(self, version: str) -> Json:
        def content(name: str) -> Json:
            return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

        answer = {"200": {"description": "The result.", "content": content("ServiceOutput")}}
        score = {
            "summary": "Score an input.",
            "requestBody": {"content": content("ServiceInput")},
            "responses": answer,
        }
        return {
            "openapi": "3.1.0" if version == "3.1" else "3.0.3",
            "info": {"title": "Scoring service", "version": "1.0"},
            "paths": {
                "/": {"get": {"summary": "Whether it runs.", "responses": {"200": {"description": "It runs."}}}},
                "/score": {"post": score},
            },
            "components": {"schemas": {"ServiceInput": self.inputs, "ServiceOutput": self.outputs}},
        }
