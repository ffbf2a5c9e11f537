"""How long messages are kept."""

from collections.abc import Iterator

from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import INT32, integer
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, rule


@rule(
    Effect.RISK,
    bad='"timeToLiveSecs": 0',
    good='"timeToLiveSecs": 7200',
)
def store_time(manifest: Manifest) -> Iterator[Problem]:
    """Messages are not kept at all, or are kept forever.

    With `timeToLiveSecs` 0, or without it, messages expire at once, so nothing survives a lost connection. With
    a negative number they never expire, and the disk fills while the device is offline.

    Write how many seconds messages may wait for a connection; 7200 is usual.
    """
    store = manifest.hub.find("storeAndForwardConfiguration")
    if store is None or not isinstance(store.value, dict):
        return
    time = child(store, "timeToLiveSecs")
    if time is None:
        yield Problem(store.pointer, "'timeToLiveSecs' is missing: messages expire at once", "add it, for example 7200")
        return
    seconds = integer(time.value, *INT32)
    if seconds == 0:
        yield Problem(time.pointer, "messages expire at once", "write how many seconds they may wait, for example 7200")
    elif seconds is not None and seconds < 0:
        yield Problem(
            time.pointer, "messages never expire, and the disk may fill", "write how many seconds they may wait"
        )
