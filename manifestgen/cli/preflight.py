"""`manifestgen preflight`: asks the registries for a manifest's images, as the device will."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.cloud.distribution import Platform


@click.command(
    epilog=usage_of(
        "manifestgen preflight deployment.json",
        "manifestgen preflight deployment.json --device edge-01",
        "manifestgen preflight deployment.json --platform linux/arm64 --output json",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--device", "device_id", metavar="ID", help="Compare with the platform that this device reports.")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Compare with this platform, such as linux/arm64.")
@hub_option
@common_options
def command(file: Path, device_id: str | None, platform: str | None, hub: str | None, console: Console) -> int:
    """Ask the registries for each image of FILE, with the registry credentials that are in it.

    As the device's engine would: logs in to each registry once, reads each image's manifest, pulls
    nothing. Says what was found, or exactly what is wrong. Exit code 1 if a pull would fail.
    """
    from manifestgen.cli._manifest import load_file
    from manifestgen.gate import require_manifest
    from manifestgen.images.preflight import State, preflight
    from manifestgen.report import preflight as report
    from manifestgen.services import open_distribution

    if device_id is not None and platform is not None:
        what = "--device and --platform exclude each other"
        raise InputError(what, fix="drop one of the two: a device tells its own platform")
    manifest = require_manifest(load_file(file).document, layered=True)
    wanted = _platform(device_id, platform, hub)
    with open_distribution() as distribution:
        pulls = preflight(manifest, distribution, wanted)
    console.result(report.text(pulls))
    console.document(report.data(pulls, wanted))
    return 1 if any(pull.state is State.FAILED for pull in pulls) else 0


def _platform(device_id: str | None, platform: str | None, hub: str | None) -> Platform | None:
    from manifestgen.cloud.distribution import Platform
    from manifestgen.images.preflight import platform_of
    from manifestgen.services import open_hub, project_here

    if platform is not None:
        return Platform.parse(platform)
    return platform_of(open_hub(hub, project_here()), device_id) if device_id is not None else None
