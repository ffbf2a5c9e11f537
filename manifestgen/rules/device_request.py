"""GPUs asked for in the wrong shape."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, option, rule


@rule(
    Effect.DEAD,
    alone=True,
    bad='"Capabilities": ["gpu"]',
    good='"Capabilities": [["gpu"]]',
)
def device_request(manifest: Manifest) -> Iterator[Problem]:
    """`DeviceRequests` in createOptions have capabilities that are not a list of lists.

    Docker expects `"Capabilities": [["gpu"]]`: alternatives, each a list. With `["gpu"]` it refuses to create
    the container, and edgeAgent reports 500.

    Write `[["gpu"]]`.
    """
    for module, options in manifest.options:
        requests = options.get("HostConfig", "DeviceRequests")
        for index, request in enumerate(requests if isinstance(requests, list) else ()):
            capabilities = request.get("Capabilities") if isinstance(request, dict) else None
            if capabilities is None:
                continue
            if not isinstance(capabilities, list) or not all(isinstance(item, list) for item in capabilities):
                yield Problem(
                    module.at_setting("createOptions"),
                    f"'Capabilities' of a device request of module {module.name!r} must be a list of lists",
                    'write [["gpu"]]',
                    needs=(option(module, "HostConfig", "DeviceRequests", index, "Capabilities"),),
                )
