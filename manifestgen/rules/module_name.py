"""Names of modules."""

import re
from collections.abc import Iterator
from typing import Final

from manifestgen.manifest import twin
from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

_CONTAINER: Final = r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z"
_LONGEST: Final = 128


@rule(
    Effect.DEAD,
    alone=True,
    bad='"modules": {"scorer/eu": {…}}',
    good='"modules": {"scorer-eu": {…}}',
)
def module_name(manifest: Manifest) -> Iterator[Problem]:
    """A module's name is not valid for a container or a module identity.

    The name becomes the id of a module identity in IoT Hub (at most 128 characters) and the name of a container
    (a letter or digit, then letters, digits, `_`, `.` and `-`). With any other name the module is never
    created.

    Use letters, digits, `-` and `_`, beginning with a letter.
    """
    for module in manifest.modules():
        name = module.name
        if len(name) > _LONGEST:
            message = f"the name of module {name[:40] + '…'!r} has {len(name)} characters, more than {_LONGEST}"
        # The rule twin-limits reports what IoT Hub rejects in a twin's key.
        elif re.match(_CONTAINER, name) is None and re.search(twin.FORBIDDEN_IN_KEY, name) is None:
            message = f"{name!r} is not a valid container name"
        else:
            continue
        yield Problem(module.pointer, message, "use letters, digits, '-' and '_', beginning with a letter", at_key=True)
