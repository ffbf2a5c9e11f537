"""The sections of `$edgeHub`."""

from collections.abc import Iterator

from manifestgen.manifest import schema_version
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import join
from manifestgen.manifest.reading import INT32, INT64, as_text, integer, is_null
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.EDGE_HUB,
    status=400,
    bad='"storeAndForwardConfiguration": {"timeToLiveSecs": "2h"}',
    good='"storeAndForwardConfiguration": {"timeToLiveSecs": 7200}',
)
def hub_shape(manifest: Manifest) -> Iterator[Problem]:
    """A section of `$edgeHub` is missing or has the wrong type.

    From schema version 1.1 on, `routes` and `storeAndForwardConfiguration` are required, although either may be
    empty and other tools do not require the second. `timeToLiveSecs` is a 32-bit integer.

    Add `"routes": {}` and `"storeAndForwardConfiguration": {"timeToLiveSecs": 7200}`.
    """
    whole = manifest.hub.whole
    version = None
    if whole is not None and isinstance(whole.value, dict):
        text = as_text(whole.value.get("schemaVersion"))
        version = schema_version.hub_minor(text) if text is not None else None
        if version:
            for name, fix in (
                ("routes", "add '\"routes\": {}'"),
                ("storeAndForwardConfiguration", 'add \'"storeAndForwardConfiguration": {"timeToLiveSecs": 7200}\''),
            ):
                part = child(whole, name)
                if part is None or is_null(part.value):
                    yield Problem(
                        whole.pointer,
                        f"{name!r} of '$edgeHub' is missing, which schema version 1.{version} requires",
                        fix,
                        needs=(join(whole.pointer, "schemaVersion"),),
                    )
    routes = manifest.hub.find("routes")
    if routes is not None and not is_null(routes.value) and not isinstance(routes.value, dict):
        yield Problem(routes.pointer, "'routes' is not an object", 'write {"NAME": "FROM … INTO …"}')
    store = manifest.hub.find("storeAndForwardConfiguration")
    if store is None or is_null(store.value):
        return
    if not isinstance(store.value, dict):
        yield Problem(
            store.pointer, "'storeAndForwardConfiguration' is not an object", 'write {"timeToLiveSecs": 7200}'
        )
        return
    time = child(store, "timeToLiveSecs")
    if time is not None and integer(time.value, *INT32) is None:
        yield Problem(
            time.pointer,
            "'timeToLiveSecs' is not a 32-bit integer",
            "write a number of seconds, for example 7200",
        )
    limits = child(store, "storeLimits")
    if limits is not None and not is_null(limits.value):
        size = child(limits, "maxSizeBytes")
        if not isinstance(limits.value, dict):
            yield Problem(limits.pointer, "'storeLimits' is not an object", 'write {"maxSizeBytes": …}')
        elif size is not None and integer(size.value, *INT64) is None:
            yield Problem(size.pointer, "'maxSizeBytes' is not an integer", "write a number of bytes")
