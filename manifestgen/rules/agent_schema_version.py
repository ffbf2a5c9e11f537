"""The schema version of `$edgeAgent`."""

import re
from collections.abc import Iterator

from manifestgen.manifest import schema_version
from manifestgen.manifest.manifest import Manifest
from manifestgen.manifest.reading import as_text, is_blank
from manifestgen.manifest.section import child
from manifestgen.rules._rule import Effect, Problem, Side, rule


@rule(
    Effect.REFUSED,
    side=Side.AGENT,
    status=412,
    layers=False,
    bad='"schemaVersion": "1.5"',
    good='"schemaVersion": "1.1"',
)
def agent_schema_version(manifest: Manifest) -> Iterator[Problem]:
    """`edgeAgent` rejects the schema version.

    It accepts major version 1 up to 1.1.0, written with at least one dot, and reports 412 for anything else.
    The runtime's own versions (1.4, 1.5, 1.6) are not schema versions, and `$edgeHub`'s 1.2 and 1.3 are not
    valid here.

    Write `"schemaVersion": "1.1"`.
    """
    whole = manifest.agent.whole
    if whole is None or not isinstance(whole.value, dict) or not whole.value:
        return
    found = child(whole, "schemaVersion")
    text = None if found is None else as_text(found.value)
    # Without a text there, the whole is of the wrong shape: agent-shape says so.
    if found is not None and text is not None and (is_blank(text) or not schema_version.agent_accepts(text)):
        note = "; that is a version of the runtime" if re.fullmatch(r"1\.[2-9]", text) else ""
        yield Problem(
            found.pointer, f"edgeAgent rejects schema version {text!r}: it accepts 1.0 and 1.1{note}", "write '1.1'"
        )
