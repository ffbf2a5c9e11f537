"""What IoT Hub does not take in a twin."""

from collections.abc import Iterator

from manifestgen.manifest import twin
from manifestgen.manifest.document import Document
from manifestgen.manifest.manifest import DESIRED
from manifestgen.manifest.pointer import escape
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(Effect.REFUSED, side=Side.HUB)
def twin_limits(document: Document) -> Iterator[Problem]:
    """The desired properties break a limit of IoT Hub.

    All desired properties of one twin count at most 32,768 bytes, one text 4,096 bytes, a key 1,024; objects
    nest ten deep; integers have 53 bits; keys have no dots, dollar signs, blanks or control characters. One
    breach refuses the manifest.

    Shorten, split or rename what the message names.
    """
    manifest = document.manifest
    if manifest is None:
        return
    shape = document.shape or twin.shape(document.data)
    # Numbers count eight bytes however short they are written; all else counts no more than its text has.
    small = len(document.text) + 8 * shape.numbers <= twin.MAX_DESIRED_BYTES and document.text.isascii()
    if small and not shape.suspicious:
        return
    for name, section in manifest.sections().items():
        for path, part in section.pieces:
            if not path and not isinstance(part.value, dict):
                continue
            for violation in twin.violations(part.value):
                pointer = part.pointer + violation.pointer
                if path and not violation.pointer and isinstance(part.value, str):
                    pointer = part.pointer
                what = violation.message if violation.pointer else f"{violation.message} ({name!r})"
                yield Problem(pointer, what, violation.fix, at_key=violation.at_key)
        for key in manifest.entries[name] if isinstance(manifest.entries[name], dict) else ():
            if key.startswith(DESIRED + "."):
                for step in key[len(DESIRED) + 1 :].split("."):
                    if not step or "$" in step or " " in step:
                        yield Problem(
                            f"{manifest.base}/{escape(name)}/{escape(key)}",
                            f"{step!r} in the path {key!r} is no key that IoT Hub takes",
                            "use letters, digits, '-' and '_' in keys",
                            at_key=True,
                        )
