"""`manifestgen check`: find out what IoT Hub and the device will reject before they do."""
# ruff: noqa: PTH112, PTH113, PTH118 - importing pathlib takes a twentieth of the time that checking a file takes

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from manifestgen.cli._completing import rules
from manifestgen.cli._console import Console
from manifestgen.cli._environment import environment_option
from manifestgen.cli._options import options_with_outputs, usage_of
from manifestgen.cli._terminal import has_colors, own_colors
from manifestgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from manifestgen.check import Checked
    from manifestgen.project import Project

_PROJECTS = (".yaml", ".yml")
# Fewer files are checked sooner than a second process starts.
_MANY = 64


@click.command(
    epilog=usage_of(
        "manifestgen check deployment.json",
        "manifestgen check my-model",
        "manifestgen check manifests/ --fail-on warning --output sarif > findings.sarif",
    )
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    default="error",
    show_default=True,
    help="Lowest severity that gives exit code 1.",
)
@click.option("--ignore", metavar="ID", multiple=True, shell_complete=rules, help="Rule to ignore; repeatable.")
@click.option("--select", metavar="ID", multiple=True, shell_complete=rules, help="Run only this rule; repeatable.")
@click.option("--layered", is_flag=True, help="Read the files as layered deployments, whatever keys they have.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Date to compare end-of-support dates with."
)
@click.option(
    "--project",
    type=click.Path(),
    metavar="PROJECT",
    help="Project whose ignored rules apply too.  [default: that of the working directory, if FILE is none]",
)
@environment_option
@options_with_outputs("text", "json", "sarif", "github", "azure-pipelines")
def command(
    files: tuple[str, ...],
    fail_on: str,
    ignore: tuple[str, ...],
    select: tuple[str, ...],
    layered: bool,
    as_of: datetime | None,
    project: str | None,
    console: Console,
) -> int:
    """Check manifests the way IoT Hub and the device will.

    FILE can also be '-' for stdin, a folder, for every *.json file below it, or a project, for the manifest that it
    would render: the file, or the folder that has it. The placeholders of a template are one finding; -v shows them
    all.
    """
    from manifestgen.check import known_rules
    from manifestgen.manifest.placeholder import USUAL
    from manifestgen.report.check_text import total_of
    from manifestgen.rules import KNOWN_ON

    known_rules((*ignore, *select))
    day = as_of.date() if as_of else KNOWN_ON
    default, of_projects = _projects(project, files)
    shared = _ignored_by(default) if project is not None else {}

    def options(owner: Project | None) -> dict[str, Any]:
        return {
            "layered": layered,
            "styles": owner.placeholder_styles if owner is not None else USUAL,
            "select": select,
            "ignore": (*ignore, *shared, *_ignored_by(owner)),
            "lines": console.output == "text",
            "as_of": day,
        }

    owners, named = _sources(files, of_projects, default)
    # One for each project: its files share it, and on the way to another process it is copied once.
    by_owner = {id(owner): options(owner) for owner in owners.values()}
    results = _checked([(path, by_owner[id(owner)]) for path, owner in owners.items()], console)
    if of_projects:
        from manifestgen.manifest_source import check_project

        ignored = (*ignore, *shared)
        rendered = [check_project(one, select=select, ignore=ignored, as_of=day) for one in of_projects.values()]
        named.update(one.path for one in rendered)
        results = [*rendered, *results]
    kept = [one for one in results if one.path in named or not _is_other(one)]
    total = total_of(kept)
    console.verdict = 1 if total.reaches(fail_on) else 0
    _show(console, kept, len(results) - len(kept))
    _warn_of_expiry(owners, console)
    return console.verdict


def _show(console: Console, checked: Sequence[Checked], skipped: int) -> None:
    from manifestgen.report.check_text import findings_text, summary_text, total_of

    total = total_of(checked)
    form = console.output
    if form in ("text", "github", "azure-pipelines") and not console.verbosity:
        from manifestgen.report.check_brief import brief

        checked = [brief(one) for one in checked]
    if form == "json":
        from manifestgen.report.check_json import findings_data

        console.document(findings_data(checked, total))
    elif form == "sarif":
        from manifestgen.report.check_sarif import sarif

        console.disclose(json.dumps(sarif(checked), indent=2))
    elif form == "github":
        from manifestgen.report.check_github import workflow_commands

        if text := workflow_commands(checked):
            console.commands(text)
    elif form == "azure-pipelines":
        from manifestgen.report.check_azure_pipelines import logging_commands

        if text := logging_commands(checked):
            console.commands(text)
    else:
        color = has_colors()
        for one in checked:
            if one.findings:
                console.result(own_colors(findings_text(one, color=color)) + "\n")
        console.result(summary_text(checked, total, skipped=skipped))


