"""`manifestgen preflight`: checks that a device can pull a manifest's images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._target import device_of, device_option
from manifestgen.errors import CloudError, InputError

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
@device_option("device_id", "Check for the platform that this device reports.")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Check for this platform, such as linux/arm64.")
@hub_option
@common_options
def command(file: Path, device_id: str | None, platform: str | None, hub: str | None, console: Console) -> int:
    """Check that a device can pull each image of FILE with the registry credentials in FILE.

    Logs in to each registry and reads each image's manifest, as the device's container engine would,
    but pulls nothing. Exit code 1 if a pull would fail. For a device, also shows how much of each
    new image it must download: the layers that the image it has does not have.
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
    wanted, before = _device(file, device_id, platform, hub, console)
    with open_distribution() as distribution:
        pulls = preflight(manifest, distribution, wanted)
        pulled = downloads(before, manifest, distribution, wanted) if before is not None and wanted is not None else ()
    console.verdict = 1 if any(pull.state is State.FAILED for pull in pulls) else 0
    for line in download_report.lines([one for one in pulled if one.size is not None]):
        console.result(line)
    console.result(report.text(pulls))
    console.document({**report.data(pulls, wanted), "downloads": download_report.data(pulled)})
    return console.verdict


def _device(
    file: Path, device_id: str | None, platform: str | None, hub: str | None, console: Console
) -> tuple[Platform | None, Manifest | None]:
    """The platform to check for; and what the device has now, if one is named, or is the project's.

    Without the project's device, the images can still be checked: no hub, or none that answers, is not an error.
    """
    from manifestgen.cloud.distribution import Platform
    from manifestgen.images.preflight import device_of as platform_of
    from manifestgen.project.beside import project_of
    from manifestgen.services import CONNECTION_STRING, open_hub

    if platform is not None:
        return Platform.parse(platform), None
    project = project_of(file)
    if device_id is not None:
        return platform_of(open_hub(hub, project), device_id)
    known = hub is not None or os.environ.get(CONNECTION_STRING) or (project is not None and project.hub is not None)
    if project is None or project.device is None or not known:
        return None, None
    service = open_hub(hub, project)
    try:
        return platform_of(service, device_of(None, project, console))
    except CloudError as error:
        console.warn(f"platforms are not compared: {error}")
        return None, None
