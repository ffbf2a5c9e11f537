"""Images that no device pulls."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import IMAGE_PULL_POLICY, enum_member
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    alone=True,
    bad='"imagePullPolicy": "never"',
    good='"imagePullPolicy": "on-create"',
)
def never_pulled(manifest: Manifest) -> Iterator[Problem]:
    """A module's image is never pulled.

    With `imagePullPolicy` `never` the image must already be on the device; otherwise the module cannot be
    created.

    Load the image on every device first, or write `on-create`.
    """
    for module in manifest.modules():
        policy = module.get("imagePullPolicy")
        if policy is not None and enum_member(policy, IMAGE_PULL_POLICY) == "never":
            yield Problem(
                module.at("imagePullPolicy"),
                f"the image of module {module.name!r} is never pulled",
                "load the image on every device, or write 'on-create'",
            )
