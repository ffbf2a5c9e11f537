"""Images without a fixed tag."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

#: `latest`, also with a platform: `latest-amd64`.
_LATEST: Final = r"(?i)(?:^|[._-])latest(?:$|[._-])"


@rule(
    Effect.RISK,
    alone=True,
    bad='"image": "acme.azurecr.io/scorer:latest"',
    good='"image": "acme.azurecr.io/scorer:1.4.2"',
)
def floating_tag(manifest: Manifest) -> Iterator[Problem]:
    """A module's image has no tag, or a tag that moves, such as `latest`.

    Two devices with the same manifest may run different code, and a rollback cannot bring the old image back.
    Nor is a new image pulled: edgeAgent sees no change while the reference stays the same.

    Pin a version tag or a digest.
    """
    for module in manifest.modules():
        image = module.open_image
        if image is not None and (image.floating or ("latest" in image.tag.lower() and re.search(_LATEST, image.tag))):
            seen = f"image {image.text!r} of module {module.name!r}"
            part = image.tag or image.text.rpartition("/")[2]
            what = f"has the tag {image.tag!r}" if image.tag else "has no tag and means 'latest'"
            yield Problem(
                module.at_setting("image"),
                f"{seen} {what}",
                f"pin a version tag or a digest, for example '{image.repository}:1.4.2'",
                start=(module.image_text or "").rfind(part),
                length=len(part),
                part=True,
            )
