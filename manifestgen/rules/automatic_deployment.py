"""Automatic deployments and single devices."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import INT32, integer
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.NOTE,
    bad="manifestgen apply deployment.json --device edge-01",
    good="manifestgen apply deployment.json --deployment lab",
)
def automatic_deployment(manifest: Manifest) -> Iterator[Problem]:
    """The file is an automatic deployment.

    If you set it on a single device, an automatic deployment that targets the device overwrites its modules. A
    layer needs a higher priority than the deployments below it.

    Apply it as a deployment, or make sure that no deployment targets the device.
    """
    data = manifest.data
    if not isinstance(data, dict) or not manifest.base.startswith("/content"):
        return
    if data.get("targetCondition"):
        yield Problem(
            "/targetCondition",
            "this is an automatic deployment with a target condition",
            "apply it as a deployment; a deployment that targets the device would overwrite it",
        )
    priority = data.get("priority")
    if manifest.layered and priority is not None and (integer(priority, *INT32) or 0) <= 0:
        yield Problem(
            "/priority", f"a layer of priority {priority!r} is not above any base deployment", "raise its priority"
        )
