"""Errors for missing optional packages, which say how to install them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from manifestgen.errors import InputError


@contextmanager
def needs_extra(extra: str, what: str, *packages: str) -> Iterator[None]:
    """Import an optional part within the block.

    Args:
        extra: that has its packages, as in `pip install 'manifestgen[EXTRA]'`.
        what: the subject of the error.
        packages: top-level packages of the extra.

    Raises:
        InputError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in packages:
            raise
        raise InputError(f"{what} is not installed", fix=f"run: pip install 'manifestgen[{extra}]'") from error
