"""The builders that `image.builder` can name, as far as reading a project file needs them.

The code of a builder is a module of its own, imported when an image is built. To add one: a line here, and a module
with the function `open_builder(project, services)`, which returns a `manifestgen.cloud.Builder` for that project.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from manifestgen.errors import InputError
from manifestgen.project.sections import NONE, Image, Model


class Entry(Struct, frozen=True):
    """A builder.

    Attributes:
        summary: what it is, for the project file's schema.
        service: whose builder it is, for messages such as `building image scorer with Azure ML (package)`.
        module: full name of the module with its code.
        platforms: for which it can build.
        needs: keys of the section `image` that it needs besides `name`.
        numbers: whether it numbers its images itself, so that their tags say nothing of their inputs.
    """

    summary: str
    service: str
    module: str
    platforms: tuple[str, ...]
    needs: tuple[str, ...] = ("entry_script", "conda_file")
    numbers: bool = False


_AMD64: Final = ("linux/amd64",)

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
}


def entry_of(image: Image) -> Entry:
    """The builder of an image. Raises ValueError if it is built elsewhere."""
    if not image.builds:
        raise ValueError("the image is built elsewhere")
    return BUILDERS[image.builder]


def choices() -> tuple[str, ...]:
    """What `image.builder` can be."""
    return (*BUILDERS, NONE)


def check_image(image: Image, model: Model | None) -> None:
    """Compare the section `image` with what its builder needs.

    Raises:
        InputError: a key is missing or must not be there; its `where` is the key's path in the project file.
    """
    if not image.builds:
        if image.reference is None:
            fix = "add 'reference: HOST/REPOSITORY:TAG', or choose a builder"
            raise InputError("image.builder is none, but image.reference is missing", where="image", fix=fix)
        return
    if image.reference is not None:
        raise InputError(
            f"image.reference is set, but image.builder is {image.builder}",
            where="image.reference",
            fix="write 'builder: none' to use this image, or remove reference to build one",
        )
    for key in ("name", *entry_of(image).needs):
        if getattr(image, key) is None:
            fix = f"add '{key}: …' under 'image', or write 'builder: none' and a reference"
            raise InputError(f"image.{key} is missing; builder {image.builder} needs it", where="image", fix=fix)
    if model is None:
        fix = "add the section 'model' with the model's name"
        raise InputError(f"builder {image.builder} needs a model", where="image", fix=fix)
