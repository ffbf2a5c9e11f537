"""Limits of IoT Hub for twins."""

from collections.abc import Iterator
from typing import Any

from manifestgen.manifest import twin
from manifestgen.manifest.document import Document
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import escape
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.HUB,
    bad='{"temperature.max": 30}',
    good='{"temperatureMax": 30}',
)
def twin_limits(document: Document) -> Iterator[Problem]:
    """The desired properties exceed a limit of IoT Hub.

    All desired properties of a twin count at most 32,768 bytes, one string 4,096 bytes, a key 1,024; objects
    nest at most ten levels; integers have 53 bits; keys have no dots, dollar signs, spaces or control
    characters. IoT Hub rejects the manifest for a single violation.

    Shorten, split or rename what the message names.
    """
    manifest = document.manifest
    if manifest is None:
        return
    shape = document.shape or twin.shape(document.data)
    if document.counts_at_most(twin.MAX_DESIRED_BYTES) and not shape.suspicious:
        return
    # Tools that know this key turn createOptions into a text, to which only its length matters.
    template = isinstance(document.data, dict) and "$schema-template" in document.data
    options = tuple(_options(manifest)) if template else ()
    for name, section in manifest.sections().items():
        for path, part in section.pieces:
            if not path and not isinstance(part.value, dict):
                continue
            # A layer's key is a path, so its value is that deep in the twin.
            desired: Any = part.value
            for step in reversed(path):
                desired = {step: desired}
            prefix = "".join(f"/{escape(step)}" for step in path)
            if not shape.suspicious and twin.counts_at_most(desired, twin.MAX_DESIRED_BYTES, numbers=shape.numbers):
                continue
            for violation in twin.violations(desired, only_size=not shape.suspicious):
                inside = violation.pointer.startswith(prefix) and len(violation.pointer) > len(prefix)
                what = violation.message if violation.pointer else f"{violation.message} ({name!r})"
                place = part.pointer + violation.pointer[len(prefix) :] if inside else part.pointer
                if options and place.startswith(options):
                    continue
                yield Problem(
                    place,
                    what,
                    violation.fix,
                    at_key=violation.at_key,
                )
            if "" in path:
                yield Problem(part.pointer, "a path has an empty step", "name every step", at_key=True)


def _options(manifest: Manifest) -> Iterator[str]:
    for module in manifest.modules():
        key = module.setting_key("createOptions")
        if key is not None and isinstance(module.settings[key], dict):
            yield module.at_setting("createOptions") + "/"
