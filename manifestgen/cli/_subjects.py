"""The manifests that `view` and `diff` name on their command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from manifestgen.cli._console import Console
from manifestgen.cli._hub import hub_here
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.cloud import Hub
    from manifestgen.view.subject import Subject

#: For the end of a help text.
SUBJECTS: Final = (
    "\n\n\b\nOLD, NEW and FILE are manifests, '-' for stdin, projects, or one of:\n"
    "  device:ID        what a device has now\n"
    "  deployment:NAME  an automatic deployment, as devices follow it now\n"
    "  history:ID@N     a snapshot of a device; see 'manifestgen history'"
)


def open_subjects(names: Sequence[str], host: str | None, console: Console) -> list[Subject]:
    """Open the subjects that the names stand for; connects to the hub only if one needs it.

    Raises:
        InputError: two of them are stdin; or see `open_subject`.
        CloudError: see `open_subject`.
    """
    from manifestgen.manifest_source import open_subject

    if names.count("-") > 1:
        raise InputError("stdin can only be one of the two", fix="write one of them to a file")
    connected: list[Hub] = []

    def connect() -> Hub:
        if not connected:
            console.connected()
            connected.append(hub_here(host))
        return connected[0]

    return [open_subject(name, connect) for name in names]
