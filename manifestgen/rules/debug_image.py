"""Images made for debugging."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"image": "acme.azurecr.io/scorer:1.4.2-amd64.debug"',
    good='"image": "acme.azurecr.io/scorer:1.4.2-amd64"',
)
def debug_image(manifest: Manifest) -> Iterator[Problem]:
    """A module's image is a debug build.

    The development tools give a `.debug` tag to images with a debugger in them: these are larger, slower, and
    listen on a port.

    Build and use the release image.
    """
    for module in manifest.modules():
        image = module.open_image
        if image is not None and image.tag.endswith(("debug", "Debug")):
            yield Problem(
                module.at_setting("image"),
                f"image {image.text!r} of module {module.name!r} is a debug build",
                "use the release image",
                start=(module.image_text or "").rfind(image.tag),
                length=len(image.tag),
                part=True,
            )
