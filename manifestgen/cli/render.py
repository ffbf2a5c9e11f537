"""`manifestgen render`: a deployment manifest from a template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from manifestgen import __version__
from manifestgen.cli._console import Console, common_options, usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifestgen.credentials.source import Login
    from manifestgen.manifest.manifest import Manifest
    from manifestgen.project import Project
    from manifestgen.project.lock import LockedImage


@click.command(
    epilog=usage_of(
        "manifestgen render",
        "manifestgen render samples/bring-your-own-image -o -",
        "manifestgen render --image acme.azurecr.io/scorer:1.4.2 --set ttl=3600 -o edge-01.json",
    )
)
@click.argument("project", default=".", type=click.Path(path_type=Path))
@click.option("-o", "--out", metavar="FILE", help="Where to write it; '-' is stdout.  [default: deployment.json]")
@click.option("--image", metavar="REF", help="Model image to use instead of the project's.")
@click.option("--values", "files", multiple=True, metavar="FILE", help="Values from a YAML or JSON file; repeatable.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="A value, read as YAML; dots nest; repeatable.")
@click.option(
    "--secrets",
    type=click.Choice(["inline", "placeholder"]),
    help="Registry credentials, or ${ACR_PASSWORD_<NAME>} for them.  [default: inline; on stdout placeholder]",
)
@click.option(
    "--pin/--no-pin", default=None, help="Name images by digest, as their registries tell.  [default: manifest.pin]"
)
@click.option("--force", is_flag=True, help="Write it although 'check' finds errors.")
@common_options
def command(
    project: Path,
    out: str | None,
    image: str | None,
    files: tuple[str, ...],
    sets: tuple[str, ...],
    secrets: Literal["inline", "placeholder"] | None,
    pin: bool | None,
    force: bool,
    console: Console,
) -> None:
    """Render the deployment manifest of PROJECT from its template, and check it.

    Nothing is written if 'check' finds errors in it. With --pin the registries are asked for each
    image, and the lock file keeps what they say.
    """
    from manifestgen.cli._manifest import findings_reporter
    from manifestgen.credentials.logins import inline as inline_logins
    from manifestgen.credentials.logins import may_ask_azure, placeholders
    from manifestgen.files import OWNER_ONLY, PUBLIC, is_special, write_atomic
    from manifestgen.gate import verify
    from manifestgen.manifest.document import read
    from manifestgen.manifest.dump import dump
    from manifestgen.project import load
    from manifestgen.project.lock import record
    from manifestgen.render import render_project

    loaded = load(project)
    target = _target(loaded, out)
    shown = target is None or is_special(target)
    inline = secrets == "inline" or (secrets is None and not shown)

    def find(hosts: Mapping[str, frozenset[str]]) -> Mapping[str, Login]:
        from manifestgen.cli._console import listen_to_adapters
        from manifestgen.services import Clouds

        if may_ask_azure(hosts, loaded.registry_settings):
            listen_to_adapters()
        return Clouds(loaded, report=console.warn).logins.find(hosts)

    real_logins = inline_logins(loaded.registry_settings, find)
    logins = real_logins if inline else placeholders(loaded.registry_settings)
    values = values_of(files, sets)
    rendered = render_project(loaded, logins, values=values, image=image)
    if rendered.secret and not inline:
        raise InputError(
            "the manifest would show the content of a file that a ${file:…} in manifest.values brings in",
            where=str(loaded.path),
            fix="add --secrets inline if it may be shown there",
        )
    manifest = rendered.manifest
    locked: dict[str, LockedImage] = {}
    if pin if pin is not None else loaded.manifest is not None and loaded.manifest.pin:
        real = manifest
        if not inline:
            real = render_project(loaded, real_logins, values=values, image=image).manifest
        manifest, locked = _pinned(manifest, real, console)
    text = dump(manifest.content)
    ignored = loaded.check.ignore if loaded.check is not None else ()
    document = read(text, "the rendered manifest")
    verify(document, ignore=ignored, force=force, report=findings_reporter(console))
    if locked:
        record(loaded, locked, __version__)
    if target is None:
        console.disclose(text, newline=False)
        return
    secret = inline and (rendered.secret or bool(rendered.hosts))
    write_atomic(target, text, OWNER_ONLY if secret else PUBLIC)
    if secret and not shown and may_be_committed(target):
        advice = "add it to .gitignore, or use --secrets placeholder"
        console.warn(f"{target} holds secrets and git does not ignore it; {advice}")
    modules = manifest.modules()
    console.result(f"rendered {target}: {', '.join(module.name for module in modules)}")
    console.document(
        {
            "path": str(target),
            "modules": [{"name": module.name, "image": module.image_text} for module in modules],
            "registries": list(rendered.hosts),
            "secrets": secret,
        }
    )


def _pinned(manifest: Manifest, real: Manifest, console: Console) -> tuple[Manifest, dict[str, LockedImage]]:
    """A manifest with its images by digest, and what its tags name.

    Args:
        manifest: as it will be written, perhaps with placeholders for its credentials.
        real: the same with the credentials, which the registries are asked with.
        console: is warned of what keeps its tag.
    """
    from manifestgen.azure.registry_api import ImageRegistries
    from manifestgen.cli._console import listen_to_adapters
    from manifestgen.images.pin import pin
    from manifestgen.images.preflight import digests, insist, locked_images, preflight

    listen_to_adapters()
    registries = ImageRegistries()
    try:
        pulls = preflight(real, registries)
    finally:
        registries.close()
    insist(pulls)
    for pull in pulls:
        if pull.remote is None:
            console.warn(f"{pull.image} keeps its tag: {pull.words}")
    return pin(manifest, digests(pulls)), locked_images(pulls)


def _target(project: Project, out: str | None) -> Path | None:
    """The file to write; None for stdout."""
    from manifestgen.files import is_stdout

    configured = project.manifest.output if project.manifest is not None else None
    target = Path(out) if out is not None else configured or project.path.parent / "deployment.json"
    return None if out == "-" or is_stdout(target) else target


def values_of(files: Sequence[str], sets: Sequence[str]) -> dict[str, Any]:
    """What `--values` and `--set` give, merged; later ones win."""
    from manifestgen.project.values import merge, parse_set, read_values

    values: dict[str, Any] = {}
    for file in files:
        values = merge(values, read_values(Path(file)))
    for text in sets:
        values = merge(values, parse_set(text))
    return values


def may_be_committed(path: Path) -> bool:
    """Whether a file is in a git work tree that does not ignore it; False where there is no git."""
    folder = path.resolve().parent
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return False
    import shutil
    import subprocess

    git = shutil.which("git")
    if git is None:
        return False
    ask = [git, "-C", str(folder), "check-ignore", "--quiet", "--", path.name]
    try:
        return subprocess.run(ask, capture_output=True, timeout=10, check=False).returncode == 1  # noqa: S603 - no shell
    except (OSError, subprocess.TimeoutExpired):
        return False
