"""When a module's image is pulled."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import IMAGE_PULL_POLICY, enum_member
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=400,
    alone=True,
    bad='"imagePullPolicy": "always"',
    good='"imagePullPolicy": "on-create"',
)
def image_pull_policy(manifest: Manifest) -> Iterator[Problem]:
    """A module's `imagePullPolicy` is not valid.

    The runtime accepts `on-create` and `never`. `always` and `IfNotPresent` are Kubernetes policies and make it
    reject the whole manifest.

    Write `on-create`, or leave it out.
    """
    for module in manifest.modules():
        if not module.has("imagePullPolicy"):
            continue
        policy = module.get("imagePullPolicy")
        if policy != "on-create" and enum_member(policy, IMAGE_PULL_POLICY) is None:
            seen = "null" if policy is None else repr(policy)
            yield Problem(
                module.at("imagePullPolicy"),
                f"module {module.name!r} has an invalid image pull policy, {seen}",
                "write 'on-create' or 'never'; to pull a changed image, give it a new tag",
            )
