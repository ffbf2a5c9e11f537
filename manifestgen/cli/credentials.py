"""`manifestgen credentials`: what devices log in to registries with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console, common_options, hub_option, usage_of
from manifestgen.cli._number import FiniteRange
from manifestgen.errors import FoundError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

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
    """Look at registry credentials, make tokens, renew their passwords.

    What a device logs in with is said in the project file: registry.credentials and registry.sources.
    """


@command.command(epilog=usage_of("manifestgen credentials show", "manifestgen credentials show --output json"))
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option("--image", metavar="REF", help="Model image to use instead of the project's.")
@common_options
def show(project: Path, image: str | None, console: Console) -> int:
    """List the registries of PROJECT's manifest and what devices log in to them with.

    Source, user name, expiry, whether the admin user is on; never a password. Exit code 1 if a
    device could not log in.
    """
    import os

    from manifestgen.credentials.overview import overview
    from manifestgen.device.snapshots import state_folder
    from manifestgen.project import load
    from manifestgen.report.credentials import standings_data, standings_text
    from manifestgen.services import Clouds

    loaded = load(project)
    clouds = Clouds(loaded)
    now = _now()
    found = list(
        overview(
            loaded,
            _manifest(loaded, image),
            lambda: clouds.registry,
            clouds.registry_of,
            lambda: clouds.vaults,
            os.environ,
            state_folder(),
            now,
        )
    )
    console.result(standings_text(found, now))
    console.document(standings_data(found, now))
    return 0 if all(one.usable for one in found) else FoundError.exit_code


@command.command(
    "create-token",
    epilog=usage_of(
        "manifestgen credentials create-token",
        "manifestgen credentials create-token --days 30 --out token.env",
        "manifestgen credentials create-token --widen",
    ),
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option("--image", metavar="REF", help="Model image to use instead of the project's.")
@click.option(
    "--days", type=click.IntRange(1, 3650), help="Until its password expires.  [default: the project's, or 90]"
)
@click.option("--widen", is_flag=True, help="Let a token that is there pull what else the manifest names.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write user name and password there too, mode 0600."
)
@common_options
def create_token(
    project: Path, image: str | None, days: int | None, widen: bool, out: Path | None, console: Console
) -> None:
    """Make the token that devices pull PROJECT's images with, or use the one that is there.

    It may pull exactly the repositories that the manifest names. Its password is kept in this user's
    state folder, since Azure tells it only once; --out writes it for a pipeline, as lines
    ACR_USERNAME_<NAME>=… and ACR_PASSWORD_<NAME>=…, which the source 'file' reads.
    """
    from manifestgen.credentials.expiry import words
    from manifestgen.credentials.kept import path_of
    from manifestgen.credentials.token import make, name_of
    from manifestgen.device.snapshots import state_folder
    from manifestgen.project import load
    from manifestgen.project.credentials import settings
    from manifestgen.render import named_hosts
    from manifestgen.services import Clouds

    loaded = load(project)
    manifest = _manifest(loaded, image)
    clouds = Clouds(loaded)
    root, name, now = state_folder(), name_of(loaded), _now()
    made = {}
    for host, repositories in _token_hosts(loaded, manifest).items():
        info = clouds.registry_of(host)
        one = make(
            clouds.registry,
            info,
            name,
            repositories,
            root=root,
            days=days or settings(loaded).days,
            widen=widen,
            now=now,
        )
        made[host] = one
        for note in one.notes:
            console.progress(note)
        until = f", {words(one.kept.expiry, now)}" if one.kept.expiry else ""
        console.result(f"{host}: token {name}, {one.kept.name} {'made' if one.fresh else 'is there'}{until}")
        console.result(f"  kept in {path_of(root, info.login_server, name)}")
    if out is not None:
        _write_lines(
            out, {host: (name, one.kept.password) for host, one in made.items()}, named_hosts(manifest), console
        )
    console.document(
        {
            "tokens": [
                {
                    "host": host,
                    "token": name,
                    "password": one.kept.name,
                    "made": one.fresh,
                    "expiry": one.kept.expiry.isoformat() if one.kept.expiry else None,
                    "notes": list(one.notes),
                }
                for host, one in made.items()
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
@click.option("--device", "device_ids", metavar="ID", multiple=True, help="A device; repeatable.")
@click.option(
    "--devices",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Devices: one id a line, or .csv or .jsonl with a column 'device'.",
)
@click.option("--deployment", metavar="NAME", help="An automatic deployment.")
@click.option("--image", metavar="REF", help="Model image to use instead of the project's.")
@click.option(
    "--days", type=click.IntRange(1, 3650), help="Until the new password expires.  [default: the project's, or 90]"
)
@click.option(
    "--in-use",
    type=click.Choice(["password1", "password2"]),
    help="The password that devices have, where that cannot be told.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--timeout", type=FiniteRange(min=0), default=600, show_default=True, help="Seconds for each device.")
@hub_option
@common_options
def rotate(
    project: Path,
    device_ids: tuple[str, ...],
    file: Path | None,
    deployment: str | None,
    image: str | None,
    days: int | None,
    in_use: str | None,
    yes: bool,
    timeout: float,
    hub: str | None,
    console: Console,
) -> int:
    """Renew the password of PROJECT's token on devices, without a moment in which one cannot pull.

    Makes the token's second password, puts it into the manifest that each device has, waits until
    the device runs with it, and drops the first password when no device of the hub needs it any
    more. Interrupted anywhere, the same command goes on. A device that is offline keeps a password
    that works: run the command again when it is back. Exit code 1 as long as something is left.

    Without --device, --devices or --deployment it is done to the project's target.
    """
    from manifestgen.cli._rotation import Rotating, target_of
    from manifestgen.credentials.token import name_of
    from manifestgen.project import load
    from manifestgen.project.credentials import settings
    from manifestgen.report.credentials import rotation_data, rotation_text
    from manifestgen.services import Clouds

    loaded = load(project)
    target = target_of(loaded, device_ids, file, deployment)
    clouds = Clouds(loaded, hub)
    rotating = Rotating(clouds, target, days or settings(loaded).days, in_use, timeout, console, yes=yes)
    rotated = []
    for host in _token_hosts(loaded, _manifest(loaded, image)):
        done = rotating.rotate(host, name_of(loaded))
        rotated.append(done)
        console.result(rotation_text(done))
    console.document({"tokens": [rotation_data(one) for one in rotated]})
    return 0 if all(one.finished for one in rotated) else FoundError.exit_code


def _manifest(project: Project, image: str | None) -> Manifest:
    """A project's manifest without credentials: what it pulls is all that is asked of it."""
    from manifestgen.render import render_project

    return render_project(project, lambda manifest: {}, image=image).manifest


