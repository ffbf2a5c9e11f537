"""Writes the page about a rollout, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from manifestgen.cli._console import Console
from manifestgen.errors import ManifestgenError

if TYPE_CHECKING:
    from manifestgen.report.rollout_record import Recorder, Story


@contextmanager
def reported(
    path: Path | None, recorder: Recorder, story: Callable[[ManifestgenError | None], Story], console: Console
) -> Iterator[None]:
    """Write the page when the block ends; after a failure, only if anything was done or read.

    Args:
        path: the page; None for none.
        story: the content, given the error that ended the block.
    """
    try:
        yield
    except ManifestgenError as error:
        if path is not None and recorder.began:
            try:
                _write(path, story(error), console)
            except ManifestgenError as other:
                console.warn(f"the report was not written: {other}")
        raise
    if path is not None:
        _write(path, story(None), console)


def _write(path: Path, story: Story, console: Console) -> None:
    from manifestgen.files import write_atomic
    from manifestgen.report.rollout_page import rollout_page

    write_atomic(path, rollout_page(story))
    console.progress(f"wrote {path}")
