"""`manifestgen plan`: what would change on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import hub_option, options_with_outputs, usage_of
from manifestgen.cli._target import device_of, device_option
from manifestgen.errors import InputError
from manifestgen.services import open_hub

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manifestgen.device.plan import Plan
    from manifestgen.images.downloads import Download


@click.command(
    epilog=usage_of(
        "manifestgen plan deployment.json",
        "manifestgen plan deployment.json --device edge-01",
        "manifestgen plan deployment.json --device edge-01 --out edge-01.plan && manifestgen apply edge-01.plan",
        "manifestgen plan deployment.json --device edge-01 --exit-code --output json",
        "manifestgen plan deployment.json --device edge-01 --output markdown >> comment.md",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@device_option("device_id")
@click.option("--merge", is_flag=True, help="Keep what the file does not name: modules, twins, routes, credentials.")
@click.option(
    "--out", metavar="PLAN", type=click.Path(path_type=Path), help="Save the plan, for 'manifestgen apply PLAN'."
)
@click.option("--exit-code", is_flag=True, help="Exit code 1 if something would change.")
@click.option(
    "--locked", is_flag=True, help="Exit code 1 if the lock file does not fit, or FILE does not have its image."
)
@click.option("--force", is_flag=True, help="Continue even if 'check' finds errors.")
@click.option("--show-env", is_flag=True, help="Show the values of variables that do not seem to be secrets.")
@hub_option
@options_with_outputs("text", "json", "markdown")
def command(
    file: Path,
    device_id: str | None,
    merge: bool,
    out: Path | None,
    exit_code: bool,
    locked: bool,
    force: bool,
    show_env: bool,
    hub: str | None,
    console: Console,
) -> int:
    """Show what setting the modules of FILE would change on a device. Changes nothing.

    Of each new image, the size is shown that the device must download: the compressed layers that
    the image it has does not have.

    A saved plan holds hashes but no secrets. Applying it does exactly what was shown, or nothing if
    the file or the device has changed since.
    """
    from manifestgen.cli._device import show
    from manifestgen.cli._manifest import check_lock, load_manifest
    from manifestgen.device.apply import propose
    from manifestgen.device.plan import with_env
    from manifestgen.device.saved_plan import save
    from manifestgen.files import in_a_shell, is_special, refuse_input_as_output, refuse_unwritable
    from manifestgen.project.beside import project_of
    from manifestgen.report import changes
    from manifestgen.report import downloads as report

    if out is not None and (str(file) == "-" or is_special(file)):
        name = "stdin" if str(file) == "-" else "a pipe"
        raise InputError(f"a plan of {name} cannot be saved", fix="write the manifest to a file, and plan that")
    if out is not None:
        refuse_input_as_output(out, [file], "--out")
        refuse_unwritable(out)
    project = project_of(file)
    device = device_of(device_id, project, console)
    manifest = load_manifest(file, console, force=force)
    check_lock(file, manifest, console, locked=locked)
    planned = propose(open_hub(hub, project), manifest, device, merge=merge)
    data = changes.data(planned)
    if out is not None:
        save(planned, file, out, data["changes"], merge=merge)
    if show_env:
        # Not before the plan is saved: the file is for others, too.
        planned = with_env(planned)
        data = changes.data(planned)
    console.verdict = 1 if exit_code and planned.changes else 0
    show(planned, console)
    pulled = _downloads(planned)
    if console.output == "markdown":
        console.disclose(changes.markdown(planned))
    for line in report.lines(pulled):
        console.result(line)
    if out is not None:
        console.result(f"saved; apply it with: manifestgen apply {in_a_shell(out)}")
    console.document({**data, "downloads": report.data(pulled)})
    return console.verdict


def _downloads(plan: Plan) -> Sequence[Download]:
    """The device's downloads; empty if its platform is unknown."""
    from manifestgen.images.downloads import downloads
    from manifestgen.services import open_distribution

    if plan.platform is None or not plan.changes:
        return ()
    with open_distribution(hurried=True) as distribution:
        return downloads(plan.before, plan.manifest, distribution, plan.platform)