def _token_hosts(project: Project, manifest: Manifest) -> Mapping[str, frozenset[str]]:
    """The registries of a manifest whose source is a token, with the repositories that are pulled from each.

    Raises:
        InputError: there is none.
    """
    from manifestgen.project.credentials import source_of
    from manifestgen.render import needed_hosts, repositories

    pulled = repositories(manifest)
    hosts = [host for host in needed_hosts(project, manifest) if source_of(project, host) == "token"]
    if not hosts:
        fix = "write 'registry: {credentials: token}' in the project file"
        raise InputError("no registry of the manifest has the source token", where=str(project.path), fix=fix)
    return {host: pulled[host.lower()] for host in hosts}


def _write_lines(out: Path, logins: Mapping[str, tuple[str, object]], hosts: tuple[str, ...], console: Console) -> None:
    """User names and passwords as the source `file` reads them, for their owner only."""
    from manifestgen.cli.render import may_be_committed
    from manifestgen.files import OWNER_ONLY, write_atomic
    from manifestgen.project.credentials import PASSWORD, USERNAME, variable_suffixes
    from manifestgen.secret import Secret

    suffixes = variable_suffixes(hosts)
    lines = []
    for host, (username, password) in logins.items():
        if isinstance(password, Secret):
            lines += [f"{USERNAME}{suffixes[host]}={username}", f"{PASSWORD}{suffixes[host]}={password.reveal()}"]
    write_atomic(out, "\n".join(lines) + "\n", OWNER_ONLY)
    console.result(f"  written to {out}")
    if may_be_committed(out):
        console.warn(f"{out} holds secrets and git does not ignore it; add it to .gitignore")


def _now() -> datetime:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)
