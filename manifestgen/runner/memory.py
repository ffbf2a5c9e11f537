"""Keeps the garbage collector from scanning the model."""

from __future__ import annotations

import gc


def settle() -> None:
    """Exclude everything the scorer has loaded from garbage collection.

    Otherwise a full collection scans all of the model's objects, and runs only after a quarter as many new ones exist:
    its pause and the garbage both grow with the model. Call it again after a reload, when nothing refers to the old
    scorer.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
