"""A running sandbox as its admin API sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from manifestgen.sandbox.faults import Faults
from manifestgen.sandbox.traffic import Traffic
from manifestgen.sandbox.world import World


class Sandbox(Protocol):
    """The Protocol that the admin API shows and controls; `server.Sandbox` implements it."""

    admin_token: str
    faults: Faults
    folder: Path
    stopping: asyncio.Event
    traffic: Traffic
    world: World

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that point a client at this sandbox."""
        ...

    @property
    def ports(self) -> Mapping[str, int]:
        """The served host names, or patterns of host names, each with its loopback TLS port."""
        ...
