"""`manifestgen import`: a project from a template of the VS Code extension or of iotedgedev."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, usage_of
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.importing.item import Item
    from manifestgen.importing.project import Imported
    from manifestgen.importing.write import Written
    from manifestgen.solution import Solution


@click.command(
    epilog=usage_of(
        "manifestgen import deployment.template.json",
        "manifestgen import deployment.template.json --out ../edge --builder acr",
        "manifestgen import deployment.template.json --manifest --platform arm64v8",
    )
)
@click.argument("template", default=".", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    help="Folder of the project, or file of the manifest; '-' is stdout.  [default: beside TEMPLATE, or "
    "config/NAME.PLATFORM.json]",
)
@click.option("--manifest", "only", is_flag=True, help="Write only the manifest that the tool would generate.")
@click.option(
    "--platform", metavar="NAME", default="amd64", show_default=True,
    help="Platform of images whose placeholder names none, as in module.json: amd64, arm32v7, arm64v8…",
)  # fmt: skip
@click.option("--debug", is_flag=True, help="Use the debug template beside TEMPLATE, or the modules' debug images.")
@click.option(
    "--builder", type=click.Choice(["acr", "local", "none"]),
    help="Builder of the project's images; none keeps the tool's tags.  [default: acr for *.azurecr.io, else local]",
)  # fmt: skip
@click.option(
    "--profile", type=click.Choice(["vscode", "iotedgedev"]), default="vscode", show_default=True,
    help="The tool whose rules expand placeholders.",
)  # fmt: skip
@click.option("--env-file", type=click.Path(path_type=Path), metavar="FILE", help="Variables.  [default: .env]")
@click.option("--allow-undefined", is_flag=True, help="With --manifest: keep placeholders that have no value.")
@click.option(
    "--secrets", type=click.Choice(["inline", "placeholder"]),
    help="With --manifest: write secrets, or keep placeholders.  [default: inline; on stdout placeholder]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite files that have other content.")
@common_options
def command(
    template: Path,
    out: str | None,
    only: bool,
    platform: str,
    debug: bool,
    builder: str | None,
    profile: Literal["vscode", "iotedgedev"],
    env_file: Path | None,
    allow_undefined: bool,
    secrets: str | None,
    force: bool,
    console: Console,
) -> None:
    """Make a project of TEMPLATE, a deployment.template.json or a deployment manifest.

    Its .env and modules/*/module.json are read, too. The project gets the template, its values, and an
    image for each module. Secrets of .env are never copied. Lists everything that has to be corrected or
    supplied, and everything that was not carried over.
    """
    from manifestgen.importing.project import imported
    from manifestgen.importing.write import write_all
    from manifestgen.solution import read_solution, template_of

    _refuse_idle(only=only, allow_undefined=allow_undefined, secrets=secrets, builder=builder)
    if out == "-" and not only:
        fix = "give the folder of the project, or add --manifest"
        raise InputError("a project is several files, and stdout takes one", where="--out", fix=fix)
    solution = read_solution(template_of(template, debug=debug), os.environ, profile, env_file)
    debug = debug and ".debug." not in solution.path.name
    if only:
        _manifest(console, solution, out, platform, debug, secrets, allow_undefined, force)
        return
    folder = Path(out) if out is not None else solution.folder
    made = imported(solution, folder, environ=os.environ, platform=platform, builder=builder, debug=debug)
    _show(made, write_all(made.files, force=force), console)


def _show(made: Imported, written: Written, console: Console) -> None:
    from manifestgen.files import in_a_shell

    for path in made.files:
        console.result(f"{'wrote' if path in written.files else 'unchanged'} {path}")
    for title, items in (("to correct", made.wrong), ("to supply", made.supply), ("not carried over", made.lost)):
        if items:
            console.result(f"{title}:")
        for item in items:
            place = f"{item.where}: " if item.where else ""
            console.result(f"  {place}{item.what}: {item.why}")
            if item.fix:
                console.result(f"    fix: {item.fix}")
    console.progress(f"next: manifestgen render {in_a_shell(made.project)}")
    console.document(
        {
            "kind": "project",
            "project": str(made.project),
            "files": [str(path) for path in written.files],
            "unchanged": [str(path) for path in written.unchanged],
            "modules": list(made.modules),
            "environments": list(made.environments),
            "supply": [_plain(item) for item in made.supply],
            "to_correct": [_plain(item) for item in made.wrong],
            "not_carried_over": [_plain(item) for item in made.lost],
        }
    )


def _refuse_idle(*, only: bool, allow_undefined: bool, secrets: str | None, builder: str | None) -> None:
    """Raise InputError for an option that would have no effect."""
    if only:
        if builder is not None:
            what = "--builder is of a project's images, and --manifest writes no project"
            raise InputError(what, fix="drop --builder, or drop --manifest to get a project")
        return
    for option, given in (("--allow-undefined", allow_undefined), ("--secrets", secrets is not None)):
        if given:
            raise InputError(f"{option} needs --manifest", fix=f"add --manifest, or drop {option} to get a project")


def _plain(item: Item) -> dict[str, str]:
    return {"what": item.what, "why": item.why, "fix": item.fix, "where": item.where}


def _manifest(
    console: Console,
    solution: Solution,
    out: str | None,
    platform: str,
    debug: bool,
    secrets: str | None,
    allow_undefined: bool,
    force: bool,
) -> None:
    from manifestgen.files import OWNER_ONLY, PUBLIC, git_would_commit, is_special, is_stdout
    from manifestgen.importing.manifest import file_of, manifest_text
    from manifestgen.importing.write import write_all

    target = Path(out) if out is not None else file_of(solution, platform)
    to_stdout = out == "-" or is_stdout(target)
    shown = to_stdout or is_special(target)
    inline = secrets == "inline" if secrets is not None else not shown
    made = manifest_text(solution, platform, debug=debug, inline=inline, allow_undefined=allow_undefined)
    if to_stdout:
        console.disclose(made.text, newline=False)
    else:
        written = write_all({target: made.text}, force=force, mode=OWNER_ONLY if made.secrets else PUBLIC)
        console.result(f"{'wrote' if written.files else 'unchanged'} {target}")
        if made.secrets and git_would_commit(target):
            console.warn(f"{target} holds secrets and git does not ignore it; add it to .gitignore")
        console.document(
            {"kind": "manifest", "file": str(target), "secrets": list(made.secrets), "undefined": list(made.unresolved)}
        )
    for place in made.unresolved:
        console.warn(f"{place} has no value and stays as it is")
