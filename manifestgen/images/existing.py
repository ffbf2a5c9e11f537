"""Looks up a project's existing model and image; changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manifestgen.cloud import ModelSource, RegisteredModel, Services
from manifestgen.errors import ManifestgenError
from manifestgen.images.content_tag import content_tag, digest_of, look_up, target_host
from manifestgen.images.ingredients import Ingredients
from manifestgen.project.builders import entry_of
from manifestgen.project.inputs import inputs_hash, sha256_of
from manifestgen.project.load import Project
from manifestgen.project.lock import Lock, LockedModel, read, workspace_name
from manifestgen.project.sections import Model

#: Stands for the model image while it is not known which registry will get it.
NOWHERE = "image-that-is-not-built-yet:0"


@dataclass(frozen=True)
class Forecast:
    """A forecast of `build.prepare`.

    Attributes:
        image: the resulting reference; a stand-in if the image would be built.
        registers: name of the model that would be registered; None if none would.
        builds: whether an image would be built.
        words: the same in a sentence.
    """

    image: str
    registers: str | None
    builds: bool
    words: str


def forecast(project: Project, services: Services, *, rebuild: bool, report: Callable[[str], None]) -> Forecast:
    """Look at what `build.prepare` would register and build, and change nothing.

    Args:
        project: of one module, which builds its image.
        services: of that module.
        rebuild: as for `build.prepare`.
        report: is called if a registry cannot be asked.

    Raises:
        InputError: an input of the image is missing or invalid.
        CloudError: a service rejected a request, or could not be reached.
    """
    image, spec = project.image, project.model
    if image is None or not project.builds:
        raise ValueError("the project builds no image")
    services.builder.check_inputs()
    model, known = identify(spec, services)
    inputs = inputs_hash(project, known, Ingredients.of(project, services, model, report).lock)
    locked = read(project)
    if not rebuild and locked is not None and is_of(locked, project, inputs) and not is_gone(locked, services, report):
        return Forecast(locked.image, None, False, f"{locked.image} is up to date and would be reused")
    found = look_up(image, inputs, services, report)
    if found.image and not rebuild:
        return Forecast(found.image, None, False, f"{found.image} is already in the registry and would be reused")
    registers = _registers(spec, model, known, services)
    reference = stand_in(project, services, inputs)
    builder = f"{entry_of(image).service} ({image.builder})"
    first = f"would register model {registers} and build" if registers is not None else "would build"
    return Forecast(reference, registers, True, f"{first} image {image.name} with {builder}")


def _registers(
    spec: Model | None, model: RegisteredModel | None, known: LockedModel | None, services: Services
) -> str | None:
    """Name of the model that would be registered; None if none would."""
    if spec is None or known is None or model is not None or not services.models.registers:
        return None
    return spec.name if registered(spec, known.sha256, services.models) is None else None


def future_image(project: Project, services: Services, inputs: str = "0" * 64) -> str | None:
    """A reference for an image that is not built yet, in its registry and repository.

    Args:
        project: of one module, which builds its image.
        services: of that module.
        inputs: hash of its inputs, where it is known.

    Returns:
        None if the registry does not exist yet: the workspace creates it with its first image.

    Raises:
        CloudError: builder or registry could not be asked.
    """
    image = project.image
    if image is None:
        raise ValueError("the project builds no image")
    host = target_host(image, services)
    return f"{host}/{image.name}:{content_tag(inputs)}" if host is not None else None


def stand_in(project: Project, services: Services, inputs: str = "0" * 64) -> str:
    """See `future_image`; `NOWHERE` where that is not known, since who may build need not be allowed to ask."""
    try:
        return future_image(project, services, inputs) or NOWHERE
    except ManifestgenError:
        return NOWHERE


def stand_in_values(project: Project) -> dict[str, Any]:
    """More values for a template, known before the images: the versions of the models."""
    found = {
        module.name: {"model": {"version": module.model.version or 1}} for module in project.modules if module.model
    }
    return {"modules": found} if found else {}


def is_of(locked: Lock, project: Project, inputs: str) -> bool:
    """Whether an image was built from these inputs, in the project's workspace."""
    workspace = workspace_name(project)
    return locked.inputs == inputs and (not locked.workspace or not workspace or locked.workspace == workspace)


def is_gone(locked: Lock, services: Services, report: Callable[[str], None]) -> bool:
    """Whether the registry says that it no longer has the image; False if it cannot be reached."""
    if locked.digest is None:
        return False
    try:
        return digest_of(locked.image, services) is None
    except ManifestgenError as error:
        report(f"could not check whether {locked.image} is still in its registry: {error}")
        return False


def identify(spec: Model | None, services: Services) -> tuple[RegisteredModel | None, LockedModel | None]:
    """The registered model; None, with the hash of its content, if it is a file that must be registered first.

    Both are None for an image without a model.
    """
    if spec is None:
        return None, None
    return identified(spec, services.models)


def identified(spec: Model, models: ModelSource) -> tuple[RegisteredModel | None, LockedModel]:
    """As `identify`, for an image with a model."""
    if spec.path is not None:
        return None, LockedModel(name=spec.name, sha256=sha256_of(spec.path))
    model = models.find(spec.name, spec.wanted)
    return model, LockedModel(name=model.name, version=model.version)


def registered(spec: Model, sha256: str | None, models: ModelSource) -> RegisteredModel | None:
    """The version with the content, tags and description of a file; None if there is none."""
    for known in models.list(spec.name):
        same_words = dict(known.tags) == dict(spec.tags) and known.description == spec.description
        if known.sha256 == sha256 and same_words:
            return known
    return None
