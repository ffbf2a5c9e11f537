"""`manifestgen view`: a manifest, a project or a device as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, hub_option, usage_of
from manifestgen.cli._subjects import SUBJECTS, open_subjects
from manifestgen.cli._target import device_option, project_target
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from manifestgen.view.model import View


@click.command(
    epilog=usage_of(
        "manifestgen view deployment.json -o deployment.html",
        "manifestgen view deployment.json --format mermaid",
        "manifestgen view -o device.html",
        "manifestgen view --device edge-01 -o edge-01.html",
        "manifestgen view device:edge-01 deployment.json -o change.html",
    )
    + SUBJECTS
)
@click.argument("files", metavar="[OLD] FILE", nargs=-1)
@device_option("device_id", "Show a device, with what it reports.")
@click.option("-o", "--out", metavar="FILE", default="-", help="File to write; '-' is stdout.", show_default=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "svg", "mermaid"]),
    help="What to write.  [default: html, or what the end of -o FILE says]",
)
@click.option("--show-env", is_flag=True, help="Show the values of variables that do not seem to be secrets.")
@hub_option
@common_options
def command(
    files: tuple[str, ...],
    device_id: str | None,
    out: str,
    form: str | None,
    show_env: bool,
    hub: str | None,
    console: Console,
) -> None:
    """Draw a manifest: its modules, its routes, its findings, and its use of limits.

    With two, what changed between them. The page is one file that loads nothing and works without
    scripts; mermaid is for comments on pull requests. Anything that looks like a secret is left out.
    """
    from manifestgen.files import is_stdout, refuse_input_as_output, refuse_unwritable, write_atomic
    from manifestgen.view.read import view_of, view_of_change

    names, form = _names(files, device_id, console), form or _form_of(out)
    target = None if out == "-" or is_stdout(Path(out)) else Path(out)
    if target is not None:
        refuse_input_as_output(target, map(Path, names), "-o")
        refuse_unwritable(target)
    elif form != "mermaid" and sys.stdout.isatty():
        raise InputError(f"{form} is not for a terminal", fix=f"add -o page.{form}, or --format mermaid")
    subjects = open_subjects(names, hub, console)
    if len(subjects) == 1:
        seen = view_of(subjects[0], show_env=show_env)
    else:
        seen = view_of_change(*subjects, show_env=show_env)
    text = _written(seen, form)
    if target is None:
        console.disclose(text, newline=False)
        return
    write_atomic(target, text)
    console.result(f"wrote {target}: {seen.title}: {seen.summary}")
    console.document({"path": str(target), "format": form, "title": seen.title, "summary": seen.summary})


def _form_of(out: str) -> str:
    return {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}.get(Path(out).suffix.lower(), "html")


def _written(seen: View, form: str) -> str:
    if form == "mermaid":
        from manifestgen.view.mermaid import mermaid

        return mermaid(seen)
    if form == "svg":
        from manifestgen.view.svg import svg

        return svg(seen) + "\n"
    from manifestgen.view.page import html_page

    return html_page(seen)


def _names(files: tuple[str, ...], device: str | None, console: Console) -> tuple[str, ...]:
    if device is not None:
        if files:
            what = "--device and FILE cannot be used together"
            raise InputError(what, fix=f"compare the two with: manifestgen view device:{device} {files[0]}")
        return (f"device:{device}",)
    if not files:
        return (_of_project(console),)
    if len(files) > 2:
        what = "more than two manifests are given"
        raise InputError(what, fix="give FILE, or OLD and FILE, or add --device ID")
    return files


def _of_project(console: Console) -> str:
    """The target of the project in the working directory."""
    from manifestgen.project.beside import project_here

    fix = "give FILE, or OLD and FILE, or add --device ID"
    return ":".join(project_target(project_here(), console, fix=fix))
