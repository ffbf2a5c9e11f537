"""`manifestgen explain`: what a rule of `check` looks for, why, and how to fix it."""

from __future__ import annotations

import click

from manifestgen.cli._completing import rules
from manifestgen.cli._console import Console
from manifestgen.cli._options import common_options, usage_of


@click.command(epilog=usage_of("manifestgen explain", "manifestgen explain route-syntax"))
@click.argument("rule", required=False, shell_complete=rules)
@common_options
def command(rule: str | None, console: Console) -> None:
    """Explain a rule of 'check'; without RULE, list them all."""
    from manifestgen.check import known_rules
    from manifestgen.report.rules import rule_data, rule_list, rule_text
    from manifestgen.rules import BY_ID, RULES

    if rule is None:
        console.result(rule_list(RULES))
        console.document({"rules": [rule_data(one) for one in RULES]})
        return
    known_rules([rule])
    console.result(rule_text(BY_ID[rule]))
    console.document(rule_data(BY_ID[rule]))
