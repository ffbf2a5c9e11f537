"""Mistakes of a solution itself: an import carries them over, and the project would only stop at them later."""

from __future__ import annotations

from typing import Final

from manifestgen.check import Severity, Side, check
from manifestgen.importing.item import Notes
from manifestgen.manifest.document import of_manifest
from manifestgen.manifest.manifest import Manifest
from manifestgen.solution.json_file import JsonFile

# The project writes these from its own logins.
_WRITTEN_ANEW: Final = "/registryCredentials"


def note_faults(manifest: Manifest, template: JsonFile, notes: Notes) -> None:
    """Note the errors that `check` finds in the manifest of a solution.

    Args:
        manifest: what the tool makes of it; placeholders without a value may be in it.
        template: the solution's, for the places.
        notes: get a line for each.
    """
    for finding in check(of_manifest(manifest)):
        if finding.severity is Severity.ERROR and _WRITTEN_ANEW not in finding.pointer:
            who = "IoT Hub" if finding.side is Side.HUB else "the device"
            why = f"{who} would reject it, so 'manifestgen render' stops at it [{finding.rule}]"
            notes.fault(finding.message, why, finding.fix, template.where(finding.pointer, key=True))
