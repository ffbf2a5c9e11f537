"""`manifestgen credentials`: the logins that devices use for registries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._completing import devices
from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option
from manifestgen.cli._modules import image_option, images_of
from manifestgen.cli._number import FiniteRange
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._state import state_option
from manifestgen.cli._target import say_target
from manifestgen.errors import DeclinedError, FoundError, InputError, Interrupted

if TYPE_CHECKING:
    from manifestgen.cloud import Services
    from manifestgen.credentials.rotation import Observer
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.project import Project


@click.group(
    epilog=usage_of(
        "manifestgen credentials show",
        "manifestgen credentials create-token",
        "manifestgen credentials rotate --device edge-01",
    )
)
def command() -> None:
    """Inspect registry credentials, create tokens, rotate their passwords.

    The project file says where the logins come from: registry.credentials and registry.sources.
    """


@command.command(epilog=usage_of("manifestgen credentials show", "manifestgen credentials show --output json"))
@click.argument("project", default=".", type=click.Path(path_type=Path))
@image_option
@state_option
@environment_option
@common_options
def show(project: Path, images: tuple[str, ...], console: Console) -> int:
    """List the registries of PROJECT's manifest and the logins that devices use for them.

    Shows source, user name, expiry and whether the admin user is enabled; never a password. Exit code 1
    if a device could not log in.
    """
    from manifestgen.credentials.logins import hosts_of
    from manifestgen.credentials.standing import standings
    from manifestgen.project import load
    from manifestgen.report.credentials import standings_data, standings_text
    from manifestgen.services import ProjectServices

    loaded = load(project)
    services = ProjectServices(loaded, progress=console.progress)
    inputs = services.inputs
    found = list(standings(hosts_of(_manifest(loaded, images_of(loaded, images), services)), inputs))
    for one in found:
        if one.mistake is not None:
            raise one.mistake
    console.result(standings_text(found, inputs.now))
    console.document(standings_data(found, inputs.now))
    days = inputs.settings.registry.warn_days
    return FoundError.exit_code if any(one.state(inputs.now, days) == "failed" for one in found) else 0


@command.command(
    "create-token",
    epilog=usage_of(
        "manifestgen credentials create-token",
        "manifestgen credentials create-token --days 30 --out token.env",
        "manifestgen credentials create-token --widen",
    ),
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@image_option
@click.option(
    "--days", type=click.IntRange(1, 3650), help="Days until its password expires.  [default: the project's, or 90]"
)
@click.option("--widen", is_flag=True, help="Let an existing token also pull the manifest's other repositories.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write user name and password to this file, mode 0600.",
)
@state_option
@environment_option
@common_options
def create_token(
    project: Path, images: tuple[str, ...], days: int | None, widen: bool, out: Path | None, console: Console
) -> None:
    """Create the token with which devices pull PROJECT's images, or reuse the existing one.

    It may pull only the repositories that the manifest names. Azure shows its password only once,
    so it is stored in this user's state folder; --out also writes it for a pipeline, as lines
    ACR_USERNAME_<NAME>=… and ACR_PASSWORD_<NAME>=…, which the source 'file' reads.
    """
    from manifestgen.credentials.create_tokens import create_tokens
    from manifestgen.credentials.expiry import until
    from manifestgen.credentials.variables import lines
    from manifestgen.manifest.registries import named_hosts
    from manifestgen.project import load
    from manifestgen.services import ProjectServices

    loaded = load(project)
    services = ProjectServices(loaded, progress=console.progress)
    manifest, inputs = _manifest(loaded, images_of(loaded, images), services), services.inputs
    created = {}
    for host, one in create_tokens(inputs, manifest, days=days, widen=widen):
        created[host] = one
        for note in one.notes:
            console.progress(note)
        expires = f", {until(one.stored.expiry, inputs.now)}" if one.stored.expiry else ""
        what = "created" if one.fresh else "already exists"
        console.result(f"{host}: token {one.token.name}, {one.stored.name} {what}{expires}")
        console.result(f"  stored in {one.path}")
    if out is not None:
        logins = {host: (one.token.name, one.stored.password) for host, one in created.items()}
        _write(out, lines(logins, named_hosts(manifest)), console)
    console.document(
        {
            "tokens": [
                {
                    "host": host,
                    "token": one.token.name,
                    "password": one.stored.name,
                    "made": one.fresh,
                    "expiry": one.stored.expiry.isoformat() if one.stored.expiry else None,
                    "notes": list(one.notes),
                }
                for host, one in created.items()
            ]
        }
    )


@command.command(
    epilog=usage_of(
        "manifestgen credentials rotate --device edge-01",
        "manifestgen credentials rotate --devices devices.csv --yes",
        "manifestgen credentials rotate --deployment lab --yes",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option(
    "--device", "device_ids", metavar="ID", shell_complete=devices, multiple=True, help="A device; repeatable."
)
@click.option(
    "--devices",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with one device ID per line, or a .csv or .jsonl file with a column 'device'.",
)
@click.option("--deployment", metavar="NAME", help="An automatic deployment.")
@image_option
@click.option(
    "--days", type=click.IntRange(1, 3650), help="Days until the new password expires.  [default: the project's, or 90]"
)
@click.option(
    "--in-use",
    type=click.Choice(["password1", "password2"]),
    help="Password that devices use now, if manifestgen does not know it.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--timeout", type=FiniteRange(min=0), default=600, show_default=True, help="Seconds to wait for each device."
)
@state_option
@hub_option
@common_options
def rotate(
    project: Path,
    device_ids: tuple[str, ...],
    file: Path | None,
    deployment: str | None,
    images: tuple[str, ...],
    days: int | None,
    in_use: str | None,
    yes: bool,
    timeout: float,
    hub: str | None,
    console: Console,
) -> int:
    """Replace the password of PROJECT's token on devices, without interrupting their pulls.

    Creates the token's second password, puts it into the manifest that each device has, waits until
    the device runs with it, and deletes the first password once no device of the hub needs it. If
    a run is interrupted, run the same command again: it resumes. An offline device keeps a password
    that works: run the command again when it is back. Exit code 1 while something is left to do.

    Without --device, --devices or --deployment, the project's target is rotated.
    """
    from manifestgen.project import load
    from manifestgen.report.credentials import rotation_data, rotation_text
    from manifestgen.rotate import Options, choose
    from manifestgen.rotate import rotate as rotate_tokens
    from manifestgen.services import ProjectServices

    loaded = load(project)
    chosen = choose(loaded, device_ids, file, deployment)
    if not device_ids and file is None and deployment is None:
        say_target(loaded, console)
    clouds = ProjectServices(loaded, hub, progress=console.progress)
    options = Options(images_of(loaded, images), days, in_use, timeout)
    rotated = []
    for one in rotate_tokens(loaded, clouds, clouds.inputs, chosen, options, _observer(console, yes=yes)):
        rotated.append(one)
        console.result(rotation_text(one))
    console.document({"tokens": [rotation_data(one) for one in rotated]})
    return 0 if all(one.finished for one in rotated) else FoundError.exit_code


def _manifest(project: Project, images: Mapping[str, str], services: Services) -> Manifest:
    """A project's manifest without credentials, also before the first build: only its images are needed."""
    from manifestgen.images.draft import draft_of
    from manifestgen.images.existing import future_image

    def future(missing: Project) -> Mapping[str, str] | None:
        found = {one.module.name: future_image(one, services.of(one.module.name)) for one in missing.each()}
        known = {name: image for name, image in found.items() if image is not None}
        return known if len(known) == len(found) else None

    return draft_of(project, lambda manifest: {}, future, images).manifest


def _observer(console: Console, *, yes: bool) -> Observer:
    from manifestgen.credentials.rotation import Observer
    from manifestgen.report.credentials import outcome_line

    def permit(words: str) -> None:
        console.progress(words)
        if yes:
            return
        if not console.interactive:
            raise InputError("not a terminal, so the rotation cannot be confirmed", fix="add --yes")
        fix = "run the same command again to rotate"
        try:
            permitted = console.confirm("continue?")
        except click.Abort:
            raise Interrupted("stopped; nothing was changed", fix=fix) from None
        if not permitted:
            raise DeclinedError("stopped; nothing was changed", fix=fix)

    return Observer(permit, console.progress, lambda outcome: console.progress(outcome_line(outcome)))


def _write(out: Path, text: str, console: Console) -> None:
    """Write a file with secrets, readable by its owner only."""
    from manifestgen.files import OWNER_ONLY, git_would_commit, write_atomic

    write_atomic(out, text, OWNER_ONLY)
    console.result(f"  written to {out}")
    if git_would_commit(out):
        console.warn(f"{out} holds secrets and git does not ignore it; add it to .gitignore")
