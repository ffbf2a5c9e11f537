"""`manifestgen device`: edge device identities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._completing import devices
from manifestgen.cli._console import Console
from manifestgen.cli._hub import hub_here
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._target import device_of
from manifestgen.errors import InputError
from manifestgen.services import open_hub

if TYPE_CHECKING:
    from manifestgen.cloud import Device, Hub


@click.group(
    epilog=usage_of("manifestgen device register edge-01 --tag site=lab", "manifestgen device list --output json")
)
def command() -> None:
    """Register, tag, inspect and delete edge devices."""


@command.command(epilog=usage_of("manifestgen device register edge-01 --tag site=lab --tag line=3"))
@click.argument("given", metavar="[ID]", required=False)
@click.option("--parent", metavar="ID", shell_complete=devices, help="The parent of a nested edge device.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="A tag of its twin; repeatable, dots nest.")
@hub_option
@common_options
def register(given: str | None, parent: str | None, tags: tuple[str, ...], hub: str | None, console: Console) -> None:
    """Create an edge device identity; without ID, that of the project's device.

    Only 'manifestgen device connection-string' prints the connection string that the runtime on the
    device needs.
    """
    named = _nested(tags, "--tag")
    service, device_id = _named(given, hub, console)
    device = service.register_device(device_id, parent=parent, tags=named)
    console.result(f"registered edge device {device.id!r}")
    console.result(f"next: manifestgen device connection-string {device.id}")
    console.document(_data(device))


@command.command(epilog=usage_of("manifestgen device show edge-01"))
@click.argument("given", metavar="[ID]", required=False, shell_complete=devices)
@hub_option
@common_options
def show(given: str | None, hub: str | None, console: Console) -> None:
    """Show one device identity; without ID, that of the project's device."""
    service, device_id = _named(given, hub, console)
    device = service.device(device_id)
    for key, value in _data(device).items():
        console.result(f"{key:<14} {_shown(value)}")
    console.document(_data(device))


@command.command("list", epilog=usage_of("manifestgen device list"))
@hub_option
@common_options
def list_(hub: str | None, console: Console) -> None:
    """List the hub's edge devices."""
    devices = list(hub_here(hub).devices())
    width = max((len(device.id) for device in devices), default=0)
    for device in devices:
        state = "connected" if device.connected else "disconnected" if device.enabled else "disabled"
        console.result(f"{device.id:<{width}}  {state}")
    if not devices:
        console.progress("the hub has no edge devices; register one with 'manifestgen device register ID'")
    console.document({"devices": [_data(device) for device in devices]})


@command.command("connection-string", epilog=usage_of("manifestgen device connection-string edge-01"))
@click.argument("given", metavar="[ID]", required=False, shell_complete=devices)
@hub_option
@common_options
def connection_string(given: str | None, hub: str | None, console: Console) -> None:
    """Print the connection string for the runtime on the device; without ID, on the project's device.

    It is a secret: anyone who has it can impersonate the device.
    """
    service, device_id = _named(given, hub, console)
    secret = service.connection_string(device_id)
    if console.output == "json":
        import json

        data = {"schema": console.schema, "device": device_id, "connection_string": secret.reveal()}
        console.disclose(json.dumps(data, indent=2))
    else:
        console.disclose(secret.reveal())


@command.command(
    epilog=usage_of("manifestgen device tag edge-01 site=lab line=3", "manifestgen device tag edge-01 line=")
)
@click.argument("device_id", metavar="ID", shell_complete=devices)
@click.argument("tags", metavar="KEY=VALUE...", nargs=-1, required=True)
@hub_option
@common_options
def tag(device_id: str, tags: tuple[str, ...], hub: str | None, console: Console) -> None:
    """Set tags of a device's twin; dots nest, and KEY= removes one.

    Other tags are kept. Automatic deployments target devices by their tags, so this may change the
    modules of a device.
    """
    named = _nested(tags, "tags", nothing=None)
    service = hub_here(hub)
    service.set_tags(device_id, named)
    device = service.device(device_id)
    console.result(f"tags of device {device.id!r}: {_shown(_data(device)['tags'])}")
    console.document(_data(device))


@command.command(epilog=usage_of("manifestgen device delete edge-01"))
@click.argument("device_id", metavar="ID", shell_complete=devices)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@hub_option
@common_options
def delete(device_id: str, yes: bool, hub: str | None, console: Console) -> None:
    """Delete a device identity with its modules and twins.

    The device can no longer connect; its modules continue to run. Its snapshots stay.
    """
    service = hub_here(hub)
    device = service.device(device_id)
    connected = ", which is connected" if device.connected else ""
    question = f"delete device {device.id!r}{connected}, with its modules and twins, from {service.host}?"
    console.ask(question, yes=yes, unchanged=f"device {device.id!r} was not deleted")
    service.delete_device(device.id)
    console.result(f"deleted device {device.id!r}")
    console.document({"deleted": _data(device)})


def _named(given: str | None, hub: str | None, console: Console) -> tuple[Hub, str]:
    """The hub, and the device that is named, else the project's."""
    from manifestgen.project.beside import project_here

    project = project_here()
    device_id = device_of(given, project, console, fix="give the device's ID")
    return open_hub(hub, project), device_id


def _data(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "edge": device.edge,
        "enabled": device.enabled,
        "connected": device.connected,
        "last_activity": device.last_activity.isoformat() if device.last_activity else None,
        "parent": device.parent,
        "tags": dict(device.tags),
    }


def _shown(value: Any) -> str:
    return {True: "yes", False: "no", None: "-"}.get(value, str(value)) if not isinstance(value, dict) else str(value)


def _nested(tags: tuple[str, ...], where: str, *, nothing: str | None = "") -> dict[str, Any]:
    """`("site.name=lab",)` becomes `{"site": {"name": "lab"}}`; `nothing` is the value for `KEY=`."""
    result: dict[str, Any] = {}
    for tag in tags:
        key, equals, value = tag.partition("=")
        path = key.split(".")
        if not equals or not all(path):
            raise InputError(f"{tag!r} is not KEY=VALUE", where=where, fix="write it as in site=lab or site.line=3")
        inner = result
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InputError(
                    f"{key!r} is given both a value and keys below it", where=where, fix="drop one of them"
                )
        if isinstance(inner.get(path[-1]), dict):
            raise InputError(f"{key!r} is given both a value and keys below it", where=where, fix="drop one of them")
        inner[path[-1]] = value or nothing
    return result
