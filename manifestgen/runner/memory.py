"""What the garbage collector looks at."""

from __future__ import annotations

import gc


def settle() -> None:
    """Take what the scorer has loaded out of the collector's sight.

    A full collection would go through all of the model's objects, and is put off until a quarter as many have come
    and gone since: a pause, and memory, that grow with the model. To be called again after a reload, when nothing
    refers to the former scorer any more.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
