"""`manifestgen deployment`: the automatic deployments that a hub has."""

from __future__ import annotations

import click

from manifestgen.cli._console import Console
from manifestgen.cli._hub import hub_here
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._state import state_option
from manifestgen.cli._target import deployment_of
from manifestgen.services import open_hub


@click.group(epilog=usage_of("manifestgen deployment list", "manifestgen deployment show scorer"))
def command() -> None:
    """List, show and delete automatic deployments.

    'manifestgen apply FILE --deployment NAME' creates and replaces them.
    """


@command.command("list", epilog=usage_of("manifestgen deployment list", "manifestgen deployment list --output json"))
@hub_option
@common_options
def list_(hub: str | None, console: Console) -> None:
    """List the hub's automatic deployments, in the order in which they take precedence on a device."""
    from manifestgen.deployments.deployment import configurations
    from manifestgen.report.deployment_list import configuration_data, list_text

    found = configurations(hub_here(hub))
    for line in list_text(found):
        console.result(line)
    if not found:
        console.progress("the hub has no automatic deployments")
    console.document({"deployments": [configuration_data(each) for each in found]})


@command.command(epilog=usage_of("manifestgen deployment show scorer"))
@click.argument("name", metavar="[NAME]", required=False)
@hub_option
@common_options
def show(name: str | None, hub: str | None, console: Console) -> None:
    """Show an automatic deployment: its target condition, modules, labels and counts.

    NAME is its name, or the id of any configuration for IoT Edge that the hub has; without it, the
    project's deployment is shown. 'manifestgen status
    --deployment NAME' shows how far its devices are.
    """
    from manifestgen.deployments.listing import named
    from manifestgen.project.beside import project_here
    from manifestgen.report.deployment_list import configuration_data, configuration_text

    project = project_here()
    wanted = deployment_of(name, project, console, fix="give its NAME")
    found = named(open_hub(hub, project), wanted)
    for each in found:
        console.result(configuration_text(each))
    console.document({"deployments": [configuration_data(each) for each in found]})


@command.command(epilog=usage_of("manifestgen deployment delete scorer"))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@state_option
@hub_option
@common_options
def delete(name: str, yes: bool, hub: str | None, console: Console) -> None:
    """Delete an automatic deployment that manifestgen created.

    Its devices follow the deployment with the next lower priority that targets them; without any, they
    keep the modules that they have. Takes a snapshot first: 'manifestgen rollback --deployment NAME'
    restores it.
    """
    from manifestgen.deployments.listing import delete as delete_all
    from manifestgen.deployments.listing import own
    from manifestgen.report.deployment_list import configuration_data
    from manifestgen.state import state_folder

    service = hub_here(hub)
    found = own(service, name)
    targeted = max((each.counts.get("targetedCount", 0) for each in found), default=0)
    question = f"delete deployment {name!r}, which targets {targeted:,} devices, from {service.host}?"
    console.ask(question, yes=yes, unchanged=f"deployment {name!r} was not deleted")
    for each in delete_all(service, found, state_folder()):
        console.progress(f"deleted {each.id!r}")
    console.result(f"deleted deployment {name!r}")
    console.document({"deleted": [configuration_data(each) for each in found]})
