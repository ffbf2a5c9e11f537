"""Images that edgeAgent refuses."""

from collections.abc import Iterator

from manifestgen.errors import InputError
from manifestgen.manifest.image import ImageReference
from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    bad='"image": "acme.azurecr.io/scorer:1.4.2@sha256:…"',
    good='"image": "acme.azurecr.io/scorer@sha256:…"',
)
def image_format(manifest: Manifest) -> Iterator[Problem]:
    """A module's image is missing or has a form that edgeAgent rejects.

    It accepts `REPOSITORY`, `REPOSITORY:TAG` and `REPOSITORY@sha256:DIGEST`, but not a tag and a digest
    together, and nothing that begins with `$` except `$upstream:PORT/…`: a variable that was not replaced makes
    it reject the whole manifest.

    Write the image with its registry and a tag, for example `acme.azurecr.io/scorer:1.4.2`.
    """
    for module in manifest.modules():
        if module.image is not None or not isinstance(module.get("settings"), dict):
            continue
        text = module.image_text
        place = module.at_setting("image")
        if text is None:
            key = module.setting_key("image")
            if key is not None and module.settings[key] is not None:
                yield Problem(
                    place, f"the image of module {module.name!r} is not a string", "write the image as a string"
                )
            else:
                yield Problem(place, f"module {module.name!r} has no image", 'add \'"image": "…"\' to its settings')
            continue
        try:
            ImageReference.parse(text)
        except InputError as error:
            yield Problem(place, f"{error.what} (module {module.name!r})", error.fix)
