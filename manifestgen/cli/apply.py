"""`manifestgen apply`: set the modules of a device, of an automatic deployment, or of each of many devices."""

from __future__ import annotations

from manifestgen.cli import _deployment, _device, _rows
from manifestgen.cli._by_target import ByTarget

command = ByTarget(_device.apply, {"--deployment": _deployment.apply, "--devices": _rows.apply})
