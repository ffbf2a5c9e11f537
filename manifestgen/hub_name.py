"""The host names of an IoT hub, and which of them are the same hub.

A hub has up to three names: the classic `NAME.azure-devices.net` for everyone,
`NAME.service.azure-devices.net` for back ends such as manifestgen, and `NAME.device.azure-devices.net` for devices.
"""

from __future__ import annotations

import re
from typing import Final

# The suffixes of the public cloud and of the sovereign ones.
_NAMES: Final = re.compile(
    r"(?P<name>[^.:]+)\.(?P<part>service|device)(?P<suffix>\.azure-devices\.(?:net|us|cn|de))(?P<port>:\d+)?",
    re.IGNORECASE,
)


def hub_identity(host: str) -> str:
    """The canonical name of a hub, for any of its names: the classic one, which devices can use, too.

    A host that does not look like one of the three, such as `localhost:8443`, is its own identity.
    """
    match = _NAMES.fullmatch(host)
    return host if match is None else f"{match['name']}{match['suffix']}{match['port'] or ''}"


def is_device_name(host: str) -> bool:
    """Whether this is the name for devices only, under which the service API does not answer."""
    match = _NAMES.fullmatch(host)
    return match is not None and match["part"].lower() == "device"
