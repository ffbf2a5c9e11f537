"""The builders that `image.builder` can name, with the facts that reading a project file needs.

The code of a builder is in a separate module, imported when an image is built. To add one: a line here, and a module
with the function `open_builder(project, services)`, which returns a `manifestgen.cloud.Builder` for that project.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.project.sections import NONE, Image, Model, Module


class Entry(Struct, frozen=True):
    """A builder.

    Attributes:
        summary: what it is, for the project file's schema.
        service: the service's name, for messages such as `building image scorer with Azure ML (package)`.
        module: full name of the module with its code.
        platforms: for which it can build.
        needs: keys of the section `image` that it requires besides `name`.
        numbers: whether it numbers its images itself, so that their tags do not identify their inputs.
        context: whether it builds from a context that manifestgen creates (`BuildRequest.context`) and pushes to
            `image.registry`. If so, it accepts the keys `_CONTEXT_KEYS` too.
        pushes: whether this machine pushes the image, so that a build is pointless while it cannot reach the registry.
        keys: more keys of the section `image` that it accepts.
    """

    summary: str
    service: str
    module: str
    platforms: tuple[str, ...]
    needs: tuple[str, ...] = ("entry_script", "conda_file")
    numbers: bool = False
    context: bool = False
    pushes: bool = False
    keys: tuple[str, ...] = ()

    @property
    def takes(self) -> tuple[str, ...]:
        """Keys of the section `image` that not every builder accepts."""
        return (*(_CONTEXT_KEYS if self.context else ()), *self.keys)

    @property
    def needs_workspace(self) -> bool:
        """Whether it builds only models of an Azure ML workspace."""
        return not self.context


_AMD64: Final = ("linux/amd64",)
_CONTEXT_KEYS: Final = (
    "requirements", "platforms", "base", "registry", "dockerfile", "dockerfiles", "context", "build_args",
)  # fmt: skip

#: By the name that `image.builder` gives.
BUILDERS: Final[dict[str, Entry]] = {
    "package": Entry("Model.package of Azure ML", "Azure ML", "manifestgen.azure.aml_package", _AMD64),
    "container-image": Entry(
        "ContainerImage of Azure ML, deprecated",
        "Azure ML",
        "manifestgen.azure.aml_container_image",
        _AMD64,
        numbers=True,
    ),
    "acr": Entry(
        "Azure Container Registry itself, with ACR Tasks",
        "ACR Tasks",
        "manifestgen.azure.acr_tasks",
        ("linux/amd64", "linux/arm64", "linux/arm/v7"),
        needs=("registry",),
        context=True,
        keys=("agent_pool",),
    ),
    "local": Entry(
        "docker buildx, podman or buildah on this machine",
        "the container engine",
        "manifestgen.images.local",
        ("linux/amd64", "linux/arm64", "linux/arm/v7"),
        needs=("registry",),
        context=True,
        pushes=True,
    ),
}


def entry_of(image: Image) -> Entry:
    """The builder of an image. Raises ValueError if it is built elsewhere."""
    if not image.builds:
        raise ValueError("the image is built elsewhere")
    return BUILDERS[image.builder]


def leading(modules: Sequence[Module]) -> Module:
    """The module that represents all of them: one that Azure ML builds, else any that is built."""

    def rank(module: Module) -> int:
        if module.image is None or not module.image.builds:
            return 2
        return 1 if entry_of(module.image).context else 0

    return min(modules, key=rank)


def builds_from_context(image: Image | None) -> bool:
    """Whether manifestgen creates the build context of an image."""
    return image is not None and image.builds and entry_of(image).context


def platforms_of(image: Image) -> tuple[str, ...]:
    """The platforms that an image is built for."""
    return image.platforms or tuple(image.dockerfiles or ()) or _AMD64


def choices() -> tuple[str, ...]:
    """The possible values of `image.builder`."""
    return (*BUILDERS, NONE)


def check_image(image: Image, model: Model | None) -> None:
    """Compare the section `image` with what its builder needs.

    Raises:
        InputError: a key is missing or must not be there; its `where` is the key's path in the project file.
    """
    if not image.builds:
        _check_foreign(image)
        return
    for key in ("reference", "references"):
        if getattr(image, key) is not None:
            raise InputError(
                f"image.{key} is set, but image.builder is {image.builder}",
                where=f"image.{key}",
                fix=f"write 'builder: none' to use this image, or remove {key} to build one",
            )
    for key in ("name", *entry_of(image).needs):
        if getattr(image, key) is None:
            fix = f"add '{key}: …' under 'image', or write 'builder: none' and a reference"
            raise InputError(f"image.{key} is missing; builder {image.builder} needs it", where="image", fix=fix)
    if model is None and not (entry_of(image).context and image.own and image.entry_script is None):
        fix = "add the section 'model' with the model's name"
        raise InputError(f"builder {image.builder} needs a model", where="image", fix=fix)
    for key in dict.fromkeys(key for entry in BUILDERS.values() for key in entry.takes):
        if key not in entry_of(image).takes and getattr(image, key) is not None:
            able = ", ".join(name for name, entry in BUILDERS.items() if key in entry.takes)
            fix = f"remove it, or choose a builder that uses it: {able}"
            raise InputError(f"builder {image.builder} does not use image.{key}", where=f"image.{key}", fix=fix)
    if entry_of(image).context:
        _check_context(image, entry_of(image))


def _check_foreign(image: Image) -> None:
    if image.reference is None and image.references is None:
        fix = "add 'reference: HOST/REPOSITORY:TAG', or choose a builder"
        raise InputError("image.builder is none, but image.reference is missing", where="image", fix=fix)
    if image.reference is not None and image.references is not None:
        fix = "remove one of the two"
        raise InputError("image has both reference and references", where="image.references", fix=fix)


def _check_own(image: Image) -> None:
    """Compare the keys for the user's own Dockerfiles with each other."""
    if image.dockerfiles is not None:
        for key in ("dockerfile", "platforms"):
            if getattr(image, key) is not None:
                fix = "remove one of the two: dockerfiles names the platforms and their Dockerfiles"
                raise InputError(f"image has both {key} and dockerfiles", where="image.dockerfiles", fix=fix)
    for key in ("context", "build_args"):
        if getattr(image, key) is not None and not image.own:
            fix = "add 'dockerfile: Dockerfile', or remove it: the generated Dockerfile does not use it"
            raise InputError(f"image.{key} needs image.dockerfile", where=f"image.{key}", fix=fix)


def _check_context(image: Image, entry: Entry) -> None:
    """Compare the keys for a build from a context with each other."""
    _check_own(image)
    if image.entry_script is None and not image.own:
        fix = "add 'entry_script: score.py' under 'image'"
        raise InputError(f"image.entry_script is missing; builder {image.builder} needs it", where="image", fix=fix)
    if image.requirements is not None and image.conda_file is not None:
        fix = "remove one of the two"
        raise InputError("image has both requirements and conda_file", where="image.requirements", fix=fix)
    for platform in image.platforms or ():
        if platform not in entry.platforms:
            fix = f"write one of: {', '.join(entry.platforms)}"
            raise InputError(f"builder {image.builder} cannot build for {platform!r}", where="image.platforms", fix=fix)
    if image.platforms is not None and len(set(image.platforms)) < len(image.platforms):
        raise InputError("a platform is listed twice", where="image.platforms", fix="list each platform once")
