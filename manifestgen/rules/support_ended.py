"""Versions of the runtime that are out of support."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from manifestgen.manifest.manifest import Manifest
from manifestgen.rules._rule import Effect, Problem, rule

#: End of support by minor version, as Microsoft's "Azure IoT Edge versions and release notes" gives it. Of versions
#: without long-term support it gives the month in which the next one was released.
SUPPORT_ENDS: Final = {
    (1, 0): date(2021, 2, 28),
    (1, 1): date(2022, 12, 13),
    (1, 2): date(2022, 6, 30),
    (1, 3): date(2022, 8, 31),
    (1, 4): date(2024, 11, 12),
    (1, 5): date(2026, 11, 10),
    (1, 6): date(2028, 11, 14),
}
_ONLY_MONTH: Final = frozenset({(1, 0), (1, 2), (1, 3)})
_SOON: Final = timedelta(days=90)
_TAG: Final = r"v?(\d+)\.(\d+)"


@rule(
    Effect.RISK,
    bad='"image": "mcr.microsoft.com/azureiotedge-hub:1.4"',
    good='"image": "mcr.microsoft.com/azureiotedge-hub:1.6"',
)
def support_ended(manifest: Manifest, as_of: date) -> Iterator[Problem]:
    """The runtime's version is out of support, or will be within 90 days.

    Microsoft stops security fixes for a version on a published date: 1.4 on 2024-11-12, 1.5 on 2026-11-10, 1.6
    on 2028-11-14 ("Azure IoT Edge versions and release notes" on learn.microsoft.com, and the release notes of 1.6.0).
    Dates are compared with `--as-of`, not with the clock.

    Move agent, hub and daemon to a supported long-term version; today that is 1.6.
    """
    for module in manifest.modules():
        image = module.open_image if module.system else None
        if image is None or "azureiotedge-" not in image.repository:
            continue
        match = re.match(_TAG, image.tag)
        end = SUPPORT_ENDS.get((int(match[1]), int(match[2]))) if match and len(match[0]) < 10 else None
        if match is None or end is None or as_of + _SOON < end:
            continue
        start = (module.image_text or "").rfind(image.text.rpartition("/")[2])
        part = image.text.rpartition("/")[2]
        word = "ended" if end < as_of else "ends"
        when = f"in {end:%Y-%m}" if (int(match[1]), int(match[2])) in _ONLY_MONTH else f"on {end.isoformat()}"
        yield Problem(
            module.pointer.rpartition("/")[0],
            f"support of IoT Edge {match[1]}.{match[2]} {word} {when}",
            "move agent, hub and daemon to 1.6",
            at_key=True,
            needs=((module.at_setting("image"), start, start + len(part)),),
            subject=module.name,
        )
