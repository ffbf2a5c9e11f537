"""`manifestgen deploy`: from a model to a running module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.cli._number import FiniteRange

if TYPE_CHECKING:
    from manifestgen.images.preflight import Pull


@click.command(
    epilog=usage_of(
        "manifestgen deploy samples/anomaly-detection",
        "manifestgen deploy --device edge-02 --set ttl=3600 --yes --output json",
        "manifestgen sandbox run -- manifestgen deploy samples/anomaly-detection --yes",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option("--device", "device_id", metavar="ID", help="The device, in place of the project's target.")
@click.option("--image", metavar="REF", help="An image to use in place of the project's.")
@click.option("--builder", type=click.Choice(["package", "container-image"]), help="In place of the project file's.")
@click.option("--rebuild", is_flag=True, help="Build although an image of these inputs is there.")
@click.option("--build-timeout", type=FiniteRange(min=0), default=1800, show_default=True, help="In seconds.")
@click.option("--values", "files", multiple=True, metavar="FILE", help="Values from a YAML or JSON file; repeatable.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One value; dots nest; repeatable.")
@click.option("--enable-admin", is_flag=True, help="Switch the registry's admin user on if it is off.")
@click.option("--create-token", is_flag=True, help="Make the registry's pull-only token if there is none yet.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--prune", is_flag=True, help="Remove the modules that the manifest does not name.")
@click.option(
    "--merge", is_flag=True, help="Keep what the manifest does not name: modules, twins, routes, credentials."
)
@click.option("--rollback-on-failure", is_flag=True, help="Go back to what the device had if it does not come to run.")
@click.option("--no-preflight", is_flag=True, help="Do not ask the registries for the images.")
@click.option("--allow-moved-tag", is_flag=True, help="Go on although a tag names another image than it did.")
@click.option("--force", is_flag=True, help="Go on although 'check' finds errors, or an image cannot be pulled.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the device runs them.")
@click.option(
    "--timeout",
    type=FiniteRange(min=0),
    show_default="600, for an automatic deployment 1800",
    help="Seconds to wait.",
)
@hub_option
@common_options
def command(
    project: Path,
    device_id: str | None,
    image: str | None,
    builder: Literal["package", "container-image"] | None,
    rebuild: bool,
    build_timeout: float,
    files: tuple[str, ...],
    sets: tuple[str, ...],
    enable_admin: bool,
    create_token: bool,
    yes: bool,
    prune: bool,
    merge: bool,
    rollback_on_failure: bool,
    no_preflight: bool,
    allow_moved_tag: bool,
    force: bool,
    no_wait: bool,
    timeout: float | None,
    hub: str | None,
    console: Console,
) -> None:
    """Do it all: build the image, render the manifest, check it, ask for its images, apply it and wait.

    Stops at the first step that fails. Interrupted anywhere, the same command goes on: nothing is
    registered, built or applied twice.
    """
    from manifestgen.cli import _deployment, _device
    from manifestgen.cli._manifest import findings_reporter
    from manifestgen.cli._target import patience_of
    from manifestgen.cli.image import reporter, with_builder
    from manifestgen.cli.render import values_of
    from manifestgen.deploy import Observer, Options, deploy
    from manifestgen.deployments import replace as deployments
    from manifestgen.device import apply as device
    from manifestgen.images.build import Patience as BuildPatience
    from manifestgen.project import load
    from manifestgen.services import Clouds

    loaded = load(project)
    if builder is not None:
        loaded = with_builder(loaded, builder)
    options = Options(
        device=device_id,
        image=image,
        values=values_of(files, sets),
        rebuild=rebuild,
        prune=prune,
        merge=merge,
        rollback=rollback_on_failure,
        force=force,
        moved_tags=allow_moved_tag,
        build_patience=BuildPatience(build_timeout),
        patience=None if no_wait else patience_of(device.PATIENCE, timeout),
        fleet_patience=None if no_wait else patience_of(deployments.PATIENCE, timeout),
    )
    on_device = _device.observer(console, yes=yes)
    observer = Observer(
        step=console.step,
        permit=on_device.permit,
        image=reporter(console),
        findings=findings_reporter(console),
        pulls=_pulls_reporter(console),
        plan=lambda planned: _device.show(planned, console),
        rollout=lambda rollout: on_device.progress("", rollout),
        proposal=lambda proposal: _deployment.show(proposal, console),
        fleet=_deployment.observer(console, yes=yes),
    )
    services = Clouds(loaded, hub, enable_admin=enable_admin, create_token=create_token, report=console.progress)
    distribution = None if no_preflight else services.distribution
    deployment = deploy(loaded, services, observer, options, distribution)
    if deployment.plan is not None and deployment.outcome is not None:
        _device.show_outcome(deployment.plan, deployment.outcome, console, image=deployment.image)
    elif deployment.proposal is not None and deployment.fleet is not None:
        _deployment.show_outcome(deployment.proposal, deployment.fleet, console, {"image": deployment.image})


def _pulls_reporter(console: Console) -> Callable[[Sequence[Pull]], None]:
    """Says which images a device could not pull, and why."""

    def report(pulls: Sequence[Pull]) -> None:
        from manifestgen.report import preflight

        for line in preflight.failures(pulls):
            console.progress(line)

    return report
