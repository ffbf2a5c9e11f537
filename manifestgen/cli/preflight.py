"""`manifestgen preflight`: checks that a device can pull a manifest's images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._completing import devices
from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.cloud.distribution import Platform
    from manifestgen.manifest.manifest import Manifest


@click.command(
    epilog=usage_of(
        "manifestgen preflight deployment.json",
        "manifestgen preflight deployment.json --device edge-01",
        "manifestgen preflight deployment.json --platform linux/arm64 --output json",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--device",
    "device_id",
    metavar="ID",
    shell_complete=devices,
    help="Check for the platform that this device reports.",
)
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Check for this platform, such as linux/arm64.")
@hub_option
@common_options
def command(file: Path, device_id: str | None, platform: str | None, hub: str | None, console: Console) -> int:
    """Check that a device can pull each image of FILE with the registry credentials in FILE.

    Logs in to each registry and reads each image's manifest, as the device's container engine would,
    but pulls nothing. Exit code 1 if a pull would fail. With --device, also shows how much of each
    new image that device must download: the layers that the image it has does not have.
    """
    from manifestgen.cli._manifest import load_file
    from manifestgen.gate import require_manifest
    from manifestgen.images.downloads import downloads
    from manifestgen.images.preflight import State, preflight
    from manifestgen.report import downloads as download_report
    from manifestgen.report import preflight as report
    from manifestgen.services import open_distribution

    if device_id is not None and platform is not None:
        what = "--device and --platform cannot be used together"
        raise InputError(what, fix="drop one of the two: a device reports its own platform")
    manifest = require_manifest(load_file(file).document, layered=True)
    wanted, before = _device(device_id, platform, hub)
    with open_distribution() as distribution:
        pulls = preflight(manifest, distribution, wanted)
        pulled = downloads(before, manifest, distribution, wanted) if before is not None and wanted is not None else ()
    for line in download_report.lines([one for one in pulled if one.size is not None]):
        console.result(line)
    console.result(report.text(pulls))
    console.document({**report.data(pulls, wanted), "downloads": download_report.data(pulled)})
    return 1 if any(pull.state is State.FAILED for pull in pulls) else 0


def _device(device_id: str | None, platform: str | None, hub: str | None) -> tuple[Platform | None, Manifest | None]:
    """The platform to check for; and what the device has now, if one is named."""
    from manifestgen.cloud.distribution import Platform
    from manifestgen.images.preflight import device_of
    from manifestgen.services import open_hub, project_here

    if platform is not None:
        return Platform.parse(platform), None
    return device_of(open_hub(hub, project_here()), device_id) if device_id is not None else (None, None)
