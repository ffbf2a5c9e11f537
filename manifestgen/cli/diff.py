"""`manifestgen diff`: what changed between two manifests."""

from __future__ import annotations

import click

from manifestgen.cli._console import Console
from manifestgen.cli._options import hub_option, options_with_outputs, usage_of
from manifestgen.cli._subjects import SUBJECTS, open_subjects


@click.command(
    epilog=usage_of(
        "manifestgen diff old.json new.json",
        "manifestgen diff device:edge-01 deployment.json --exit-code",
        "manifestgen diff history:edge-01@1 device:edge-01 --output markdown",
    )
    + SUBJECTS
)
@click.argument("old")
@click.argument("new")
@click.option("--exit-code", is_flag=True, help="Exit code 1 if there are differences.")
@click.option("--show-env", is_flag=True, help="Show the values of variables that do not seem to be secrets.")
@hub_option
@options_with_outputs("text", "json", "markdown", "html")
def command(old: str, new: str, exit_code: bool, show_env: bool, hub: str | None, console: Console) -> int:
    """Compare two manifests by their meaning, as 'plan' does: the order of keys does not matter.

    createOptions are the exception: edgeAgent recreates a module if its labels or ports are in another order.

    The placeholders of a template are compared as they are written.
    """
    from manifestgen.compare.diff import diff
    from manifestgen.compare.env_values import with_env_values
    from manifestgen.report import changes as report

    before, after = open_subjects((old, new), hub, console)
    changes = diff(before.manifest, after.manifest)
    if show_env:
        changes = with_env_values(changes, before.manifest, after.manifest)
    console.verdict = 1 if exit_code and changes else 0
    if console.output == "html":
        from manifestgen.view.page import html_page
        from manifestgen.view.read import view_of_change

        console.disclose(html_page(view_of_change(before, after, show_env=show_env)), newline=False)
    elif console.output == "markdown":
        console.disclose(report.difference_markdown(before.name, after.name, changes))
    else:
        console.result(report.difference_text(before.name, after.name, changes))
        console.document(report.difference_data(before.name, after.name, changes))
    return console.verdict
