"""`manifestgen export`: the manifest that a device has."""

from __future__ import annotations

from pathlib import Path

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._target import device_of, device_option
from manifestgen.errors import InputError
from manifestgen.services import open_hub


@click.command(
    epilog=usage_of(
        "manifestgen export -o device.json",
        "manifestgen export --device edge-01 -o edge-01.json",
        "manifestgen export --device edge-01 | manifestgen check -",
    )
)
@device_option("given")
@click.option("-o", "--out", metavar="FILE", default="-", help="Where to write it; '-' is stdout.", show_default=True)
@click.option(
    "--secrets",
    type=click.Choice(["inline", "placeholder"]),
    help="Write registry credentials, or ${ACR_PASSWORD_<NAME>}.  [default: inline; on stdout placeholder]",
)
@hub_option
@common_options
def command(given: str | None, out: str, secrets: str | None, hub: str | None, console: Console) -> None:
    """Write the manifest that a device has now.

    Applying it and exporting again gives the same bytes. On stdout, registry credentials
    are placeholders unless --secrets inline is given.
    """
    from manifestgen.compare.export import export
    from manifestgen.credentials.placeholders import with_placeholders
    from manifestgen.device.apply import read_state
    from manifestgen.files import OWNER_ONLY, PUBLIC, is_special, is_stdout, refuse_unwritable, write_atomic
    from manifestgen.manifest.dump import dump
    from manifestgen.project.beside import project_here
    from manifestgen.secret import redact_json

    if out != "-":
        refuse_unwritable(Path(out))
    project = project_here()
    device_id = device_of(given, project, console)
    state = read_state(open_hub(hub, project), device_id)  # a project's secrets are known from here on
    content = export({name: twin.desired for name, twin in state.twins.items()}).content
    target = Path(out)
    inline = secrets == "inline" or (secrets is None and out != "-" and not is_special(target))
    if not inline:
        content = with_placeholders(content)
        if redact_json(content) != content:
            raise InputError(
                "the manifest would show a secret that is not a registry credential, such as a key in a module's twin",
                where=f"device {device_id!r}",
                fix="add --secrets inline if it may be shown there, or write it to a file with -o FILE",
            )
    if out == "-" or is_stdout(target):
        console.disclose(dump(content), newline=False)
        return
    write_atomic(target, dump(content), OWNER_ONLY if inline else PUBLIC)
    console.result(f"wrote {out}: the manifest of device {device_id!r}, version {state.version}")
    console.document({"path": out, "device": device_id, "version": state.version, "secrets": inline})
