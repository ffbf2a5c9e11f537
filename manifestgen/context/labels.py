"""Image labels that identify the model, written by a build and read from a registry."""

from __future__ import annotations

from typing import Final

MODEL_NAME: Final = "manifestgen.model.name"
MODEL_VERSION: Final = "manifestgen.model.version"
MODEL_SHA256: Final = "manifestgen.model.sha256"
