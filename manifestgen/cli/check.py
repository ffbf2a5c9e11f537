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
@click.option("--project", type=click.Path(), metavar="PROJECT", help="Project whose ignored rules apply too.")
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
    loaded = _project(project)
    form = console.output
    day = as_of.date() if as_of else KNOWN_ON
    options = {
        "layered": layered,
        "styles": loaded.placeholder_styles if loaded is not None else USUAL,
        "select": select,
        "ignore": (*ignore, *_ignored_by(loaded)),
        "lines": form == "text",
        "as_of": day,
    }
    projects = [file for file in files if _is_project(file)]
    sources, named = _sources([file for file in files if not file.endswith(_PROJECTS)])
    results = _checked(sources, options, console)
    if projects:
        from pathlib import Path

        from manifestgen.manifest_source import check_project

        rendered = [check_project(Path(file), select=select, ignore=ignore, as_of=day) for file in projects]
        named.update(one.path for one in rendered)
        results = [*rendered, *results]
    kept = [one for one in results if one.path in named or not _is_other(one)]
    total = total_of(kept)
    _show(console, kept, len(results) - len(kept))
    _warn_of_expiry(sources, loaded, console)
    return 1 if total.reaches(fail_on) else 0


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


def _project(given: str | None) -> Project | None:
    """The project of `--project`, or the one in the working directory if there is one."""
    # Without either, nothing that reads a project is imported.
    if given is None and not os.path.isfile("manifestgen.yaml") and "MANIFESTGEN_ENVIRONMENT" not in os.environ:
        return None
    from pathlib import Path

    from manifestgen.project import load
    from manifestgen.project.beside import project_here

    return load(Path(given)) if given is not None else project_here()


def _ignored_by(project: Project | None) -> Mapping[str, str]:
    """The rules that a project file ignores."""
    if project is None:
        return {}
    from manifestgen.check import known_rules

    ignored: Mapping[str, str] = project.check.ignore if project.check else {}
    try:
        known_rules(ignored)
    except InputError as error:
        raise InputError(error.what, where=f"{project.path}: check.ignore", fix=error.fix) from None
    return ignored


def _warn_of_expiry(paths: Sequence[str], project: Project | None, console: Console) -> None:
    """Warn about token passwords that expire soon, as far as this machine knows; the project says what soon is."""
    if project is None:
        return
    from manifestgen.state import state_folder

    if not (state_folder() / "credentials").is_dir():
        return
    from manifestgen.manifest.document import read
    from manifestgen.manifest_file import expiry_warnings

    for path in paths:
        if path != "-" and b"registryCredentials" in (source := _bytes(path)):
            manifest = read(source, path).manifest
            if manifest is not None:
                for words in expiry_warnings(manifest, project):
                    console.warn(words)


def _is_project(file: str) -> bool:
    """Whether it is a project's file, or its folder."""
    return file.endswith(_PROJECTS) or os.path.isfile(os.path.join(file, "manifestgen.yaml"))


def _sources(files: Sequence[str]) -> tuple[list[str], set[str]]:
    """The paths to check, each once, with folders expanded; and those of them that were named themselves."""
    paths: dict[str, None] = {}
    named: set[str] = set()
    for file in files:
        if file != "-" and os.path.isdir(file):
            paths.update((path, None) for path in _below(file))
        else:
            paths[file] = None
            named.add(file)
    return list(paths), named


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


def _checked(paths: Sequence[str], options: dict[str, Any], console: Console) -> list[Checked]:
    if len(paths) < _MANY or (os.cpu_count() or 1) < 2:
        return [_one(path, options) for path in paths]
    from concurrent.futures import ProcessPoolExecutor

    results: list[Checked] = []
    progress = console.live and not console.quiet
    size = max(8, min(64, len(paths) // 16))
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(batches))) as pool:
        for batch in pool.map(_batch, batches, [options] * len(batches)):
            results += batch
            if progress:
                click.echo(f"\rchecked {len(results)} of {len(paths)} files", err=True, nl=False)
    if progress:
        click.echo("\r\x1b[K", err=True, nl=False)
    return results


def _batch(paths: Sequence[str], options: dict[str, Any]) -> list[Checked]:
    return [_one(path, options) for path in paths]


def _one(path: str, options: dict[str, Any]) -> Checked:
    from manifestgen.check import check_source
    from manifestgen.files import read_stdin

    try:
        source = read_stdin() if path == "-" else _bytes(path)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "").lower()
        raise InputError(reason or "cannot be read", where=path, fix="check the path") from error
    return check_source(source, path, **options)


def _bytes(path: str) -> bytes:
    from manifestgen.files import read_bytes

    return read_bytes(path)