def _projects(given: str | None, files: Sequence[str]) -> tuple[Project | None, dict[str, Project]]:
    """The project that plain files are checked with, and the projects among the files, by their FILE.

    The first is that of `--project`, else the one in the working directory: which is not read if every FILE is a
    project, because it has nothing to do with them.
    """
    projects = [file for file in files if _is_project(file)]
    plain = len(projects) < len(files)
    here = plain and (os.path.isfile("manifestgen.yaml") or "MANIFESTGEN_ENVIRONMENT" in os.environ)
    # Without any, nothing that reads a project is imported.
    if given is None and not here and not projects:
        return None, {}
    from pathlib import Path

    from manifestgen.project import load
    from manifestgen.project.beside import project_here

    known = load(Path(given)) if given is not None else project_here() if here else None
    return known, {file: load(Path(file)) for file in projects}


def _ignored_by(project: Project | None) -> Mapping[str, str]:
    """The rules that a project file ignores."""
    if project is None:
        return {}
    from manifestgen.check import known_rules

    try:
        known_rules(project.ignored)
    except InputError as error:
        raise InputError(error.what, where=f"{project.path}: check.ignore", fix=error.fix) from None
    return project.ignored


def _warn_of_expiry(owners: Mapping[str, Project | None], console: Console) -> None:
    """Warn about token passwords that expire soon, as far as this machine knows; the project says what soon is."""
    if not any(owners.values()):
        return
    from manifestgen.state import state_folder

    if not (state_folder() / "credentials").is_dir():
        return
    from manifestgen.manifest.document import read
    from manifestgen.manifest_file import expiry_warnings

    for path, owner in owners.items():
        if owner is not None and path != "-" and b"registryCredentials" in (source := _bytes(path)):
            manifest = read(source, path).manifest
            if manifest is not None:
                for words in expiry_warnings(manifest, owner):
                    console.warn(words)


def _is_project(file: str) -> bool:
    """Whether it is a project's file, or its folder."""
    return file.endswith(_PROJECTS) or os.path.isfile(os.path.join(file, "manifestgen.yaml"))


def _sources(
    files: Sequence[str], projects: Mapping[str, Project], default: Project | None
) -> tuple[dict[str, Project | None], set[str]]:
    """The paths to check, each once and with its project, folders expanded; and those that were named themselves.

    Files below a project's folder belong to the project.
    """
    owners: dict[str, Project | None] = {}
    named: set[str] = set()
    for file in files:
        owner = projects.get(file, default)
        if file != "-" and os.path.isdir(file):
            below = list(_below(file))
            if not below and file not in projects:
                # A pipeline that checks nothing would be green.
                fix = "give a folder with manifests (*.json), or the folder of a project"
                raise InputError("there is nothing to check in this folder", where=file, fix=fix)
            owners.update((path, owner) for path in below if path not in owners)
        elif file not in projects:
            owners.setdefault(file, owner)
            named.add(file)
    return owners, named


def _below(folder: str) -> Iterator[str]:
    from pathlib import Path

    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        for name in sorted(names):
            if name.endswith(".json"):
                yield str(Path(root, name))


def _is_other(checked: Checked) -> bool:
    """Whether a file in a folder is not meant to be a manifest, such as a package.json."""
    from manifestgen.rules import BY_ID

    return any(BY_ID[finding.rule].other_json for finding in checked.findings)


def _checked(sources: Sequence[tuple[str, dict[str, Any]]], console: Console) -> list[Checked]:
    if len(sources) < _MANY or (os.cpu_count() or 1) < 2:
        return _batch(sources)
    from concurrent.futures import ProcessPoolExecutor

    results: list[Checked] = []
    progress = console.live and not console.quiet
    size = max(8, min(64, len(sources) // 16))
    batches = [sources[start : start + size] for start in range(0, len(sources), size)]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(batches))) as pool:
        for batch in pool.map(_batch, batches):
            results += batch
            if progress:
                click.echo(f"\rchecked {len(results)} of {len(sources)} files", err=True, nl=False)
    if progress:
        click.echo("\r\x1b[K", err=True, nl=False)
    return results


def _batch(sources: Sequence[tuple[str, dict[str, Any]]]) -> list[Checked]:
    return [_one(path, options) for path, options in sources]


def _one(path: str, options: dict[str, Any]) -> Checked:
    from manifestgen.check import check_source
    from manifestgen.files import read_stdin

    try:
        source = read_stdin() if path == "-" else _bytes(path)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "").lower()
        fix = "check its permissions" if isinstance(error, PermissionError) else "check the path"
        raise InputError(reason or "cannot be read", where=path, fix=fix) from error
    return check_source(source, path, **options)


def _bytes(path: str) -> bytes:
    from manifestgen.files import read_bytes

    return read_bytes(path)
