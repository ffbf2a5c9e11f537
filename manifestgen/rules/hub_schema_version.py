"""The schema version of `$edgeHub`."""

import re
from collections.abc import Iterator

from manifestgen.manifest import schema_version
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.pointer import join
from manifestgen.manifest.reading import as_text
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.EDGE_HUB,
    status=400,
    layers=False,
    bad='"schemaVersion": "1.5"',
    good='"schemaVersion": "1.1"',
)
def hub_schema_version(manifest: Manifest) -> Iterator[Problem]:
    """`edgeHub` rejects the schema version.

    It accepts 1.0 to 1.3, whatever follows the second number, and looks for the key `schemaVersion` in exactly
    this case. Without a version it knows, it ignores the whole section.

    Write `"schemaVersion": "1.1"`.
    """
    whole = manifest.hub.whole
    if whole is None or not isinstance(whole.value, dict):
        return
    if "schemaVersion" not in whole.value:
        other = child(whole, "schemaVersion")
        if other is not None:
            yield Problem(
                other.pointer,
                f"edgeHub ignores {other.name!r}",
                "write it as 'schemaVersion'",
                at_key=True,
            )
        else:
            yield Problem(whole.pointer, "'schemaVersion' of '$edgeHub' is missing", 'add \'"schemaVersion": "1.1"\'')
        return
    value = whole.value["schemaVersion"]
    pointer = join(whole.pointer, "schemaVersion")
    text = as_text(value)
    if isinstance(value, float) and value.is_integer():
        text = str(int(value))
    if text is None or schema_version.hub_minor(text) is None:
        note = "; that is a version of the runtime" if isinstance(text, str) and re.fullmatch(r"1\.[4-9]", text) else ""
        seen = repr(text) if text is not None else "null" if value is None else "this value"
        yield Problem(pointer, f"edgeHub rejects schema version {seen}: it accepts 1.0 to 1.3{note}", "write '1.1'")
